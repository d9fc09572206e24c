"""Rows of the directory as text, and back: what a backup of a shard carries of it.

    {"format": 1, "last": 42}                 the highest number that an account was ever given
    {"domain": {"name": ...}}                 every domain
    {"account": {"id": ..., ...}, "epoch": 3, "app_passwords": [{"label": ..., ...}]}
                                              the accounts whose home the shard is, with quota and password hash
    {"alias": {"source": ..., ...}}           every alias, one line a target

JSON, a line a row, columns by their names: a later release, whose tables have more of them, reads what an earlier one
wrote. Routes are made anew. Only what is missing is added; what is there is right, however it differs.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.address import Address
from mailplat.core.errors import InvalidInput
from mailplat.core.route import Home, RouteState
from mailplat.directory import routes, tables
from mailplat.directory.directory import Directory

FORMAT = 1

Row = Mapping[str, Any]


@dataclass(slots=True)
class Records:
    """What such a text says."""

    last: int = 0
    domains: list[Row] = field(default_factory=list)
    accounts: list[tuple[Row, int]] = field(default_factory=list)  # with the epoch of the route
    aliases: dict[str, list[Row]] = field(default_factory=dict)  # by source
    app_passwords: dict[str, list[Row]] = field(default_factory=dict)  # by Address.key of their account

    def narrow(self, wanted: Callable[[Address], bool], domains: Collection[str], aliases: bool) -> "Records":
        """Only these accounts and domains; the aliases of these domains, or none."""
        return Records(
            self.last,
            [row for row in self.domains if row["name"] in domains],
            [(row, epoch) for row, epoch in self.accounts if wanted(address_of(row))],
            {
                source: rows
                for source, rows in self.aliases.items()
                if aliases and rows[0]["domain"] in domains
            },
            self.app_passwords,
        )


@dataclass(slots=True)
class Added:
    domains: int = 0
    accounts: int = 0
    aliases: int = 0
    present: int = 0  # accounts that were there
    left: int = 0  # accounts that have left the shard since
    taken: list[str] = field(default_factory=list)  # accounts whose number another account has


def address_of(row: Row) -> Address:
    return Address(row["local"], row["domain"])


def write_records(directory: Directory, home: Home) -> bytes:
    """In one read transaction."""
    account, route = tables.account, tables.route
    with directory.database.read() as connection:
        lines: list[dict[str, Any]] = [
            {"format": FORMAT, "last": directory.database.last_number(connection, account)}
        ]
        for row in connection.execute(sa.select(tables.domain).order_by(tables.domain.c.name)):
            lines.append({"domain": dict(row._mapping)})
        query = (
            sa.select(account, route.c.epoch.label("_epoch"))
            .join(route, route.c.account_id == account.c.id)
            .where(route.c.home == str(home))
            .order_by(account.c.id)
        )
        secrets = _app_passwords(connection, home)
        for row in connection.execute(query):
            values = dict(row._mapping)
            epoch = values.pop("_epoch")
            lines.append({"account": values, "epoch": epoch, "app_passwords": secrets.get(values["id"], [])})
        alias = tables.alias
        for row in connection.execute(sa.select(alias).order_by(alias.c.source, alias.c.position)):
            lines.append({"alias": dict(row._mapping)})
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


def _app_passwords(connection: Connection, home: Home) -> dict[int, list[dict[str, Any]]]:
    """By account. Their own numbers are left out: nothing refers to them."""
    app_password, route = tables.app_password, tables.route
    columns = [column for column in app_password.c if column.name != "id"]
    query = (
        sa.select(*columns)
        .join(route, route.c.account_id == app_password.c.account_id)
        .where(route.c.home == str(home))
        .order_by(app_password.c.account_id, app_password.c.label)
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(query):
        values = dict(row._mapping)
        found.setdefault(values.pop("account_id"), []).append(values)
    return found


def read_records(octets: bytes) -> Records:
    """Raises InvalidInput for what this release does not understand, also where nothing was written."""
    records = Records()
    try:
        head, *lines = [json.loads(line) for line in octets.splitlines()]
        if head["format"] != FORMAT:
            raise InvalidInput(f"directory records of format {head['format']}; this release knows {FORMAT}")
        records.last = int(head["last"])
        for line in lines:
            if "domain" in line:
                records.domains.append(line["domain"])
            elif "account" in line:
                records.accounts.append((line["account"], int(line["epoch"])))
                records.app_passwords[line["account"]["key"]] = line.get("app_passwords", [])
            elif "alias" in line:
                records.aliases.setdefault(line["alias"]["source"], []).append(line["alias"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"no directory records, or damaged: {error}") from error
    return records


def add_missing(
    directory: Directory,
    records: Records,
    home: Home,
    *,
    epochs: Mapping[int, int] | None,
    left: Collection[int] = (),
    last: int = 0,
) -> Added:
    """All of it in one transaction. `epochs`: what the shard in `home` has granted, by account: each account gets its
    old number, and a route that the shard will follow; those in `left` are closed there and left out. None: each
    account that is missing gets a new number, its mail is brought back behind. `last`: the highest number of an
    account that the shard has anything of."""
    added = Added()
    with directory.database.write() as connection:
        names = {name for (name,) in connection.execute(sa.select(tables.domain.c.name))}
        fresh = [_columns(tables.domain, row) for row in records.domains if row["name"] not in names]
        if fresh:
            connection.execute(tables.domain.insert(), fresh)
            added.domains = len(fresh)
        directory.database.skip_numbers(connection, tables.account, max(last, records.last))
        known = {key for (key,) in connection.execute(sa.select(tables.account.c.key))}
        numbers = {number for (number,) in connection.execute(sa.select(tables.account.c.id))}
        for row, epoch in records.accounts:
            if row["key"] in known:
                added.present += 1
            elif row["id"] in left:
                added.left += 1
            elif epochs is not None and row["id"] in numbers:
                added.taken.append(f"{address_of(row)} (number {row['id']})")
            else:
                values = _columns(tables.account, row)
                if epochs is None:
                    del values["id"]
                    epoch = 1
                else:
                    epoch = max(epoch, epochs.get(row["id"], 1))
                insert = tables.account.insert().values(values).returning(tables.account.c.id)
                number = connection.execute(insert).scalar_one()
                _add_app_passwords(connection, number, records.app_passwords.get(row["key"], []))
                routes.insert(connection, number, home, RouteState.FINAL, epoch=epoch)
                added.accounts += 1
        directory.database.skip_numbers(connection, tables.account, last)
        sources = {source for (source,) in connection.execute(sa.select(tables.alias.c.source).distinct())}
        for source, rows in records.aliases.items():
            if source not in sources:
                connection.execute(tables.alias.insert(), [_columns(tables.alias, row) for row in rows])
                added.aliases += 1
    return added


def _add_app_passwords(connection: Connection, account_id: int, rows: Sequence[Row]) -> None:
    if rows:
        values = [{**_columns(tables.app_password, row), "account_id": account_id} for row in rows]
        connection.execute(tables.app_password.insert(), values)


def _columns(table: sa.Table, row: Row) -> dict[str, Any]:
    """What this release's table has of it; what the row does not have gets its default."""
    return {column.name: row[column.name] for column in table.c if column.name in row}
