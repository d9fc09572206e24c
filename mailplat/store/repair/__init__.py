"""Repair: compare a shard's index with its files, and make the index again from the files.

    survey.py    what is on disk, read without following links
    problems.py  the kinds of differences
    verify.py    `verify`: also while the shard is in use; sweeps leftovers of crashes, recounts
    rebuild.py   `rebuild`: while nobody else has the shard open
    beginning.py what a rebuild takes over of the index that it finds      succession.py  numbers, names, spent UIDs
    adoption.py  files of one mailbox to rows             foreign.py  files that somebody put there
    unfinished.py what a crash left half done: second files of a delivery, mailboxes whose creation was not committed
    renderers.py messages rendered on all cores           counting.py totals     links.py  which messages share a file

A file without a row is a leftover if it has a name of ours, without a UID or with one below UIDNEXT, came into its
mailbox when it was made, and is older than limits.sweep_hours: it was acknowledged to nobody, or was expunged, and
is swept. One that came there long after it was made, or whose unique part another mailbox of the account has, was
put there by hand, as was every one with a name of others: verify reports it, or adopts it under a new UID where it
is told to; rebuild does. Where there is no index at all every file is adopted: an append that was never
acknowledged may then appear (at most one for each that was in flight when the machine died), an acknowledged one
never goes missing. Of an index that is older than its files nothing is swept, and no path is removed that it lists.
"""

from mailplat.store.repair.rebuild import rebuild
from mailplat.store.repair.verify import verify

__all__ = ["rebuild", "verify"]
