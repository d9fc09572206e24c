"""`rebuild`: make a shard's index again from its files.

What files and descriptions say wins over rows: UIDVALIDITY, UIDs, flags, keywords, dates, UIDLs, names of mailboxes,
subscriptions. MODSEQ goes on above everything that was ever handed out, the same for every message, so that
each client reads all flags again. Of the old index only what no file knows is kept: expunged UIDs, the dedupe keys
of appends, the epochs of accounts that are closed.

One transaction for each mailbox; a crash leaves some rebuilt and some not, and a second rebuild completes it. Nothing
is removed from disk but second files of one message, what a crash left half done (unfinished.py) and what `leaving`
lists.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store import acl
from mailplat.store.annotations import ACCOUNT, put
from mailplat.store.append import INSERT_MESSAGE
from mailplat.store.deliveries import remember
from mailplat.store.description import (
    read_account,
    read_mailbox,
    uid_ceiling,
    write_account,
    write_mailbox,
)
from mailplat.store.flagsets import SYSTEM_BITS, Numbering
from mailplat.store.index import renderings
from mailplat.store.mailboxes import forget_rows, insert_mailbox
from mailplat.store.maildir import FOLDERS, MARKER, new_unique, parse_name, saved_at
from mailplat.store.names import INBOX
from mailplat.store.repair import problems, survey
from mailplat.store.repair.adoption import Adopted, plan, put_in_place
from mailplat.store.repair.beginning import prepare_index
from mailplat.store.repair.counting import recount
from mailplat.store.repair.foreign import ORIGINALS, Taken, finish, is_foreign, take
from mailplat.store.repair.links import recount_links
from mailplat.store.repair.renderers import Renderers
from mailplat.store.repair.succession import Succession
from mailplat.store.repair.survey import File
from mailplat.store.repair.unfinished import Deliveries, remove_unfinished
from mailplat.store.shard import Shard
from mailplat.store.site import COLUMNS, MailboxRow, Site
from mailplat.store.staging import discard
from mailplat.store.tombstones import mark_forgotten
from mailplat.store.types import Problem, Report
from mailplat.store.vault.recovery import recover

# Messages rendered and inserted at once: a few MB.
_SLICE = 500

_INSERT = (
    "INSERT INTO mailbox (id, account_id, name, special_use, uidvalidity, uidnext, modseq, uid_ceiling,"
    " modseq_ceiling, messages, unseen, size, backfills, named, described, object_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, 0, 0, ?)"
)


def rebuild(shard: Shard) -> Report:
    """Raises Unavailable while another process has the shard open, when the disk refuses, and where there are files
    that a later release has encoded: their rows could not be made again."""
    site = shard.site
    site.claim()
    site.fulltext.remove()  # what is kept of UIDs that may name other messages
    unreadable = [path for path in survey.files(site.path) if not parse_name(path.name).readable]
    if unreadable:
        raise Unavailable(
            f"shard {shard.name}: {len(unreadable)} files were encoded by a later release, such as {unreadable[0]}; "
            "install that release, then rebuild"
        )
    trouble = site.trouble
    report = Report()
    if trouble is None:
        shard.settle_names()  # what the index knows better than names of files, it says so now
        shard.sweep()
    else:
        report.problems.append(Problem(trouble.kind, trouble.place, str(trouble)))
        prepare_index(site, trouble.kind)
    site.seal.close()
    with Renderers() as renderers:
        _Rebuild(site, report, renderers, current=trouble is None).run()
    recover(site)
    site.seal.start_anew()
    site.trouble = None
    recount_links(site)  # figures; where a crash keeps us from it, verify counts
    shard.forget()
    shard.settle_names()
    return report


class _Rebuild:
    def __init__(self, site: Site, report: Report, renderers: Renderers, *, current: bool) -> None:
        """`current`: the index is as new as the files."""
        self._site = site
        self._report = report
        self._renderers = renderers
        self._current = current
        self._folders = dict(survey.accounts(site.path))
        numbers = (number for folder in self._folders.values() for number, _ in survey.mailboxes(folder))
        self._succession = Succession(site, numbers, current=current)

    def run(self) -> None:
        folders = self._folders
        for account_id, folder in sorted(folders.items()):
            self._account(account_id, folder)
        with self._site.read() as connection:
            bare = [
                account_id
                for (account_id,) in connection.exec_driver_sql(
                    "SELECT account_id FROM account WHERE closed = 0"
                )
                if account_id not in folders
            ]
        for account_id in bare:
            self._bare_account(account_id)
        with self._site.database.write() as connection:
            recount(connection)

    def _account(self, account_id: int, folder: Path) -> None:
        self._report.accounts += 1
        described = read_account(folder)
        if described is None:
            self._problem(problems.DESCRIPTION, folder, "account has no description that can be read")
        with self._site.database.write() as connection:
            row = connection.exec_driver_sql(
                "SELECT epoch, uidvalidity FROM account WHERE account_id = ?", (account_id,)
            ).fetchone()
            epoch = max(row[0] if row else 1, described.epoch if described else 1)
            uidvalidity = max(row[1] if row else 0, described.uidvalidity if described else 0)
            connection.exec_driver_sql(
                "INSERT INTO account (account_id, epoch, uidvalidity, octets, messages, described, closed, pool)"
                " VALUES (?, ?, ?, 0, 0, 0, 0, ?) ON CONFLICT (account_id) DO UPDATE SET"
                " epoch = excluded.epoch, uidvalidity = excluded.uidvalidity, described = 0, closed = 0,"
                " pool = coalesce(nullif(excluded.pool, ''), pool)",
                (account_id, epoch, uidvalidity, described.pool if described else ""),
            )
            if described is not None:
                put(connection, account_id, ACCOUNT, described.annotations)
                connection.exec_driver_sql("DELETE FROM subscription WHERE account_id = ?", (account_id,))
                for name in described.subscriptions:
                    connection.exec_driver_sql(
                        "INSERT INTO subscription (account_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
                        (account_id, name),
                    )
        present = [each for each in survey.mailboxes(folder) if not self._is_unfinished(account_id, *each)]
        self._drop_vanished(account_id, {number for number, _ in present})
        deliveries = Deliveries(self._site, account_id)
        for number, path in present:
            self._mailbox(account_id, number, path, deliveries)
        for name, path in survey.foreign_mailboxes(folder):
            with self._site.read() as connection:
                number = self._succession.free_id(connection, 0)
            self._problem(problems.UNKNOWN, path, f"made by another program; is mailbox {name!r} now")
            own = folder / f".m{number}"
            with disk.failures(path):
                disk.rename(path, own, "rebuild.rename")
            self._mailbox(account_id, number, own, deliveries, name)
        with self._site.database.write() as connection:
            write_account(self._site, connection, account_id)

    def _is_unfinished(self, account_id: int, number: int, path: Path) -> bool:
        """An empty folder that no index as new as the files knows, or that has no name: it is removed."""
        with self._site.read() as connection:
            row = connection.exec_driver_sql(
                "SELECT 1 FROM mailbox WHERE id = ? AND account_id = ?", (number, account_id)
            ).fetchone()
        if number == 0 or row is not None or not (self._current or read_mailbox(path) is None):
            return False
        removed = remove_unfinished(path)
        self._report.swept += removed
        return removed

    def _drop_vanished(self, account_id: int, present: set[int]) -> None:
        """Rows of mailboxes whose folder is gone."""
        with self._site.database.write() as connection:
            for row in self._rows(connection, account_id):
                if row.name != INBOX and row.id not in present:
                    self._problem(
                        problems.FOLDER,
                        self._site.mailbox_folder(row),
                        f"mailbox {row.name!r} of {row.messages} messages has no folder any more",
                    )
                    forget_rows(connection, row.id)

    def _rows(self, connection: Connection, account_id: int) -> list[MailboxRow]:
        found = connection.exec_driver_sql(
            f"SELECT {COLUMNS} FROM mailbox WHERE account_id = ?", (account_id,)
        )
        return [MailboxRow(*row) for row in found.fetchall()]

    def _mailbox(
        self, account_id: int, number: int, folder: Path, deliveries: Deliveries, wanted: str = ""
    ) -> None:
        """`wanted`: the name that another program gave it."""
        self._report.mailboxes += 1
        described = read_mailbox(folder)
        found = survey.contents(folder)
        for name in found.strange:
            self._problem(problems.STRANGE, folder / name, "neither a file nor a folder of ours")
        with disk.failures(folder):
            for name in FOLDERS:
                if (folder / name).is_symlink():  # mail must not go where it leads
                    disk.rename(folder / name, folder / f"{name}.{new_unique()}", "rebuild.rename")
                (folder / name).mkdir(exist_ok=True, mode=0o700)
            if number:
                (folder / MARKER).touch(mode=0o600)
        with self._site.database.write() as connection:
            rows = self._rows(connection, account_id)
            old = next(
                (row for row in rows if (row.name == INBOX if number == 0 else row.id == number)), None
            )
            if described is None and not wanted:
                self._problem(problems.DESCRIPTION, folder, "mailbox has no description that can be read")
            fresh = self._succession.describe(connection, account_id, number, described, old, wanted)
            if number not in (0, fresh.id):
                disk.rename(folder, self._site.mailbox_folder(fresh), "rebuild.rename")
                folder = self._site.mailbox_folder(fresh)
            known = self._succession.known(connection, old, fresh, described)
            seconds = deliveries.seconds(connection, old, folder, found.files, known)
            adoption = plan(
                folder, [file for file in found.files if file not in seconds], known, fresh.uidnext
            )
            doubled = [*adoption.twins, *(folder / file.place / file.name for file in seconds)]
            discard(doubled)
            self._report.swept += len(doubled)
            self._note_lost(connection, old, fresh, found.files, folder)
            _replace_row(connection, old, fresh, adoption.messages)
            if described is not None:
                put(connection, account_id, fresh.id, described.annotations)
                acl.put(connection, account_id, fresh.id, described.acl)
                for place, word in enumerate(described.keywords):
                    connection.exec_driver_sql(
                        "INSERT INTO keyword (mailbox_id, number, name) VALUES (?, ?, ?)",
                        (fresh.id, place, word),
                    )
            uids = [adopted.uid for adopted in adoption.messages]
            row = fresh._replace(uidnext=max([fresh.uidnext, *(uid + 1 for uid in uids)]))
            row = row._replace(uid_ceiling=uid_ceiling(row.uidnext))
            connection.exec_driver_sql(
                "UPDATE mailbox SET uidnext = ?, uid_ceiling = ? WHERE id = ?",
                (row.uidnext, row.uid_ceiling, row.id),
            )
            write_mailbox(self._site, connection, row)
            taken = self._insert(connection, row, folder, adoption.messages)
        for each in taken:
            finish(self._site, account_id, row.id, each)
        self._report.messages += len(adoption.messages)
        self._report.adopted += sum(adopted.fresh for adopted in adoption.messages)

    def _note_lost(
        self,
        connection: Connection,
        old: MailboxRow | None,
        fresh: MailboxRow,
        files: Sequence[File],
        folder: Path,
    ) -> None:
        """Messages of the old index that have no file any more count as expunged from now on."""
        if old is None:
            return
        uniques = {file.said.unique for file in files}
        gone = [
            (uid, name)
            for uid, name in connection.exec_driver_sql(
                "SELECT uid, name FROM message WHERE mailbox_id = ?", (old.id,)
            )
            if parse_name(name).unique not in uniques
        ]
        for uid, name in gone:
            self._problem(problems.MISSING, folder / name, f"UID {uid} of {fresh.name!r} has no file")
        if gone and old.uidvalidity == fresh.uidvalidity:
            connection.exec_driver_sql(
                "INSERT INTO expunged (mailbox_id, modseq, uid) VALUES (?, ?, ?)",
                [(old.id, fresh.modseq, uid) for uid, _ in gone],
            )

    def _insert(
        self, connection: Connection, row: MailboxRow, folder: Path, messages: Sequence[Adopted]
    ) -> list[Taken]:
        numbering = Numbering(connection, self._site.library, row.id, self._site.limits)
        known = (1 << (SYSTEM_BITS + len(numbering.keywords()))) - 1
        taken: list[Taken] = []
        files: list[list[File]] = []

        def slices() -> Iterator[list[Path]]:
            for start in range(0, len(messages), _SLICE):
                some = [self._own(row, folder, each, taken) for each in messages[start : start + _SLICE]]
                files.append(some)
                yield [folder / file.place / file.name for file in some]

        for number, rendered in enumerate(self._renderers.render(slices(), len(messages))):
            some = list(zip(messages[number * _SLICE :], files[number], rendered, strict=False))
            rows = [
                (
                    row.id,
                    each.uid,
                    row.modseq,
                    numbering.number_of(file.said.mask & known),
                    file.size,
                    math.floor(file.mtime),
                    file.said.zone,
                    saved_at(file.said.unique) or file.mtime,
                    file.name,
                    file.said.uidl or None,
                )
                for each, file, _ in some
            ]
            renderings.insert(connection, row.id, ((each.uid, values) for each, _, values in some))
            connection.exec_driver_sql(INSERT_MESSAGE, rows)
            delivered = [
                (file.said.key, each.uid, row.modseq, int(saved_at(file.said.unique) or file.mtime))
                for each, file, _ in some
                if file.said.key
            ]
            remember(self._site, connection, row.account_id, row.id, delivered)
        self._site.sync_folders({folder / each.file.place for each in taken}, "foreign.dirsync")
        return taken

    def _own(self, row: MailboxRow, folder: Path, adopted: Adopted, taken: list[Taken]) -> File:
        """The file under a name that a row can speak of. One that says the UID of another mailbox has its keywords
        too, and gets a new name as a foreign one does."""
        file = adopted.file
        if not is_foreign(file) and not (adopted.fresh and file.said.uid):
            if file.said.size not in (-1, file.size):
                self._problem(
                    problems.SIZE,
                    folder / file.place / file.name,
                    f"{file.size} octets, not {file.said.size}",
                )
            return put_in_place(folder, file)
        new = take(self._site, folder, file)
        taken.append(new)
        if new.converted:
            self._problem(
                problems.LINES, new.original, f"bare LF; kept in {ORIGINALS}/{row.account_id}/{row.id}/"
            )
        return new.file

    def _bare_account(self, account_id: int) -> None:
        """The folder is gone, the account is not: it begins again, empty."""
        self._problem(
            problems.FOLDER,
            self._site.account_folder(account_id),
            "account has no folder; begins again, empty",
        )
        self._report.accounts += 1
        with disk.failures(self._site.path):
            self._site.account_folder(account_id).mkdir(parents=True, mode=0o700)
        with self._site.database.write() as connection:
            for row in self._rows(connection, account_id):
                forget_rows(connection, row.id)
            insert_mailbox(self._site, connection, account_id, INBOX)
            write_account(self._site, connection, account_id)

    def _problem(self, kind: str, path: Path, text: str) -> None:
        with contextlib.suppress(ValueError):
            path = path.relative_to(self._site.path)
        self._report.problems.append(problems.problem(kind, path, text))


def _replace_row(
    connection: Connection, old: MailboxRow | None, fresh: MailboxRow, messages: Sequence[Adopted]
) -> None:
    """The mailbox's row without messages; expunged UIDs and dedupe keys stay while the UIDVALIDITY does."""
    renderings.forget_all(connection, fresh.id)
    tables = ["message", "keyword", "flagset"]
    if old is None or old.uidvalidity != fresh.uidvalidity:
        tables += ["expunged", "dedupe"]
    for table in tables:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE mailbox_id = ?", (fresh.id,))
    connection.exec_driver_sql("DELETE FROM mailbox WHERE id = ?", (fresh.id,))
    connection.exec_driver_sql(_INSERT, (*fresh[:9], fresh.backfills, fresh.object_id))
    if old is None:
        mark_forgotten(connection, fresh.id, fresh.modseq)
    if messages:
        connection.exec_driver_sql(
            "DELETE FROM expunged WHERE mailbox_id = ? AND uid = ?",
            [(fresh.id, adopted.uid) for adopted in messages],
        )
