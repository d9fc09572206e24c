"""Shards: where mail is kept. A shard is a directory that moves, is backed up and is repaired as one.

On disk
    index.db                    SQLite, WAL, synchronous=FULL: accounts, mailboxes, messages (index/tables.py)
    fulltext.db, fulltext.lock  text kept for SEARCH, derived (fulltext/)
    shard.json                  identity and serial: whether the index belongs to the files (identity.py)
    shard.lock                  shared by who uses the shard, exclusive for a rebuild
    sweep.lock                  shared by who removes files of what was expunged, exclusive for a backup's last step
    tmp/                        messages on their way in; folders of removed accounts on their way out
    originals/                  files with bare LF that were adopted, as they were (repair/foreign.py)
    vault/                      what was expunged, for some days (vault/)
    accounts/HH/ID/             one account, a Maildir++; HH spreads them (maildir.py)
        mailplat-account.json   epoch, subscriptions, domain (description.py)
        cur/ new/ tmp/          INBOX;  mailplat-mailbox.json: name, UIDVALIDITY, keywords, ceilings
        .mNUMBER/               any other mailbox, by the number of its row; its name is never part of a path
    A file holds a message's octets as they came, CRLF. Its mtime is the INTERNALDATE, its name says size, UID, flags.

Files of this room
    door.py      Store: shards by name, append and deliver         shard.py   Shard: all other verbs
    tombstones.py   what was expunged, up to a limit
    staging.py, append.py   the two halves of an append
    annotations.py   small values of mailboxes and accounts (RFC 5464)
    acl.py, inheriting.py   rights of others (RFC 4314)
    accounts.py, mailboxes.py, renaming.py, fetch.py, changes.py, search.py, flags.py, expunge.py, copy.py   verbs
    criteria.py  what each key of a SEARCH asks of a message      fulltext/   text that is kept for it
    sorting.py, threads.py   more of them      references.py   whom messages answer, remembered for THREAD
    rendered.py, renderer.py   reading with what is rendered of messages; who comes in bulk is rendered behind
    rendering.py a file, rendered      later.py   previews, and EMAILIDs of messages from before they were kept
    behind.py    the threads for what nobody waits for
    listing.py   UIDs, sizes and UIDLs of a mailbox: POP3's maildrop
    ready.py     snapshots and listings that were read, kept to be brought forward
    deliveries.py   what was delivered, remembered when the index is made anew
    quota.py, pools.py   what accounts and domains may keep, counted with each change; a domain's octets elsewhere
    transfer.py  an account from shard to shard: what crosses over with its numbers
    namer.py, sweeper.py, upkeep.py   names and files follow the index       repair/   verify, rebuild
    sharing.py, figures.py   which messages share a file, what that saves
    backup/      points in time      export/   the way out, for another server
    vault/       what was expunged: search, restore, legal hold, prune
    identity.py  a shard that is not the one that belongs there is refused
    site.py      what every verb needs: folder, index, writer      types.py    values at the door

SQL is authoritative for UID, flags and MODSEQ; names of files and the two small JSON files follow within about 2 s,
so that a shard is rebuilt from its files alone. All changes of one process go through one writer thread that
groups them into commits (db/writer.py); processes wait for each other at SQLite's write lock.

Invariants
    * A row's file is durable before the row is: a row without a file is impossible.
    * A UID is given once; UIDNEXT and MODSEQ stay below the ceilings in mailplat-mailbox.json, which is raised first.
    * The unique part of a file's name never changes: a reader that misses a file looks for that.
    * A message gets a MODSEQ below the mailbox's only in a copy that nobody is served from yet (transfer.py).
    * Every write checks the account's epoch inside its transaction. An account that left stays closed.
    * What was expunged since a MODSEQ is told whole, or not at all and all UIDs instead (tombstones.py).
    * Where one message takes the place of another (Store.append, `replacing`), exactly one is there at any time.
    * A message is rendered (table `rendering`) or waits for it (`unrendered`), never both or neither, from the commit
      that makes it to the one that takes it away (index/renderings.py). Nothing that a client sees depends on which.
    * Totals of mailboxes, accounts and pools (domains) change in the transaction that changes the rows.
    * One message for many accounts of a shard is one file with many links; so is what COPY makes. The usage of each
      account counts it in full. Their rows have one number in `shared` (sharing.py), so that the shard's figures
      (figures.py) need no walk of its files; verify counts anew by inode. A figure that drifted harms no mail.

What is true after a crash (kill -9, power cut) behind each step; tests/store/test_crash.py walks the table
    step                     on disk, and who cleans up
    append.write, .fsync, .syncfs  files in tmp/; verify sweeps them after limits.sweep_hours
    append.link, .rename     a file in its mailbox without a row, acknowledged to nobody; verify sweeps it, and
                             a rebuild where the delivery was done with another file (repair/unfinished.py)
    append.dirsync           the same, surely
    mailbox.write .. .fsync  the old mailplat-mailbox.json, and a new one beside it
    mailbox.rename, .dirsync ceilings above what the index knows: UIDs are skipped, none is given twice
    index.apply              nothing: the transaction is rolled back. What was placed for it is a file without a row
    append.commit, copy.commit, index.commit   all of it, though nobody was told; a retry with a dedupe key is a no-op
                             a level of a quota that it reached is due: delivery/quotawatch.py has the rest
    the same, where a message is replaced   the old one, and the new one as above; both change in one transaction
    copy.link, .rename       links without a row, as append.link; copy.write, .fsync as append.write
    create.mkdir, .dirsync   an empty folder without a row; harmless, its number may be used by the next creation, and
                             a rebuild removes it
    account.*                the account's folder without a row; grant takes it over
    rendered.make            nothing: the messages are rendered again, by whoever asks next
    names.rename             the row says the old name: readers look for the unique part, the namer comes again
    names.dirsync            nothing; a power cut before it may undo the rename, with the same effect
    sweep.rename             an account's folder in tmp/ that `leaving` does not know; verify sweeps it
    tombstones.mark, .remove  a mark, and tombstones below it that it stands for; the next round removes them
    vault*.*, owner.*, carry.*   see vault/__init__.py
    serial.commit, shardfile.*   see identity.py; foreign.*   see repair/foreign.py
    sweep.unlink             files gone, `leaving` still lists them: removed once more, to no effect
    rebuild.rename, .aside   files under names that a second rebuild reads as well; the shard is refused until then

A file without a row that verify meets, and whose name has a UID from UIDNEXT up to the ceiling, is adopted: it
may be a message that an older index has forgotten. All else that is ours was expunged or never acknowledged.

What must never happen: an acknowledged message lost or doubled; a UID that names two messages; MODSEQ running back;
a write under an epoch that is not the account's; a mailbox's name in a path; a link followed out of an account.
"""

from mailplat.store.door import Store
from mailplat.store.shard import Shard
from mailplat.store.types import (
    Appended,
    Changes,
    Copy,
    CopyResult,
    Mailbox,
    NewMessage,
    Report,
    Snapshot,
    StoreLimits,
)

__all__ = [
    "Appended",
    "Changes",
    "Copy",
    "CopyResult",
    "Mailbox",
    "NewMessage",
    "Report",
    "Shard",
    "Snapshot",
    "Store",
    "StoreLimits",
]
