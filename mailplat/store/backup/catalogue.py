"""A point, read: its accounts, mailboxes and messages with their objects. Bounded memory whatever its size."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from mailplat.core import disk
from mailplat.core.errors import NotFound
from mailplat.core.rights import parse
from mailplat.store.backup.known import connect, still
from mailplat.store.backup.manifest import GONE, open_point
from mailplat.store.backup.repository import Point, Repository
from mailplat.store.flagsets import Book
from mailplat.store.types import Entry
from mailplat.store.vault.finding import Item
from mailplat.store.vault.owner import COLUMNS as OWNER_COLUMNS
from mailplat.store.vault.owner import Owner


class SavedMailbox(NamedTuple):
    id: int
    account_id: int
    name: str
    special_use: str
    uidvalidity: int
    uidnext: int
    messages: int


class SavedMessage(NamedTuple):
    mailbox_id: int
    uid: int
    size: int
    name: str
    internaldate: int
    zone: int
    flagset: int
    uidl: str | None
    digest: str | None  # None: gone


_MESSAGES = (
    "SELECT m.mailbox_id, m.uid, m.size, m.name, m.internaldate, m.zone, m.flagset, m.uidl, o.digest"
    " FROM point.message m LEFT JOIN object o ON o.mailbox_id = m.mailbox_id AND o.uid = m.uid"
)


class Catalogue:
    """Of a point whose manifest and index are whole. A context manager."""

    def __init__(self, repository: Repository, point: Point, accounts: Iterable[int] | None = None) -> None:
        """`accounts`: only these are going to be asked for, None: all. Raises ManifestError."""
        self.repository = repository
        self.point = point
        self._manifest = open_point(point.manifest, point.index, point.directory)
        self._connection = connect(None, point=still(point.index))
        wanted = None if accounts is None else set(accounts)
        owners = self._connection.execute("SELECT id, account_id FROM point.mailbox")
        ids = {number for number, owner in owners if wanted is None or owner in wanted}
        if wanted is None:
            ids.add(0)  # the vault
        self._connection.execute(
            "CREATE TABLE object (mailbox_id INTEGER, uid INTEGER, digest TEXT, PRIMARY KEY (mailbox_id, uid))"
            " WITHOUT ROWID"
        )
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO object VALUES (?, ?, ?)",
            (
                (entry.mailbox_id, entry.uid, entry.digest)
                for entry in self._manifest.entries()
                if entry.digest != GONE and entry.mailbox_id in ids
            ),
        )
        self._connection.execute("COMMIT")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def addresses(self) -> dict[str, int]:
        """Of the accounts, as the directory had them."""
        return self._manifest.addresses

    @property
    def taken(self) -> float:
        """When, Unix time by the clock of then."""
        return float(self._manifest.head["taken"])

    def directory(self) -> bytes:
        """What the platform's directory had of the shard's accounts, as it was given to `back_up`."""
        with disk.failures(self.point.directory):
            return self.point.directory.read_bytes()

    def mailboxes(self, account_id: int) -> list[SavedMailbox]:
        """Raises NotFound for an account that the point does not have."""
        known = self._connection.execute(
            "SELECT 1 FROM point.account WHERE account_id = ? AND closed = 0", (account_id,)
        ).fetchone()
        if known is None:
            raise NotFound(f"point {self.point.name} has no account {account_id}")
        found = self._connection.execute(
            "SELECT id, account_id, name, special_use, uidvalidity, uidnext, messages FROM point.mailbox"
            " WHERE account_id = ? ORDER BY name <> 'INBOX', name",
            (account_id,),
        )
        return [SavedMailbox(*row) for row in found]

    def annotations(self, account_id: int, mailbox_id: int) -> dict[str, bytes]:
        """Of a mailbox, or of the account (number 0). Points of before have none."""
        known = self._connection.execute(
            "SELECT 1 FROM point.sqlite_master WHERE name = 'annotation'"
        ).fetchone()
        if known is None:
            return {}
        found = self._connection.execute(
            "SELECT name, value FROM point.annotation WHERE mailbox_id = ? AND account_id = ?",
            (mailbox_id, account_id),
        )
        return {name: bytes(value) for name, value in found}

    def acl(self, account_id: int, mailbox_id: int) -> dict[str, Entry]:
        """Rights of others on a mailbox. Points of before have none."""
        known = self._connection.execute("SELECT 1 FROM point.sqlite_master WHERE name = 'acl'").fetchone()
        if known is None:
            return {}
        found = self._connection.execute(
            "SELECT identifier, grantee_id, rights FROM point.acl WHERE mailbox_id = ? AND account_id = ?",
            (mailbox_id, account_id),
        )
        return {identifier: Entry(number, parse(letters)) for identifier, number, letters in found}

    def messages(self, mailbox_id: int) -> Iterator[SavedMessage]:
        """By UID."""
        query = f"{_MESSAGES} WHERE m.mailbox_id = ? ORDER BY m.uid"
        for row in self._connection.execute(query, (mailbox_id,)):
            yield SavedMessage(*row)

    def vault_accounts(self) -> list[int]:
        """Those that have anything in the vault, or are held, or were removed."""
        found = self._connection.execute(
            "SELECT account_id FROM point.vault UNION SELECT account_id FROM point.vault_owner ORDER BY 1"
        )
        return [account_id for (account_id,) in found]

    def vaulted(self, account_id: int) -> Iterator[tuple[Item, str]]:
        """Each with its digest, by mailbox. Of a catalogue of all accounts."""
        columns = ", ".join(f"v.{name}" for name in Item._fields)
        found = self._connection.execute(
            f"SELECT {columns}, coalesce(o.digest, ?) FROM point.vault v"
            " LEFT JOIN object o ON o.mailbox_id = 0 AND o.uid = v.id"
            " WHERE v.account_id = ? ORDER BY v.mailbox_id, v.id",
            (GONE, account_id),
        )
        for *values, digest in found:
            yield Item(*values), digest

    def owner(self, account_id: int) -> Owner | None:
        row = self._connection.execute(
            f"SELECT {OWNER_COLUMNS} FROM point.vault_owner WHERE account_id = ?", (account_id,)
        ).fetchone()
        return None if row is None else Owner(*row)

    def book(self, mailbox_id: int) -> Book:
        """What the numbers of sets of flags mean."""
        keywords = self._connection.execute(
            "SELECT name FROM point.keyword WHERE mailbox_id = ? ORDER BY number", (mailbox_id,)
        ).fetchall()
        sets = self._connection.execute(
            "SELECT id, mask FROM point.flagset WHERE mailbox_id = ?", (mailbox_id,)
        )
        return Book([name for (name,) in keywords], [(number, int(mask, 16)) for number, mask in sets])

    def open_accounts(self) -> list[int]:
        found = self._connection.execute("SELECT account_id FROM point.account WHERE closed = 0")
        return [account_id for (account_id,) in found]

    def object(self, message: SavedMessage) -> Path:
        assert message.digest is not None, "gone"
        return self.repository.object(message.digest)
