"""What a crash left half done, and what a rebuild must not take for mail or for mailboxes of their own.

A worker that dies between placing a delivery's file and its commit leaves a file without a row. The queue delivers
again, into another file with the same key (D=, maildir.py). Adopted, the first would be the message a second time: it
would come back after its user had expunged it.
"""

import filecmp
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.store.maildir import FOLDERS, MAILBOX_FILE, MARKER, parse_name, spread
from mailplat.store.repair import survey
from mailplat.store.repair.adoption import Known, age
from mailplat.store.repair.survey import File
from mailplat.store.site import MailboxRow, Site
from mailplat.store.vault.owner import ROOT


class Deliveries:
    """Of one account, by what the names of its files say, those in the vault too. They are read when the first file
    asks for them that has a key and no UID: without a crash there is none."""

    def __init__(self, site: Site, account_id: int) -> None:
        self._site = site
        self._account_id = account_id
        self._found: dict[str, list[Path]] | None = None

    def seconds(
        self,
        connection: Connection,
        old: MailboxRow | None,
        folder: Path,
        files: Sequence[File],
        known: Known,
    ) -> set[File]:
        """Files of one mailbox that no client was told of, and whose delivery was done with another file: that is
        here or in another mailbox or in the vault, octet for octet the same, or it was expunged and is gone. `old`:
        the mailbox as the index has it."""
        keyed = [file for file in files if ",D=" in file.name and file.said.ours]
        first: dict[str, list[Path]] = {}
        for file in keyed:
            if file.said.uid or known.has(file):
                first.setdefault(file.said.key, []).append(folder / file.place / file.name)
        found: set[File] = set()
        for file in sorted(keyed, key=age):
            if file.said.uid or known.has(file):
                continue
            path, key = folder / file.place / file.name, file.said.key
            others = [*first.get(key, ()), *self._named().get(key, ())]
            done = any(_is_copy(path, other) for other in others)
            if done or (not others and _is_over(connection, old, key, known)):
                found.add(file)
            else:
                first.setdefault(key, []).append(path)
        return found

    def _named(self) -> dict[str, list[Path]]:
        if self._found is None:
            self._found = {}
            for place in self._places():
                for name in survey.names(place):
                    if ",D=" in name and ",U=" in name:
                        self._found.setdefault(parse_name(name).key, []).append(place / name)
        return self._found

    def _places(self) -> Iterator[Path]:
        for _, mailbox in survey.mailboxes(self._site.account_folder(self._account_id)):
            yield from (mailbox / "cur", mailbox / "new")
        yield from (self._site.path / ROOT / spread(self._account_id) / str(self._account_id)).glob("m*")


def _is_copy(one: Path, other: Path) -> bool:
    """Another file with the same octets. Two names of one file are a MOVE that was under way."""
    try:
        return not os.path.samefile(one, other) and filecmp.cmp(one, other, shallow=False)
    except FileNotFoundError:
        return False


def _is_over(connection: Connection, old: MailboxRow | None, key: str, known: Known) -> bool:
    """The delivery was done, and its message has no row any more."""
    if old is None:
        return False
    row = connection.exec_driver_sql(
        "SELECT uid FROM dedupe WHERE mailbox_id = ? AND key = ?", (old.id, key)
    ).fetchone()
    return row is not None and row[0] not in known.uids.values()


def remove_unfinished(folder: Path) -> bool:
    """The folder of a mailbox whose creation was not committed: no mail was ever in it. False, and nothing is
    removed, where it holds anything but what a creation makes. Raises DiskFull, Unavailable."""
    made = {*FOLDERS, MARKER}
    for name in survey.names(folder):
        described = name.removeprefix(".").startswith(MAILBOX_FILE)  # or a new one of it, never renamed
        if not described and (name not in made or (name in FOLDERS and survey.names(folder / name))):
            return False
    with disk.failures(folder):
        for name in survey.names(folder):
            if name in FOLDERS:
                os.rmdir(folder / name)
            else:
                os.unlink(folder / name)
        os.rmdir(folder)
    return True
