"""Everything that the sources say, in one place, before any of it is taken: a temporary SQLite file, so that a
directory of any size costs little memory, and a source that cannot be read to its end changes nothing.

The file has the hashes in it. It lies in a folder of the platform's own (mode 0700), is overwritten and removed at
the end, and what a killed process left is removed by the next. One process of a machine has it at a time.
"""

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.address import Address
from mailplat.core.errors import Unavailable
from mailplat.db.driver import Row, change, fetch_all, fetch_one
from mailplat.db.engine import Database
from migration.directory.description import Description
from migration.directory.entries import AccountEntry, AliasEntry, DomainAliasEntry, DomainEntry, Entry, Remark

# Entries that are held at once, and names asked for in one SELECT.
BATCH = 500

_TABLES = (
    "CREATE TABLE domain (name TEXT PRIMARY KEY, quota INTEGER) WITHOUT ROWID",
    "CREATE TABLE account (key TEXT PRIMARY KEY, local TEXT, domain TEXT, hash TEXT, quota INTEGER, active INTEGER,"
    " source INTEGER, place TEXT) WITHOUT ROWID",
    "CREATE TABLE alias (source TEXT PRIMARY KEY, targets TEXT, number INTEGER, place TEXT) WITHOUT ROWID",
    "CREATE TABLE twin (name TEXT PRIMARY KEY, target TEXT, place TEXT) WITHOUT ROWID",
    "CREATE INDEX account_domain ON account (domain)",
)

_PUT_DOMAIN = "INSERT INTO domain VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET quota = coalesce(quota, ?)"


@dataclass(frozen=True, slots=True)
class StagedAccount:
    """None: no source says."""

    address: Address
    password_hash: str | None = field(repr=False)
    quota: int | None
    active: bool | None
    place: str


@dataclass(frozen=True, slots=True)
class StagedAlias:
    source: str
    targets: tuple[Address, ...]
    place: str


class Staging:
    """`remark` is told what of the sources is not taken, or is taken in a way that should be known."""

    def __init__(
        self, database: Database, description: Description, remark: Callable[[Remark], None]
    ) -> None:
        self._database = database
        self._description = description
        self._remark = remark

    def fill(self, pause: Callable[[], None]) -> None:
        """Raises what a source raises that cannot be read, and what `pause` raises, which is called between two
        batches."""
        with self._database.write() as connection:
            for statement in _TABLES:
                change(connection, statement, ())
        for source in self._description.sources:
            entries = source.entries()
            while some := list(islice(entries, BATCH)):
                with self._database.write() as connection:
                    self._take(connection, some, source.number)
                pause()
        self._expand()

    def _take(self, connection: Connection, entries: Sequence[Entry], number: int) -> None:
        accounts: list[AccountEntry] = []
        aliases: list[AliasEntry] = []
        for entry in entries:
            match entry:
                case Remark():
                    self._remark(entry)
                case AccountEntry() if self._description.covers(entry.address.domain):
                    accounts.append(entry)
                case AliasEntry() if self._description.covers(entry.source.rpartition("@")[2]):
                    aliases.append(entry)
                case DomainEntry() if self._description.covers(entry.name):
                    change(connection, _PUT_DOMAIN, (entry.name, entry.quota, entry.quota))
                case DomainAliasEntry() if self._description.covers(entry.name):
                    change(
                        connection,
                        "INSERT OR IGNORE INTO twin VALUES (?, ?, ?)",
                        (entry.name, entry.target, entry.place),
                    )
                    change(connection, "INSERT OR IGNORE INTO domain VALUES (?, NULL)", (entry.name,))
                case _:
                    continue
        self._take_accounts(connection, accounts, number)
        self._take_aliases(connection, aliases, number)

    def _take_accounts(self, connection: Connection, entries: Sequence[AccountEntry], number: int) -> None:
        query = "SELECT key, source, place FROM account WHERE key IN"
        rows = _among(connection, query, [each.address.key for each in entries])
        known = {key: (source, place) for key, source, place in rows}
        fresh: list[tuple[object, ...]] = []
        for each in entries:
            key = each.address.key
            values = (each.password_hash, each.quota, each.active)
            if key not in known:
                known[key] = number, each.place
                fresh.append((key, each.address.local, each.address.domain, *values, number, each.place))
            elif known[key][0] == number:
                self._remark(
                    Remark(
                        each.place,
                        f"{each.address} is the account of {known[key][1]} once more; that one was taken",
                    )
                )
            else:
                change(
                    connection,
                    "UPDATE account SET hash = coalesce(hash, ?), quota = coalesce(quota, ?),"
                    " active = coalesce(active, ?) WHERE key = ?",
                    (*values, key),
                )
        if fresh:
            change(connection, "INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *fresh)

    def _take_aliases(self, connection: Connection, entries: Sequence[AliasEntry], number: int) -> None:
        """The first one holds, in a source and between sources, as in a map of Postfix."""
        query = "SELECT source, targets, place FROM alias WHERE source IN"
        rows = _among(connection, query, [each.source for each in entries])
        known = {source: (targets, place) for source, targets, place in rows}
        fresh: list[tuple[object, ...]] = []
        for each in entries:
            targets = json.dumps([(target.local, target.domain) for target in each.targets])
            if each.source not in known:
                known[each.source] = targets, each.place
                fresh.append((each.source, targets, number, each.place))
            elif known[each.source][0] != targets:
                self._remark(
                    Remark(
                        each.place,
                        f"alias {each.source} is that of {known[each.source][1]} once more; that one was taken",
                    )
                )
        if fresh:
            change(connection, "INSERT INTO alias VALUES (?, ?, ?, ?)", *fresh)

    def _expand(self) -> None:
        """A domain that is another's twin gets an alias for each account and alias of that one: the directory has no
        word for it."""
        with self._database.write() as connection:
            for name, target, place in fetch_all(
                connection, "SELECT name, target, place FROM twin ORDER BY name"
            ):
                change(
                    connection,
                    "INSERT OR IGNORE INTO alias SELECT substr(key, 1, length(key) - length(domain)) || ?,"
                    " json_array(json_array(local, domain)), 0, ? FROM account WHERE domain = ?"
                    " AND NOT EXISTS (SELECT 1 FROM account AS own WHERE own.key ="
                    " substr(account.key, 1, length(account.key) - length(account.domain)) || ?)",
                    (name, place, target, name),
                )
                change(
                    connection,
                    "INSERT OR IGNORE INTO alias SELECT substr(source, 1, length(source) - ?) || ?,"
                    " CASE WHEN source LIKE '@%' THEN targets"
                    " ELSE json_array(json_array(substr(source, 1, length(source) - ? - 1), ?)) END, 0, ?"
                    " FROM alias WHERE substr(source, -?) = ? AND NOT EXISTS (SELECT 1 FROM account WHERE key ="
                    " substr(alias.source, 1, length(alias.source) - ?) || ?)",
                    (
                        *(len(target), name, len(target), target, place),
                        *(len(target) + 1, f"@{target}", len(target), name),
                    ),
                )

    # what is there

    def domains(self) -> list[tuple[str, int | None]]:
        with self._database.read() as connection:
            query = "SELECT name, quota FROM domain"
            if self._description.add_domains:
                query += (
                    " UNION SELECT domain, NULL FROM account WHERE domain NOT IN (SELECT name FROM domain)"
                )
            return [(name, quota) for name, quota in fetch_all(connection, f"{query} ORDER BY name")]

    def accounts(self) -> Iterator[list[StagedAccount]]:
        """In batches, by key."""
        columns = "key, local, domain, hash, quota, active, place"
        query = f"SELECT {columns} FROM account WHERE key > ? ORDER BY key LIMIT ?"
        last = ""
        while rows := self._some(query, last):
            last = rows[-1][0]
            yield [
                StagedAccount(
                    Address(local, domain), stored, quota, None if active is None else bool(active), place
                )
                for _, local, domain, stored, quota, active, place in rows
            ]

    def aliases(self) -> Iterator[list[StagedAlias]]:
        query = "SELECT source, targets, place FROM alias WHERE source > ? ORDER BY source LIMIT ?"
        last = ""
        while rows := self._some(query, last):
            last = rows[-1][0]
            yield [
                StagedAlias(source, tuple(Address(*target) for target in json.loads(targets)), place)
                for source, targets, place in rows
            ]

    def lacks(self, table: str, column: str, names: Sequence[str]) -> list[str]:
        """Those of `names` that no source has named."""
        with self._database.read() as connection:
            found = {
                row[0] for row in _among(connection, f"SELECT {column} FROM {table} WHERE {column} IN", names)
            }
        return [name for name in names if name not in found]

    def uncaught(self, domain: str) -> int:
        """How many accounts of a domain have no alias of their own."""
        query = (
            "SELECT count(*) FROM account WHERE domain = ?"
            " AND NOT EXISTS (SELECT 1 FROM alias WHERE source = account.key)"
        )
        with self._database.read() as connection:
            row = fetch_one(connection, query, (domain,))
            return int(row[0]) if row else 0

    def _some(self, query: str, last: str) -> list[Row]:
        with self._database.read() as connection:
            return fetch_all(connection, query, (last, BATCH))


def _among(connection: Connection, query: str, names: Sequence[str]) -> list[Row]:
    """`query` ends with IN; at most BATCH names."""
    return fetch_all(connection, f"{query} ({', '.join('?' * len(names))})", names) if names else []


@contextlib.contextmanager
def staging(folder: Path, description: Description, remark: Callable[[Remark], None]) -> Iterator[Staging]:
    """In `folder`, which is made and emptied. Raises Unavailable while another process of this machine uses it."""
    with contextlib.ExitStack() as stack:
        with disk.failures(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = stack.enter_context(open(folder / "lock", "w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(
                "a directory is being taken over by another process; try again when it is done"
            ) from error
        _empty(folder)
        stack.callback(_empty, folder)
        database = Database(f"sqlite:///{folder}/staging.db", derived=True)
        stack.callback(database.close)
        yield Staging(database, description, remark)


def _empty(folder: Path) -> None:
    with disk.failures(folder):
        for left in folder.glob("staging.db*"):
            left.unlink()
