"""Backups: a shard as it was at several points in time, taken while it is in use. One folder holds one shard.

On disk
    backup.json             format, name of the shard: what this folder is
    lock                    exclusive for a run and for prune, shared for verify and restore
    known.db                unique part of a file's name -> digest: what need not be read again. A cache: where it
                            is absent it is made from the manifests
    objects/ab/DIGEST       octets of a message under their SHA-256
    points/TIME/            one point in time, UTC; complete or not there
        index.db            the index as SQLite's online backup gave it
        directory           rows of the platform's directory, as text; only its caller knows what they mean
        manifest            which object each row of the index needs, and digests of it all (manifest.py)
    tmp/                    what is being made or removed; the next run sweeps it

Files of this room
    repository.py  the folder, its lock and its points       known.py     the cache
    objects.py     octets in, durably                        manifest.py  the list of a point
    run.py         takes a point                             verify.py    looks for what is missing or damaged
    prune.py       removes points and what only they needed  catalogue.py a point, read
    whole.py       a shard brought back, into place          numbers.py   its UIDs after that
    vaulted.py     and the vault
    accounts.py    accounts and mailboxes brought back       matching.py  what is there already

How a run is consistent
    1. Every message of the live index and of the vault that is not known is linked or copied to objects/.
    2. The index is copied in one read transaction: writers go on.
    3. What the copy lists and 1. did not meet is taken too: only what arrived, or was moved, meanwhile.
    4. The directory is asked: it knows every account that the copied index knows, under no older epoch.
    From 2. to 3. no process removes files (store/sweeper.py): what is expunged, moved away or deleted meanwhile is
    taken from where it was. A file that is missing all the same (an account that was removed and granted again
    within these seconds, a disk that loses files) is listed as gone, and a restore brings its mailbox back as if the
    message had been expunged before.
    Files of messages never change, only their names do: the unique part stands for the octets. Names that
    other programs gave are not trusted so far, and are read in every run.

Invariants
    * A point's manifest, and through it all else in the point, is on disk before the point has its name.
    * An object is complete and on disk before it has its name; every object that a point lists is there.
    * A row of known.db is committed after its object is on disk, and removed before its object is.
    * Nothing in a shard is changed by a backup. A restore removes nothing: what it replaces is set aside.
    * After a restore no (UIDVALIDITY, UID) that a client may have seen names another message (numbers.py).

What is true when a backup dies behind a step; tests/store/backup/test_crash.py walks the table
    backup.copy         files in tmp/: swept by the next run
    backup.link, .rename, .sync, .dirsync   objects that no point lists: the next run finds them, or prune removes
                        them
    backup.known        the same, and the next run does not read them again
    backup.snapshot, .directory, .manifest, .half   a half point in tmp/: swept
    backup.point, .pointsync     the point is there, complete
    prune.point, .dirsync   the point is no point any more; its folder is in tmp/: swept
    prune.known, prune.object    objects without a point: the next prune removes them
    restore.index, .file, .sync  restoring/ in the shard without restoring.json: the shard is as it was; removed by
                        the next restore
    restore.ready.*     from its rename on restoring.json says that restoring/ is complete. Nobody can open the shard
    restore.aside, .swap, .vault, .dirsync   (site.py) until `shard restore` was called again, which first finishes
                        what was begun
    restore.done        all of it
    the directory's rows         one transaction of the platform's database, behind all that: there or not

A backup on the filesystem of the shard shares its files: it helps against mistakes, not against a broken disk.

What must never happen: a point that lists what is not there; an object under a digest that is not its own; a
restore that removes mail; a UID that comes to name another message.
"""

from mailplat.store.backup.accounts import Scope, restore_account
from mailplat.store.backup.catalogue import Catalogue
from mailplat.store.backup.manifest import Manifest
from mailplat.store.backup.prune import prune
from mailplat.store.backup.repository import Point, Repository
from mailplat.store.backup.run import back_up
from mailplat.store.backup.verify import verify
from mailplat.store.backup.whole import restore_shard

__all__ = [
    "Catalogue",
    "Manifest",
    "Point",
    "Repository",
    "Scope",
    "back_up",
    "prune",
    "restore_account",
    "restore_shard",
    "verify",
]
