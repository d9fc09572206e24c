"""`verify`: every row has its file, every file its row. Runs beside whoever uses the shard."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core.errors import MailplatError, NotFound
from mailplat.store.description import MailboxDescription, read_account, read_mailbox
from mailplat.store.fetch import locate
from mailplat.store.index import renderings
from mailplat.store.index.tables import WITH_OR_WITHOUT
from mailplat.store.mailboxes import advance
from mailplat.store.maildir import parse_name, saved_at
from mailplat.store.opening import unreadable
from mailplat.store.repair import problems, survey
from mailplat.store.repair.adoption import adopt
from mailplat.store.repair.counting import recount
from mailplat.store.repair.foreign import is_foreign
from mailplat.store.repair.links import recount_links
from mailplat.store.repair.survey import File
from mailplat.store.shard import Shard
from mailplat.store.site import COLUMNS, MailboxRow, Site
from mailplat.store.staging import discard
from mailplat.store.sweeper import remove_path
from mailplat.store.types import MAX_UID, Report
from mailplat.store.vault.entry import is_waiting

_HOUR = 3600

# Between the name of a new file and its way into the mailbox; a stalled disk is given up long before.
_AT_ONCE_S = 3600.0


def verify(
    shard: Shard,
    *,
    sweep_hours: float | None = None,
    adopting: bool = False,
    vault: Path | None = None,
) -> Report:
    """Leftovers of crashes older than `sweep_hours` (limits.sweep_hours) are removed; 0 is for a shard that
    nobody else uses. `adopting`: files that were put here by hand become messages at once. Totals are corrected.
    `vault`: a folder with one more vault/ that the index speaks of. Raises Unavailable."""
    hours = shard.site.limits.sweep_hours if sweep_hours is None else sweep_hours
    shard.settle_names()
    shard.sweep()
    # the file system's clock, not ours: a file made this very instant must not look older than `now`
    newest = shard.site.clock.now() - hours * _HOUR if hours else float("inf")
    report = _Verification(shard.site, newest, adopting=adopting).run()
    report.problems += recount_links(shard.site, vault)
    return report


class _Verification:
    def __init__(self, site: Site, before: float, *, adopting: bool) -> None:
        self._site = site
        self._before = before
        self._adopting = adopting
        self._uniques: tuple[int, set[tuple[int, str]]] = (
            0,
            set(),
        )  # of one account: mailbox, part of the name
        self._report = Report()

    def run(self) -> Report:
        with self._site.read() as connection:
            rows = [
                MailboxRow(*row)
                for row in connection.exec_driver_sql(
                    f"SELECT {COLUMNS} FROM mailbox ORDER BY account_id, id"
                )
            ]
            known = {
                account_id
                for (account_id,) in connection.exec_driver_sql(
                    "SELECT account_id FROM account WHERE closed = 0"
                )
            }
        by_account: dict[int, list[MailboxRow]] = defaultdict(list)
        for row in rows:
            by_account[row.account_id].append(row)
        folders = dict(survey.accounts(self._site.path))
        for account_id in sorted(known):
            self._account(account_id, by_account[account_id], folders.get(account_id))
        for account_id in sorted(folders.keys() - known):
            self._unknown_account(account_id, folders[account_id])
        for path in survey.leftovers(self._site.tmp, self._before):
            remove_path(self._site, str(path.relative_to(self._site.path)))
            self._report.swept += 1
        for name, text in self._site.write(recount):
            self._problem(problems.COUNT, Path(name), text)
        return self._report

    def _account(self, account_id: int, rows: Sequence[MailboxRow], folder: Path | None) -> None:
        self._report.accounts += 1
        if folder is None:
            if self._still(account_id):
                self._problem(problems.FOLDER, self._site.account_folder(account_id), "account has no folder")
            return
        if read_account(folder) is None:
            self._problem(problems.DESCRIPTION, folder, "account has no description that can be read")
        for row in rows:
            self._mailbox(row)
        known = {row.id for row in rows}
        for number, path in survey.mailboxes(folder):
            if number and number not in known:
                self._unknown_mailbox(account_id, number, path)
        for name, path in survey.foreign_mailboxes(folder):
            self._problem(problems.UNKNOWN, path, f"a mailbox {name!r} that another program made")

    def _mailbox(self, row: MailboxRow) -> None:
        folder = self._site.mailbox_folder(row)
        found = survey.contents(folder)
        with self._site.read() as connection:
            now = connection.exec_driver_sql(
                f"SELECT {COLUMNS} FROM mailbox WHERE id = ?", (row.id,)
            ).fetchone()
            if now is None:
                return  # deleted meanwhile
            row = MailboxRow(*now)
            messages = connection.exec_driver_sql(
                f"SELECT m.uid, m.name, m.size, r.id FROM {WITH_OR_WITHOUT} WHERE m.mailbox_id = ?",
                (row.id,),
            ).fetchall()
            later = set(renderings.later(connection, row.id, 1, MAX_UID))
        self._report.mailboxes += 1
        self._report.messages += len(messages)
        if not (folder / "cur").is_dir() or not (folder / "new").is_dir():
            self._problem(problems.FOLDER, folder, f"mailbox {row.name!r} has no folder")
            return
        for name in found.strange:
            self._problem(problems.STRANGE, folder / name, "neither a file nor a folder of ours")
        described = read_mailbox(folder)
        if described is None:
            self._problem(problems.DESCRIPTION, folder, "mailbox has no description that can be read")
        elif described.uidnext > row.uid_ceiling or described.modseq > row.modseq_ceiling:
            self._catch_up(row, described)
        listed = {(file.place, file.name): file for file in found.files}
        rest = dict(listed)
        for uid, name, size, rendering in messages:
            place = "cur" if ":2," in name else "new"
            self._message(row, folder, uid, name, size, rest.pop((place, name), None))
            if rendering is None and uid not in later:
                self._problem(problems.RENDERING, folder / place / name, f"UID {uid} has no rendering")
        if rest:
            names = {parse_name(name).unique: uid for uid, name, _, _ in messages}
            inodes = {file.inode for key, file in listed.items() if key not in rest}
            for file in rest.values():
                self._stray(row, folder, file, names, described, inodes)

    def _catch_up(self, row: MailboxRow, described: MailboxDescription) -> None:
        """The file promises more than the index knows of: a transaction that raised it did not come to its end, or
        the index is an older one. Either way no UID below the file's ceiling may be given (again)."""

        def apply(connection: Connection) -> None:
            now = self._site.mailbox_by_id(connection, row.account_id, row.id)
            if (now.uid_ceiling, now.modseq_ceiling) == (row.uid_ceiling, row.modseq_ceiling):
                uidnext, modseq = max(now.uidnext, described.uidnext), max(now.modseq, described.modseq)
                advance(self._site, connection, now, uidnext, modseq)

        with contextlib.suppress(NotFound):  # deleted meanwhile
            self._site.write(apply)

    def _message(
        self, row: MailboxRow, folder: Path, uid: int, name: str, size: int, file: File | None
    ) -> None:
        if file is None:
            self._lost(row, folder, uid, name)
        elif not file.said.readable:
            self._unreadable(folder, file)
        elif file.size != size:
            self._problem(
                problems.SIZE, folder / file.place / name, f"UID {uid}: {file.size} octets, not {size}"
            )

    def _lost(self, row: MailboxRow, folder: Path, uid: int, name: str) -> None:
        """Not where it was listed: renamed or expunged while we looked, or really away."""
        path, present = locate(self._site, row, uid)
        if not present:
            return
        if path is None:
            self._problem(problems.MISSING, folder / name, f"UID {uid} of {row.name!r} has no file")
        elif not self._is_row(row.id, path.name):
            self._problem(problems.NAME, path, f"UID {uid} should be called {name}")

    def _stray(
        self,
        row: MailboxRow,
        folder: Path,
        file: File,
        names: dict[str, int],
        described: MailboxDescription | None,
        inodes: set[int],
    ) -> None:
        """A file that no row speaks of; `row` and `described` are from before anything was done about it, `inodes`
        those of the files that have rows. That it is there is asked last: what is expunged meanwhile has no row
        any more, but it has no file then either, or it waits for the vault or the sweeper."""
        path = folder / file.place / file.name
        unique, uid = file.said.unique, file.said.uid
        by_hand = is_foreign(file) or self._was_moved(row, file)
        if file.ctime >= self._before and not by_hand and unique not in names:
            return
        if self._is_row(row.id, file.name) or self._is_waiting(row, unique) or not os.path.lexists(path):
            return
        if not file.said.readable:
            self._unreadable(folder, file)
        elif unique in names:
            self._second(row, path, file, names[unique])
        elif by_hand and file.inode in inodes:  # adopted, and cut short before it was removed
            self._sweep([path])
        elif by_hand and self._adopting:
            self._adopt(row, folder, file, renumber=True)
        elif by_hand:
            self._problem(problems.FOREIGN, path, "put here by hand or by another program")
        elif described is None:
            self._problem(problems.UNKNOWN, path, "nobody knows whether this message was accepted")
        elif row.uidnext <= uid < described.uidnext or (not uid and described.uidnext > row.uid_ceiling):
            self._adopt(row, folder, file)
        else:
            self._sweep([path])

    def _was_moved(self, row: MailboxRow, file: File) -> bool:
        """Whether a file with a name of ours was brought here by hand. What an append or a copy left behind came here
        at once when it was made, and no other mailbox of the account has it."""
        if file.ctime - saved_at(file.said.unique) > _AT_ONCE_S:
            return True
        unique = file.said.unique
        with self._site.read() as connection:
            others = connection.exec_driver_sql(
                "SELECT 1 FROM mailbox b JOIN message m ON m.mailbox_id = b.id"
                " WHERE b.account_id = ? AND b.id <> ? AND substr(m.name, 1, ?) = ?",
                (row.account_id, row.id, len(unique), unique),
            )
            return others.fetchone() is not None

    def _unreadable(self, folder: Path, file: File) -> None:
        path = folder / file.place / file.name
        self._problem(problems.UNREADABLE, path, unreadable(file.said.coding))

    def _second(self, row: MailboxRow, path: Path, file: File, uid: int) -> None:
        located, _ = locate(self._site, row, uid)
        if located is None or located == path:
            return
        if os.stat(located).st_ino == file.inode:
            self._sweep([path])
        else:
            self._problem(problems.DOUBLE, path, f"a second file of UID {uid}")

    def _adopt(self, row: MailboxRow, folder: Path, file: File, *, renumber: bool = False) -> None:
        try:
            if adopt(self._site, row, folder, file, renumber=renumber):
                self._report.converted += 1
        except MailplatError as error:
            self._problem(problems.UNKNOWN, folder / file.place / file.name, str(error))
        else:
            self._report.adopted += 1

    def _is_row(self, mailbox_id: int, name: str) -> bool:
        try:
            name.encode()
        except UnicodeEncodeError:  # octets that are no text: never a name of ours
            return False
        with self._site.read() as connection:
            return (
                connection.exec_driver_sql(
                    "SELECT 1 FROM message WHERE mailbox_id = ? AND name = ?", (mailbox_id, name)
                ).fetchone()
                is not None
            )

    def _is_waiting(self, row: MailboxRow, unique: str) -> bool:
        """For the vault, or for the sweeper."""
        with self._site.read() as connection:
            leaving = connection.exec_driver_sql(
                "SELECT path FROM leaving WHERE account_id = ? AND mailbox_id = ?", (row.account_id, row.id)
            )
            return any(parse_name(Path(path).name).unique == unique for (path,) in leaving) or (
                unique.isascii() and is_waiting(connection, row.id, unique)
            )

    def _unknown_mailbox(self, account_id: int, number: int, folder: Path) -> None:
        """The leftover of a creation that was not acknowledged is empty; anything else is not ours to remove."""
        with self._site.read() as connection:
            known = connection.exec_driver_sql(
                "SELECT 1 FROM mailbox WHERE id = ? UNION ALL SELECT 1 FROM leaving WHERE mailbox_id = ?",
                (number, number),
            ).fetchone()
        if known is not None or not folder.is_dir():
            return
        found = survey.contents(folder)
        if found.files or found.strange:
            self._problem(problems.UNKNOWN, folder, f"a mailbox of {len(found.files)} messages without a row")

    def _unknown_account(self, account_id: int, folder: Path) -> None:
        with self._site.read() as connection:
            known = connection.exec_driver_sql(
                "SELECT 1 FROM account WHERE account_id = ? AND closed = 0"
                " UNION ALL SELECT 1 FROM leaving WHERE account_id = ?",
                (account_id, account_id),
            ).fetchone()
        if known is not None or not folder.is_dir():
            return
        files = sum(len(survey.contents(path).files) for _, path in survey.mailboxes(folder))
        if files:
            self._problem(problems.UNKNOWN, folder, f"an account of {files} messages without a row")

    def _still(self, account_id: int) -> bool:
        with self._site.read() as connection:
            row = connection.exec_driver_sql(
                "SELECT 1 FROM account WHERE account_id = ? AND closed = 0", (account_id,)
            ).fetchone()
        return row is not None and not self._site.account_folder(account_id).is_dir()

    def _sweep(self, paths: Sequence[Path]) -> None:
        discard(paths)
        self._report.swept += len(paths)

    def _problem(self, kind: str, path: Path, text: str) -> None:
        relative = path.relative_to(self._site.path) if path.is_absolute() else path
        self._report.problems.append(problems.problem(kind, relative, text))
