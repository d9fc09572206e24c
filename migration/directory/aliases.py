"""A batch of aliases compared with ours, and what makes ours the same.

Only an alias that came from this backend's directory and is still what came from there is changed: what was made or
changed here by hand stays, and is named. Of an account that does not live on this backend, because it has moved or is
another platform's, nothing is believed: its mail is not diverted by a file of a platform that it has left.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.address import Address
from mailplat.core.route import BackendHome
from mailplat.directory import bulk
from mailplat.directory import tables as platform
from mailplat.directory.audit import Line
from migration.directory import origins, tables
from migration.directory.belonging import Belonging, refusal
from migration.directory.entries import Remark
from migration.directory.report import ADDED, CHANGED, LEFT, REMOVED, Row
from migration.directory.staging import StagedAlias


@dataclass(slots=True)
class Work:
    put: dict[str, Sequence[Address]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)  # they lead to themselves now
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)  # by source
    lines: list[Line] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    closed: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.put or self.ended or self.origins)


class Aliases:
    def __init__(
        self,
        backend: str,
        closed: Collection[str],
        uncaught: Callable[[str], int],
        made: frozenset[str],
        belonging: Belonging,
    ) -> None:
        """`closed`: domains that have moved for good, whose aliases are ours alone. `uncaught`: how many accounts of
        a domain have no alias of their own. `made`: domains that a dry run would have made."""
        self._backend = backend
        self._closed = frozenset(closed)
        self._uncaught = uncaught
        self._made = made
        self._belonging = belonging

    def compare(self, connection: Connection, batch: Sequence[StagedAlias]) -> Work:
        sources = [each.source for each in batch]
        ours = read(connection, sources)
        origin = {
            row.source: row
            for row in connection.execute(sa.select(tables.alias).where(tables.alias.c.source.in_(sources)))
        }
        query = sa.select(platform.account.c.key).where(platform.account.c.key.in_(sources))
        accounts = set(connection.execute(query).scalars())
        elsewhere = living_elsewhere(connection, sources, self._backend)
        names = {target.domain for each in batch for target in each.targets}
        names |= {each.source.rpartition("@")[2] for each in batch}
        domains = self._made | _known(connection, names)
        work = Work()
        for each in batch:
            if each.source.rpartition("@")[2] in self._closed:
                work.closed += 1
                continue
            targets = self._targets(work, each, domains)
            if targets is None:
                continue
            domain = each.source.rpartition("@")[2]
            is_known = each.source in ours or each.source in origin
            if not is_known and not self._belonging.is_ours(connection, domain):
                text = f"alias {each.source}: {refusal(domain, self._backend)}"
                work.remarks.append(Remark(each.place, text))
            elif each.source in elsewhere:
                self._not_theirs(work, each, targets, ours.get(each.source, ()))
            else:
                self._one(work, each, targets, ours.get(each.source, ()), origin.get(each.source), accounts)
        return work

    def _targets(self, work: Work, each: StagedAlias, domains: Collection[str]) -> tuple[Address, ...] | None:
        """Without those that this release cannot deliver to; None where the alias itself is in no domain of ours."""
        domain = each.source.rpartition("@")[2]
        if domain not in domains:
            work.remarks.append(
                Remark(
                    each.place,
                    f"alias {each.source}: {domain} is not ours; list it in a source of domains, or: mailplat domain"
                    f" add {domain}",
                )
            )
            return None
        for target in each.targets:
            if target.domain not in domains:
                work.remarks.append(
                    Remark(
                        each.place,
                        f"alias {each.source}, target {target}: {target.domain} is not ours, and aliases lead to"
                        " domains of ours only; without this target it is taken",
                    )
                )
        return tuple(target for target in each.targets if target.domain in domains)

    def _one(
        self,
        work: Work,
        each: StagedAlias,
        targets: tuple[Address, ...],
        ours: Sequence[Address],
        origin: Any,
        accounts: Collection[str],
    ) -> None:
        if [target.key for target in targets] == [each.source]:
            targets = ()  # its mail goes to itself, as without an alias
        theirs = origins.of_targets(targets) if targets else ""
        here = origins.of_targets(ours) if ours else ""
        if origin is None:
            self._first(work, each, targets, theirs, here, accounts)
        elif origin.backend != self._backend:
            if here != theirs:
                self._left(work, each, f"came from backend {origin.backend}")
        elif origin.digest == theirs:
            if origin.gone_since:
                work.origins[each.source] = self._origin(each.source, theirs)
            if here != theirs and not ours:
                self._left(work, each, "was removed here")
        elif here == theirs:
            work.origins[each.source] = self._origin(each.source, theirs)
        elif here == origin.digest:
            self._replace(work, each, targets, theirs, ours, accounts)
        else:
            self._left(work, each, "was changed here, and is another one there since")

    def _not_theirs(
        self, work: Work, each: StagedAlias, targets: Sequence[Address], ours: Sequence[Address]
    ) -> None:
        """Where an account's mail goes is said by who has the account."""
        wanted = [target.key for target in targets if [target.key] != [each.source]]
        if wanted not in ([target.key for target in ours], []):
            self._left(work, each, f"is an account that does not live on backend {self._backend}")

    def _first(
        self,
        work: Work,
        each: StagedAlias,
        targets: tuple[Address, ...],
        theirs: str,
        here: str,
        accounts: Collection[str],
    ) -> None:
        if here == theirs:
            return
        if here:
            self._left(work, each, "is here already and leads elsewhere")
        else:
            self._replace(work, each, targets, theirs, (), accounts)

    def _replace(
        self,
        work: Work,
        each: StagedAlias,
        targets: tuple[Address, ...],
        theirs: str,
        ours: Sequence[Address],
        accounts: Collection[str],
    ) -> None:
        work.origins[each.source] = self._origin(each.source, theirs)
        before, after = _shown(ours), _shown(targets)
        if targets:
            work.put[each.source] = targets
        else:
            work.ended.append(each.source)
        change = CHANGED if ours and targets else ADDED if targets else REMOVED
        word = {ADDED: "add", CHANGED: "change", REMOVED: "remove"}[change]
        work.lines.append((f"directory.alias.{word}", each.source, before, after))
        work.rows.append(
            Row(change, "alias", each.source, ", ".join(after.get("targets", ())) or "to itself")
        )
        text = ""
        if each.source in accounts and targets and each.source not in {target.key for target in targets}:
            text = f"{each.source} is an account and an alias: its mail goes to the alias's targets, none to itself"
        elif each.source.startswith("@") and targets and (some := self._uncaught(each.source[1:])):
            text = (
                f"{each.source} is a catch-all, and {some} accounts of that domain have no entry of their own:"
                " Postfix sends their mail to the catch-all, here they get it themselves"
            )
        if text:
            work.remarks.append(Remark(each.place, text, refused=False))

    def _left(self, work: Work, each: StagedAlias, text: str) -> None:
        detail = f"{text}; to have the legacy platform's: mailplat alias remove {each.source}, and add it"
        work.rows.append(Row(LEFT, "alias", each.source, detail))

    def _origin(self, source: str, digest: str) -> dict[str, Any]:
        return {"source": source, "backend": self._backend, "digest": digest, "gone_since": 0.0}

    def apply(self, connection: Connection, work: Work) -> None:
        bulk.put_aliases(connection, work.put)
        bulk.remove_aliases(connection, work.ended)
        origins.put(connection, tables.alias, list(work.origins.values()))


def read(connection: Connection, sources: Sequence[str]) -> dict[str, tuple[Address, ...]]:
    """Ours, by source."""
    columns = platform.alias.c
    query = (
        sa.select(columns.source, columns.target_local, columns.target_domain)
        .where(columns.source.in_(sources))
        .order_by(columns.source, columns.position)
    )
    found: defaultdict[str, list[Address]] = defaultdict(list)
    for source, local, domain in connection.execute(query):
        found[source].append(Address(local, domain))
    return {source: tuple(targets) for source, targets in found.items()}


def living_elsewhere(connection: Connection, sources: Sequence[str], backend: str) -> set[str]:
    """Those that are accounts whose home is not this backend: moved, or another platform's."""
    account, route = platform.account.c, platform.route.c
    query = (
        sa.select(account.key)
        .join(platform.route, route.account_id == account.id)
        .where(account.key.in_(sources), route.home != str(BackendHome(backend)))
    )
    return set(connection.execute(query).scalars())


def _known(connection: Connection, names: Collection[str]) -> set[str]:
    """A list of addresses may name more domains than one SELECT asks for."""
    some = sorted(names)
    return {
        name
        for start in range(0, len(some), bulk.MOST)
        for name in bulk.known_domains(connection, some[start : start + bulk.MOST])
    }


def _shown(targets: Sequence[Address]) -> dict[str, list[str]]:
    return {"targets": [str(target) for target in targets]} if targets else {}
