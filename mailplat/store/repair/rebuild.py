"""`rebuild`: make a shard's index again from its files.

What files and descriptions say wins over rows: UIDVALIDITY, UIDs, flags, keywords, dates, UIDLs, names of mailboxes,
subscriptions. MODSEQ goes on above everything that was ever handed out, the same for every message, so that
each client reads all flags again. Of the old index only what no file knows is kept: dedupe keys, expunged UIDs,
the epochs of accounts that are closed.

One transaction for each mailbox; a crash leaves some rebuilt and some not, and a second rebuild completes it. Nothing
is removed from disk but second files of one message, octet for octet the same, and what `leaving` lists.
"""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import InvalidInput, LimitReached
from mailplat.store.append import INSERT_MESSAGE, INSERT_RENDERING
from mailplat.store.description import (
    MailboxDescription,
    modseq_ceiling,
    read_account,
    read_mailbox,
    uid_ceiling,
    write_account,
    write_mailbox,
)
from mailplat.store.flagsets import SYSTEM_BITS, Numbering
from mailplat.store.index.tables import rendering_id
from mailplat.store.mailboxes import forget_rows, insert_mailbox
from mailplat.store.maildir import FOLDERS, MARKER, parse_name, saved_at
from mailplat.store.names import INBOX, check_name
from mailplat.store.repair import problems, survey
from mailplat.store.repair.adoption import Adopted, plan, put_in_place
from mailplat.store.repair.counting import recount
from mailplat.store.repair.survey import File
from mailplat.store.shard import Shard
from mailplat.store.site import COLUMNS, MailboxRow, Site
from mailplat.store.staging import columns, discard, render_file
from mailplat.store.tombstones import mark_forgotten
from mailplat.store.types import MAX_UID, Problem, Report
from mailplat.store.vault.recovery import recover

# Messages rendered and inserted at once: a few MB.
_SLICE = 500

# Where a mailbox comes back whose name nobody knows any more.
_FOUND = "Recovered"

_INSERT = (
    "INSERT INTO mailbox (id, account_id, name, special_use, uidvalidity, uidnext, modseq, uid_ceiling,"
    " modseq_ceiling, messages, unseen, size, backfills, named, described)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, 0, 0)"
)


def rebuild(shard: Shard) -> Report:
    """Raises Unavailable while another process has the shard open, or when the disk refuses."""
    shard.site.claim()
    shard.sweep()
    report = _Rebuild(shard.site).run()
    recover(shard.site)
    shard.forget()
    shard.settle_names()
    return report


class _Rebuild:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._report = Report()

    def run(self) -> Report:
        folders = dict(survey.accounts(self._site.path))
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
        return self._report

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
                "INSERT INTO account (account_id, epoch, uidvalidity, octets, messages, described, closed)"
                " VALUES (?, ?, ?, 0, 0, 0, 0) ON CONFLICT (account_id) DO UPDATE SET"
                " epoch = excluded.epoch, uidvalidity = excluded.uidvalidity, described = 0, closed = 0",
                (account_id, epoch, uidvalidity),
            )
            if described is not None:
                connection.exec_driver_sql("DELETE FROM subscription WHERE account_id = ?", (account_id,))
                for name in described.subscriptions:
                    connection.exec_driver_sql(
                        "INSERT INTO subscription (account_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
                        (account_id, name),
                    )
        present = survey.mailboxes(folder)
        self._drop_vanished(account_id, {number for number, _ in present})
        for number, path in present:
            self._mailbox(account_id, number, path)
        with self._site.database.write() as connection:
            write_account(self._site, connection, account_id)

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

    def _mailbox(self, account_id: int, number: int, folder: Path) -> None:
        self._report.mailboxes += 1
        described = read_mailbox(folder)
        found = survey.contents(folder)
        for name in found.strange:
            self._problem(problems.STRANGE, folder / name, "neither a file nor a folder of ours")
        with disk.failures(folder):
            for name in FOLDERS:
                (folder / name).mkdir(exist_ok=True, mode=0o700)
            if number:
                (folder / MARKER).touch(mode=0o600)
        with self._site.database.write() as connection:
            rows = self._rows(connection, account_id)
            old = next(
                (row for row in rows if (row.name == INBOX if number == 0 else row.id == number)), None
            )
            fresh = self._describe(connection, account_id, number, folder, described, old)
            if number not in (0, fresh.id):
                disk.rename(folder, self._site.mailbox_folder(fresh), "rebuild.rename")
                folder = self._site.mailbox_folder(fresh)
            adoption = plan(folder, found.files, fresh.uidnext)
            discard(adoption.twins)
            self._report.swept += len(adoption.twins)
            self._note_lost(connection, old, fresh, found.files, folder)
            _replace_row(connection, old, fresh, adoption.messages)
            if described is not None:
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
            self._insert(connection, row, folder, adoption.messages)
        self._report.messages += len(adoption.messages)
        self._report.adopted += sum(adopted.fresh for adopted in adoption.messages)

    def _describe(
        self,
        connection: Connection,
        account_id: int,
        number: int,
        folder: Path,
        described: MailboxDescription | None,
        old: MailboxRow | None,
    ) -> MailboxRow:
        """The new row: what the description says, else the old row, else a mailbox under a name of ours."""
        if described is None:
            self._problem(problems.DESCRIPTION, folder, "mailbox has no description that can be read")
        named = described.name if described else old.name if old else f"{_FOUND}/{number}"
        name = INBOX if number == 0 else self._free_name(connection, account_id, number, named)
        validity = described.uidvalidity if described else old.uidvalidity if old else 0
        if not 1 <= validity <= MAX_UID:
            validity = min(int(self._site.clock.now()), MAX_UID)
        same = old is not None and old.uidvalidity == validity
        uidnext = max(described.uidnext if described else 1, old.uidnext if old and same else 1, 1)
        modseq = 1 + max(described.modseq if described else 1, old.modseq if old else 1)
        row_id = old.id if old else self._free_id(connection, number or (described.id if described else 0))
        special = described.special_use if described else old.special_use if old else ""
        return MailboxRow(
            row_id,
            account_id,
            name,
            special,
            validity,
            uidnext,
            modseq,
            uid_ceiling(uidnext),
            modseq_ceiling(modseq),
            0,
            0,
            0,
            (old.backfills if old else 0) + 1,
            0,
            0,
        )

    def _free_name(self, connection: Connection, account_id: int, number: int, name: str) -> str:
        try:
            name = check_name(name, self._site.limits)
        except (InvalidInput, LimitReached):
            name = f"{_FOUND}/{number}"
        for candidate in (name, f"{name} ({number})", f"{_FOUND}/{number}"):
            taken = connection.exec_driver_sql(
                "SELECT 1 FROM mailbox WHERE account_id = ? AND name = ? AND id <> ?",
                (account_id, candidate, number),
            ).fetchone()
            if taken is None and candidate != INBOX:
                return candidate
        raise InvalidInput(f"account {account_id}: no name for mailbox number {number}")

    def _free_id(self, connection: Connection, wanted: int) -> int:
        """`wanted`, unless another mailbox has it: folders copied here from another shard."""
        taken = connection.exec_driver_sql("SELECT 1 FROM mailbox WHERE id = ?", (wanted,)).fetchone()
        if wanted and taken is None:
            return wanted
        (last,) = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM mailbox").one()
        return int(last) + 1

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
    ) -> None:
        numbering = Numbering(connection, self._site.library, row.id, self._site.limits)
        known = (1 << (SYSTEM_BITS + len(numbering.keywords()))) - 1
        for start in range(0, len(messages), _SLICE):
            renderings, rows = [], []
            for adopted in messages[start : start + _SLICE]:
                file = put_in_place(folder, adopted.file)
                said = file.said
                if said.size not in (-1, file.size):
                    self._problem(
                        problems.SIZE, folder / file.place / file.name, f"{file.size} octets, not {said.size}"
                    )
                rendering = render_file(folder / file.place / file.name)
                renderings.append((rendering_id(row.id, adopted.uid), *columns(rendering)))
                flagset = numbering.number_of(said.mask & known)
                born = saved_at(said.unique) or file.mtime
                rows.append(
                    (
                        row.id,
                        adopted.uid,
                        row.modseq,
                        flagset,
                        file.size,
                        math.floor(file.mtime),
                        said.zone,
                        born,
                        file.name,
                        said.uidl or None,
                    )
                )
            connection.exec_driver_sql(INSERT_RENDERING, renderings)
            connection.exec_driver_sql(INSERT_MESSAGE, rows)

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
        self._report.problems.append(Problem(kind, str(path), text))


def _replace_row(
    connection: Connection, old: MailboxRow | None, fresh: MailboxRow, messages: Sequence[Adopted]
) -> None:
    """The mailbox's row without messages; expunged UIDs and dedupe keys stay while the UIDVALIDITY does."""
    connection.exec_driver_sql(
        "DELETE FROM rendering WHERE id BETWEEN ? AND ?",
        (rendering_id(fresh.id, 0), rendering_id(fresh.id, MAX_UID)),
    )
    tables = ["message", "keyword", "flagset"]
    if old is None or old.uidvalidity != fresh.uidvalidity:
        tables += ["expunged", "dedupe"]
    for table in tables:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE mailbox_id = ?", (fresh.id,))
    connection.exec_driver_sql("DELETE FROM mailbox WHERE id = ?", (fresh.id,))
    connection.exec_driver_sql(_INSERT, (*fresh[:9], fresh.backfills))
    if old is None:
        mark_forgotten(connection, fresh.id, fresh.modseq)
    if messages:
        connection.exec_driver_sql(
            "DELETE FROM expunged WHERE mailbox_id = ? AND uid = ?",
            [(fresh.id, adopted.uid) for adopted in messages],
        )
