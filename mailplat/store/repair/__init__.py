"""Repair: compare a shard's index with its files, and make the index again from the files.

    survey.py    what is on disk, read without following links
    problems.py  the kinds of differences
    verify.py    `verify`: also while the shard is in use; sweeps leftovers of crashes, recounts
    rebuild.py   `rebuild`: while nobody else has the shard open
    adoption.py  files of one mailbox to rows
    counting.py  totals     links.py  which messages share a file

What a file without a row is: one of ours (by its name) without a UID, or with one below UIDNEXT, that is older than
limits.sweep_hours was never acknowledged, or was expunged, and is swept. Any other may be a message that somebody
put there: verify reports it, rebuild adopts it under a new UID. Where there is no index at all every file is
adopted: an append that was never acknowledged may then appear (at most one for each that was in flight when the
machine died), an acknowledged one never goes missing. Nothing is swept from a mailbox whose index is older than its
files.
"""

from mailplat.store.repair.rebuild import rebuild
from mailplat.store.repair.verify import verify

__all__ = ["rebuild", "verify"]
