"""Moving mailboxes: from a legacy platform to a shard, and from shard to shard, while everybody uses their mail.

Plugs its commands and its role into mailplat through entry points; nothing in `mailplat/` imports it.

    role         the engine in one worker: hands out turns (dispatch), or takes them (attendance)
    turns        whose turn it is, with a crash table;  workflows: the DBOS door;  presence: which workers are there;
                 lease: how long one may speak to who knows no epochs
    from_backends, between_shards   the two kinds of moves;  drains: a shard is emptied
    journey      one account's way from a backend through the states of its route
    transfer     one account's way between two shards
    delta        one round: new, changed, gone; renames, copy are parts of it
    brake        what is gone at the source: deleted there, or only not shown
    copy         messages over, newest first, in batches ahead of the store
    renames      mailboxes renamed at the source;  afresh: a copy is thrown away and made again
    uidl         POP3 UIDLs recognised and continued
    numbering    UIDs for a source that has none (POP3), with its crash table
    flags        which flags can cross over
    plan/        waves as files: proposed, edited, applied; which states they have
    waves/       begin, wait, are cut over, bake and are judged by themselves
    forecast/    how long it all takes, from measured costs, before it begins
    beside/      Sieve scripts, rights of others, whom a vacation has answered
    certificate/ the proof: digests, manifests, a re-read as the user, grades, signed documents
    verify       both sides compared anew;  compared: whose octets were
    fence        the seconds in which nobody writes; commit or abort
    sweep        what reached the legacy platform after the commit
    rehearsal/   what clients would see otherwise, asked of both sides before the cutover
    gates        does a domain that moved do worse than others;  breach, significance, matched: parts of it
    pacing       connections, latency and back-off for each legacy platform
    origins      where a way back begins, what each mailbox was on both sides at the commit
    back/        the way back: rollback, and `close`, after which there is none
    closing      what speaks against closing a domain
    directory/   accounts and aliases of a legacy platform, in bulk, and their drift
    book         what is written down of any move: watermarks, rounds;  tables: `migration_*`
    ledger, shardmoves   plans and moves of each kind
    crossing     what one account's move works with;  target: its shard;  sources/: where mail comes from
    cli/         `mailplat migrate`

States are those of the route (core/route.py): LEGACY -> SEEDING (first copy) -> TRACKING (deltas) -> READY (converged
and compared) -> FENCED (at most 30 s) -> NEW. Doors and engine read the same row; every step of it is a
compare-and-set, in one transaction with the ledger's row.

Back: NEW -> ROLLBACK_FENCED -> LEGACY, or FINAL when the domain is closed.

Between shards the stages before the fence are the ledger's alone (shardmoves.Stage), since each step of a route ends
the sessions of its account: FINAL or NEW -> SHARD_FENCED -> the same state with another home. UIDs, MODSEQs and all
other numbers are the source's own; the store's door for that is store/transfer.py.

Invariants
    * Before the commit the legacy platform owns the account, after it the shard: nobody ever writes both.
    * Every write to the shard carries the epoch of the route; one that comes late is refused there, and so is one to
      the ledger. A worker that is given an account whose last turn did not end takes it over by a step of the route
      to the same state: whoever worked on it before, killed or only asleep, is late from then on.
    * A UID here is the UID there, under the same UIDVALIDITY. So the store itself says what is here, and copying
      again what is here is impossible.
    * A watermark is written after everything below it is in the store, never before.
    * A backend is written by the rounds back alone (sources/imap_writer.py). Any other source is only read. Nothing
      is deleted here because the source did not answer, answered another UIDVALIDITY, or shows suspiciously little:
      the move halts and a person looks.

Crash table: what is true when the engine dies right after a step, and what its next start does.

    step               the row     true then                                   the next start
    move.seeding       SEEDING     shard may not know the epoch                grants it, copies
    cert.digests       SEEDING..   digests of a batch, not yet the batch       copies it; digests again
    move.batch         SEEDING..   batches up to here are in the store         copies what the store lacks
    move.tracking      TRACKING    watermarks are complete                     grants, runs deltas
    move.ready         READY       compared equal                              grants, runs deltas, waits
                       the same    (before anything else)                      takes it over: the epoch one higher
    afresh.discarded   as it was   the copy is gone, not yet what is known of it discards again, which finds nothing
    afresh.begun       SEEDING, TRACKING  nothing is here, nothing is known    grants, copies everything
    move.fenced        FENCED      doors hold, nothing else happened           takes the fence back: TRACKING
    move.acknowledged  FENCED      no door writes to legacy any more           the same
    move.delta         FENCED      the shard has everything                    the same
    beside.scripts, .rights, .answers   see beside/__init__.py                 the same; each time brings them anew
    move.origin        FENCED      where the way back would begin is written   the same; the next fence writes it anew
    cert.manifest      FENCED      what the source has now is written down     the same; the next fence writes anew
    move.granted       FENCED      the shard takes the epoch of the commit     the same: the abort has that number too
    move.committed     NEW         the shard owns the account; doors serve it  releases what was held
    move.aborted       TRACKING    legacy owns it; doors read the row and go   runs deltas
    move.released      NEW         nothing waits                               looks for strays

The way back. The account lives in the shard until the commit, and the backend is written by the engine alone:
whatever is half done there is looked at again, by octets, UID and UIDVALIDITY. A backend knows no epochs: a worker
that was silent for longer than its lease sends it no further octet (lease.py), and what it would write down is
refused, the steps of the route too, since its turn is another's.

    step               the row   true then                                   the next start
    back.appended      NEW       a message is there, nobody has noted it     knows it by its octets, not again
    back.batch         NEW       noted: UIDs up to here are settled          goes on behind them
    back.renamed       NEW       renamed there, the origin has the old name  knows it by UIDVALIDITY, notes the name
    back.made          NEW       an empty mailbox is there                   takes it
    back.expunged      NEW       gone on both sides                          goes on
    back.deleted       NEW       the mailbox is gone on both sides           forgets its origin
    back.round         NEW       all was there a moment ago                  another round
    back.scripts, .rights        NEW or fenced; there as they are here       compares anew
    move.fenced, .acknowledged   ROLLBACK_FENCED, doors hold                 takes the fence back: NEW
    move.closed        the same  the shard takes the engine's writes alone   the same; doors grant the new epoch
    move.delta         the same  the backend has everything                  the same
    move.aborted       NEW       the shard owns it; the word must come again delivers what was held
    move.committed     LEGACY    the backend owns it, doors go there         releases, removes what is here
    back.let-go        LEGACY    nothing waits                               the same
    back.removed       LEGACY    nothing of it is in the shard               forgets origins and watermarks
    back.forgotten     LEGACY    the account is like one that never moved    notes that it is done
    close              FINAL     one transaction for the whole domain        nothing to do

A message that was appended without a note and expunged here before the next start cannot be told from a stray:
nothing goes back to that mailbox until a person accepts new UIDs (back/judgement.py).

Between shards: home s1 under epoch e, copy in s2. A shard takes writes under the epoch that was granted there last; a
door writes under a route that it has read, and under none while that is fenced. So who can write is

    step                  the row               s1 takes  s2 takes  a door may write   the next start
    shardmove.seeding     s1, e                 e         nothing   s1                 grants, copies
    shardmove.granted     s1, e                 e         e         s1                 copies what s2 lacks
    move.batch, shardmove.tracking, .ready      as before it                           goes on, compares anew
    move.fenced           SHARD_FENCED s1, e+1  e         e         s1, who came late  takes the fence back
    move.acknowledged     the same              e         e         s1, who came late  the same
    move.closed           the same              e+1       e+1       nowhere            the same
    move.delta            the same              e+1       e+1       nowhere            the same
    move.granted          the same              e+1       e+2       nowhere            the same
    move.committed        s2, e+2               e+1       e+2       s2                 releases, removes in s1
    move.released         s2, e+2               e+1       e+2       s2                 removes in s1
    shardmove.removed     s2, e+2               closed    e+2       s2                 notes that it is done
    move.aborted          s1, e+2               <= e+2    <= e+2    s1, grants e+2     runs deltas, fences again
    shardmove.discarded   s1, e                 e         closed    s1                 removes the copy again

Only the engine ever holds an epoch together with s2 before the commit; after it nobody is given one with s1. "Who
came late" is a door that has read the row before the fence and was not waited for: what s1 takes of it is in the last
delta, which begins behind move.closed. A cancelled move, and one whose target is full, leave by `discard`: the epoch
of the copy may be granted once more. s1's account is removed by the epoch of the fence, never before the commit.

What must never happen: a message lost, doubled, renumbered or changed; two homes that write; a fence that stays; a
flag set or a message removed at the source; on the way back, another message under a UID that a client has seen.
"""
