"""A batch of accounts compared with ours, and what makes ours the same.

The legacy directory is believed as long as an account lives on its backend, and of what it says only what has changed
there since the last time: a password that was captured at a login, or a quota that was set here, stays.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.route import BackendHome
from mailplat.directory import bulk
from mailplat.directory import tables as platform
from mailplat.directory.audit import Line
from migration import tables as moves
from migration.directory import origins, tables
from migration.directory.belonging import Belonging, refusal
from migration.directory.entries import Remark
from migration.directory.report import ADDED, CHANGED, LEFT, Report, Row
from migration.directory.staging import StagedAccount


@dataclass(slots=True)
class Work:
    """What one batch comes to."""

    new: list[bulk.NewAccount] = field(default_factory=list)
    changes: dict[int, dict[str, Any]] = field(default_factory=dict)  # columns by account
    origins: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # by key; account_id may still be missing
    lines: list[Line] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    elsewhere: int = 0
    same: int = 0
    back: list[int] = field(
        default_factory=list
    )  # accounts that had vanished there, and their moves were halted
    closed: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.new or self.changes or self.origins)


class Accounts:
    def __init__(
        self,
        backend: str,
        digester: origins.Digester,
        closed: Collection[str],
        made: frozenset[str],
        belonging: Belonging,
    ) -> None:
        """`closed`: domains that have moved for good, whose accounts are ours alone. `made`: domains that a dry run
        would have made."""
        self._backend = backend
        self._home = BackendHome(backend)
        self._digester = digester
        self._closed = frozenset(closed)
        self._made = made
        self._belonging = belonging

    def compare(self, connection: Connection, batch: Sequence[StagedAccount]) -> Work:
        keys = [each.address.key for each in batch]
        account, route = platform.account.c, platform.route.c
        found = {
            row.key: row
            for row in connection.execute(
                sa.select(
                    account.key, account.id, account.password_hash, account.quota, account.active, route.home
                )
                .join(platform.route, route.account_id == account.id)
                .where(account.key.in_(keys))
            )
        }
        known = {
            row.key: row
            for row in connection.execute(sa.select(tables.account).where(tables.account.c.key.in_(keys)))
        }
        domains = self._made | bulk.known_domains(connection, {each.address.domain for each in batch})
        work = Work()
        for each in batch:
            ours, origin = found.get(each.address.key), known.get(each.address.key)
            if each.address.domain in self._closed:
                work.closed += 1
            elif ours is None:
                self._add(connection, work, each, origin, domains)
            elif ours.home != str(self._home):
                work.elsewhere += 1
            else:
                self._change(work, each, ours, origin)
        return work

    def _add(
        self,
        connection: Connection,
        work: Work,
        each: StagedAccount,
        origin: Any,
        domains: Collection[str],
    ) -> None:
        address = each.address
        if address.domain not in domains:
            work.remarks.append(
                Remark(
                    each.place,
                    f"{address}: {address.domain} is not ours; list it in a source of domains, say add_domains ="
                    f" true, or: mailplat domain add {address.domain}",
                )
            )
            return
        if origin is not None:
            detail = f"was removed here; to have it again: mailplat account add {address} --home {self._home}"
            work.rows.append(Row(LEFT, "account", str(address), detail))
            return
        if not self._belonging.is_ours(connection, address.domain):
            work.remarks.append(Remark(each.place, f"{address}: {refusal(address.domain, self._backend)}"))
            return
        new = bulk.NewAccount(
            address, each.password_hash or "", each.quota or 0, True if each.active is None else each.active
        )
        work.new.append(new)
        work.origins[address.key] = self._origin(each, None)
        shown = {
            **_shown(new.password_hash),
            "quota": new.quota,
            "active": new.active,
            "home": str(self._home),
        }
        work.lines.append(("directory.add", str(address), {}, shown))
        work.rows.append(Row(ADDED, "account", str(address), _words(shown)))

    def _change(self, work: Work, each: StagedAccount, ours: Any, origin: Any) -> None:
        theirs: dict[str, Any] = {}
        digest = self._digester.of(each.password_hash)
        if digest is not None and (origin is None or origin.digest != digest):
            theirs["password_hash"] = each.password_hash
        if each.quota is not None and (origin is None or origin.quota != each.quota):
            theirs["quota"] = each.quota
        if each.active is not None and (origin is None or origin.active != each.active):
            theirs["active"] = each.active
        values = {name: value for name, value in theirs.items() if value != getattr(ours, name)}
        wanted = self._origin(each, ours.id)
        if origin is None or any(getattr(origin, name) != value for name, value in wanted.items()):
            work.origins[each.address.key] = wanted
        if origin is not None and origin.halted:  # there is an origin to be written then
            work.back.append(ours.id)
            work.lines.append(("directory.back", str(each.address), {}, {"backend": self._backend}))
        if not values:
            work.same += 1
        else:
            work.changes[ours.id] = values
            before = {name: getattr(ours, name) for name in values if name != "password_hash"} | _shown(
                ours.password_hash if "password_hash" in values else None
            )
            after = {name: value for name, value in values.items() if name != "password_hash"} | _shown(
                values.get("password_hash")
            )
            work.lines.append(("directory.change", str(each.address), before, after))
            work.rows.append(Row(CHANGED, "account", str(each.address), _words(after)))

    def _origin(self, each: StagedAccount, account_id: int | None) -> dict[str, Any]:
        return {
            "key": each.address.key,
            "backend": self._backend,
            "account_id": account_id,
            "digest": self._digester.of(each.password_hash),
            "quota": each.quota,
            "active": each.active,
            "gone_since": 0.0,
            "halted": False,
        }

    def apply(self, connection: Connection, work: Work) -> None:
        numbers = bulk.insert_accounts(connection, work.new, self._home)
        bulk.change_accounts(connection, work.changes)
        for key, number in numbers.items():
            work.origins[key]["account_id"] = number
        origins.put(connection, tables.account, list(work.origins.values()))
        if work.back:
            move = moves.move.c
            gone = sa.and_(
                move.account_id.in_(work.back), move.halted.startswith(origins.GONE, autoescape=True)
            )
            connection.execute(moves.move.update().where(gone).values(halted=""))


def tell(work: Work, report: Report) -> None:
    for row in work.rows:
        report.row(row.change, row.what, row.subject, row.detail)
    for remark in work.remarks:
        report.remark(remark)
    if work.elsewhere:
        report.count("elsewhere", "account", work.elsewhere)
    if work.closed:
        report.count("of a closed domain", "account", work.closed)
    if work.same:
        report.count("as there", "account", work.same)


def _shown(password_hash: str | None) -> dict[str, str]:
    """The scheme of a hash, nothing else of it; None: it is not the matter."""
    if password_hash is None:
        return {}
    return {"password": password_hash.partition("}")[0] + "}" if password_hash else "none"}


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_word(value)}" for name, value in values.items())


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
