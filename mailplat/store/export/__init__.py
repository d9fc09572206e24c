"""The way out: a shard's accounts as another server can serve them, with the same UIDs, while the shard is in use.

On disk, in a folder that was empty
    INCOMPLETE          from the first step to the last: whoever finds it does not have all of the mail
    .held/              files of the account that is being exported, without a place so far
    manifest.json       the last file: accounts, mailboxes, counts, remarks, problems
    the rest            as the format says (formats/, one file or package each)

Files of this room
    run.py       all of it          picture.py   what an account had at one moment
    files.py     gathers its files  tree.py      the folder, its mark and its manifest
    types.py     Owner in, ExportReport out

A message's file is hard-linked where the folder is on the shard's file system: both names share one inode, with its
owner, mode and date. That harms neither, as neither platform writes to a file of a message: Dovecot and we only
rename and unlink names of our own. A `chown -R` of the export would reach the shard's files; --copy shares nothing.

Invariants
    * An account is exported as it was at one moment: read from the index in one transaction, and again where a
      message was expunged or moved before its file was reached (files.py). A file that is missing otherwise is a
      problem that is named, and is in none of the export's lists.
    * Nothing in the shard is written, renamed or removed; a file whose date is not its INTERNALDATE is copied.
    * No name from outside becomes a part of a path unchecked.
    * What cannot be carried over is a remark; nothing is dropped in silence.
    * A folder that holds anything is refused: an export is made anew, never continued.

What is true when an export dies behind a step; tests/store/export/test_crash.py walks the table
    export.marker, .marked      the folder with INCOMPLETE alone
    export.hold, .move          some of the mail, and INCOMPLETE
    export.sync                 all of the mail, on disk; INCOMPLETE
    export.manifest.write, .fsync   the same, and a half manifest under another name
    export.manifest.rename, .dirsync   all, with the manifest; INCOMPLETE: not to be trusted, though it is whole
    export.whole                whole; after a power cut INCOMPLETE may be back
    export.done                 whole

What must never happen: a folder without INCOMPLETE that lacks what its manifest counts; a file of the shard changed.
"""

from mailplat.store.export.formats import known as known_formats
from mailplat.store.export.picture import open_accounts
from mailplat.store.export.run import export
from mailplat.store.export.types import ExportReport, Note, Owner

__all__ = ["ExportReport", "Note", "Owner", "export", "known_formats", "open_accounts"]
