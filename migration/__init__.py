"""Moving mailboxes: from a legacy platform to a shard, while everybody keeps using their mail.

Plugs its commands and its role into mailplat through entry points; nothing in `mailplat/` imports it.

    role         the engine: picks up what the ledger says is due
    journey      one account's way through the states of its route
    delta        one round: new, changed, gone; renames, copy are parts of it
    copy         messages over, newest first, in batches ahead of the store
    renames      mailboxes renamed at the source
    uidl         POP3 UIDLs recognised and continued
    flags        which flags can cross over
    verify       both sides compared anew;  compared: whose octets were
    fence        the seconds in which nobody writes; commit or abort
    sweep        what reached the legacy platform after the commit
    pacing       connections and back-off for each legacy platform
    ledger       plans, moves, watermarks, rounds: tables `migration_*`
    crossing     what one account's move works with;  target: its shard;  sources/: where mail comes from
    cli/         `mailplat migrate`

States are those of the route (core/route.py): LEGACY -> SEEDING (first copy) -> TRACKING (deltas) -> READY (converged
and compared) -> FENCED (at most 30 s) -> NEW. Doors and engine read the same row; every step of it is a
compare-and-set, in one transaction with the ledger's row.

Invariants
    * Before the commit the legacy platform owns the account, after it the shard: nobody ever writes both.
    * Every write to the shard carries the epoch of the route; one that comes late is refused there.
    * A UID here is the UID there, under the same UIDVALIDITY. So the store itself says what is here, and copying
      again what is here is impossible.
    * A watermark is written after everything below it is in the store, never before.
    * The source is only read. Nothing is deleted here because the source did not answer, answered another
      UIDVALIDITY, or shows suspiciously little: the move halts and a person looks.

Crash table: what is true when the engine dies right after a step, and what its next start does.

    step               the row     true then                                   the next start
    move.seeding       SEEDING     shard may not know the epoch                grants it, copies
    move.batch         SEEDING..   batches up to here are in the store         copies what the store lacks
    move.tracking      TRACKING    watermarks are complete                     grants, runs deltas
    move.ready         READY       compared equal                              grants, runs deltas, waits
    move.fenced        FENCED      doors hold, nothing else happened           takes the fence back: TRACKING
    move.acknowledged  FENCED      no door writes to legacy any more           the same
    move.delta         FENCED      the shard has everything                    the same
    move.granted       FENCED      the shard takes the epoch of the commit     the same: the abort has that number too
    move.committed     NEW         the shard owns the account; doors serve it  releases what was held
    move.aborted       TRACKING    legacy owns it; doors read the row and go   runs deltas
    move.released      NEW         nothing waits                               looks for strays

What must never happen: a message lost, doubled, renumbered or changed; two homes that write; a fence that stays; a
flag set or a message removed at the source.
"""
