"""Who has vanished from a legacy platform's directory: marked, told, its move halted; removed when a person says so.

A source that lacks very many is doubted, not believed: then nobody is marked. Nothing is ever removed because a
source did not answer; such a source ends the takeover before it has begun.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput
from mailplat.core.route import FENCES, BackendHome, RouteState
from mailplat.db.engine import Database
from mailplat.directory import audit, bulk
from mailplat.directory import tables as platform
from migration import tables as moves
from migration.directory import aliases, origins, tables
from migration.directory.description import Description
from migration.directory.report import GONE, LEFT, REMOVED, Report
from migration.directory.staging import BATCH, Staging

# The brake: more than this share of what the directory named, or more than this number, is removed only when the
# number is said. It is that of messages in a round (delta.py).
BRAKE_SHARE = 0.05
BRAKE_NUMBER = 100

# So few may be gone whatever the share, but not all: in a small directory one account is more than it.
BELIEVED = 20

_FENCED = frozenset(state.value for state in FENCES)
_WAITS = (
    RouteState.LEGACY.value,
    RouteState.SEEDING.value,
    RouteState.TRACKING.value,
    RouteState.READY.value,
)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a person has said. `number`: how many, where that is more than the brake lets pass."""

    wanted: bool = False
    number: int = 0


class Brake(InvalidInput):
    """More are gone than are removed without a number."""


class Gone:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        description: Description,
        staged: Staging,
        *,
        closed: frozenset[str],
        who: str,
        pause: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._description = description
        self._staged = staged
        self._closed = closed
        self._who = who
        self._pause = pause

    def look(self, report: Report, removal: Removal, *, write: bool) -> None:
        """Raises Brake where a removal is wanted and the brake holds; all else is done by then."""
        known, gone, empty = self._count()
        doubted = empty or (gone > BELIEVED and _too_many(gone, known))
        if write and not (doubted and removal.number < gone):
            self._mark()
        for batch in self._accounts():
            for row in batch:
                report.row(GONE, "account", f"{row.local}@{row.domain}", _since(row.gone_since))
        for some in self._aliases():
            for row, _ in some:
                report.row(GONE, "alias", row.source, _since(row.gone_since))
        if not removal.wanted or not gone:
            if doubted:
                report.row(LEFT, "", str(self._description.path), _doubt(gone, known))
            return
        if _too_many(gone, known) and removal.number < gone:
            raise Brake(
                f"{gone} of the {known} accounts and aliases that came from backend {self._description.backend} are"
                f" gone there, nothing was removed; if that is right: --remove-gone {gone}"
            )
        self._remove(report, write)

    def _count(self) -> tuple[int, int, bool]:
        """How many accounts and aliases came from here and are still what came, and how many of them are gone; True
        where that is every account, of more than one."""
        known = gone = 0
        for batch in self._accounts(all_of_them=True):
            known += len(batch)
            gone += len(self._staged.lacks("account", "key", [row.key for row in batch]))
        empty = gone == known > 1
        for some in self._aliases(all_of_them=True):
            known += len(some)
            gone += len(self._staged.lacks("alias", "source", [row.source for row, _ in some]))
        return known, gone, empty

    def _accounts(self, *, all_of_them: bool = False) -> Iterator[Sequence[Any]]:
        """Batches of those that live on the backend, came from its directory, and are no longer there."""
        mine, account, route, move = tables.account.c, platform.account.c, platform.route.c, moves.move.c
        query = (
            sa.select(
                mine.key,
                mine.gone_since,
                mine.halted,
                account.id,
                account.local,
                account.domain,
                route.state,
                sa.func.coalesce(move.began, 0.0).label("began"),
            )
            .join(platform.account, account.id == mine.account_id)
            .join(platform.route, route.account_id == account.id)
            .outerjoin(moves.move, move.account_id == account.id)
            .where(
                mine.backend == self._description.backend,
                route.home == str(BackendHome(self._description.backend)),
            )
            .order_by(mine.key)
            .limit(BATCH)
        )
        last = ""
        while True:
            with self._database.read() as connection:
                rows = connection.execute(query.where(mine.key > last)).fetchall()
            if not rows:
                return
            last = rows[-1].key
            covered = [row for row in rows if self._description.covers(row.domain)]
            if not all_of_them:
                lacking = set(self._staged.lacks("account", "key", [row.key for row in covered]))
                covered = [row for row in covered if row.key in lacking]
            yield covered
            self._pause()

    def _aliases(self, *, all_of_them: bool = False) -> Iterator[Sequence[tuple[Any, Sequence[Any]]]]:
        """Batches of those that came from its directory, are still what came, and are no longer there; with their
        targets."""
        mine = tables.alias.c
        query = (
            sa.select(tables.alias)
            .where(mine.backend == self._description.backend, mine.digest != "")
            .order_by(mine.source)
            .limit(BATCH)
        )
        last = ""
        while True:
            with self._database.read() as connection:
                rows = connection.execute(query.where(mine.source > last)).fetchall()
                sources = [row.source for row in rows]
                ours = aliases.read(connection, sources)
                elsewhere = aliases.living_elsewhere(connection, sources, self._description.backend)
            if not rows:
                return
            last = rows[-1].source
            covered = [
                (row, ours[row.source])
                for row in rows
                if self._is_ours(row.source)
                and row.source not in elsewhere
                and row.source in ours
                and origins.of_targets(ours[row.source]) == row.digest
            ]
            if not all_of_them:
                lacking = set(self._staged.lacks("alias", "source", [row.source for row, _ in covered]))
                covered = [each for each in covered if each[0].source in lacking]
            yield covered
            self._pause()

    def _is_ours(self, source: str) -> bool:
        domain = source.rpartition("@")[2]
        return self._description.covers(domain) and domain not in self._closed

    def _mark(self) -> None:
        """Since when they are gone; whose move is under way is halted, once. In a fence nobody is looked at: it is
        over in seconds."""
        now = self._clock.now()
        for batch in self._accounts():
            fresh = [row for row in batch if row.gone_since == 0.0 and row.state not in _FENCED]
            halting = [row for row in batch if not row.halted and row.state in _WAITS]
            with self._database.read() as connection:
                halting = [row for row in halting if _moves(connection, row.id)]
            if not fresh and not halting:
                continue
            with self._database.write() as connection:
                for row in fresh:
                    _set(connection, row.key, gone_since=now)
                halted = [row for row in halting if self._halt(connection, row, row.gone_since or now)]
                lines: list[audit.Line] = [
                    (
                        "directory.gone",
                        f"{row.local}@{row.domain}",
                        {},
                        {"backend": self._description.backend},
                    )
                    for row in fresh
                ]
                lines += [
                    (
                        "directory.halt",
                        f"{row.local}@{row.domain}",
                        {},
                        {"since": _utc(row.gone_since or now)},
                    )
                    for row in halted
                ]
                audit.write(connection, now, self._who, lines)
            disk.step("directory.marked")
        for some in self._aliases():
            sources = [row.source for row, _ in some if row.gone_since == 0.0]
            if sources:
                with self._database.write() as connection:
                    mine = tables.alias.c.source.in_(sources)
                    connection.execute(tables.alias.update().where(mine).values(gone_since=now))

    def _halt(self, connection: Connection, row: Any, since: float) -> bool:
        """Not an account that was fenced or has moved since it was read."""
        move, route = moves.move.c, platform.route.c
        waits = (
            sa.select(sa.literal(1))
            .where(route.account_id == row.id, route.state.in_(_WAITS))
            .with_for_update(of=platform.route)
        )
        if connection.execute(waits).first() is None:
            return False
        text = (
            f"{origins.GONE} since {_utc(since)} (backend {self._description.backend}). Nothing was removed here."
            f" When it is there again it goes on by itself. If it was deleted there on purpose, leave it halted; to"
            f" move it all the same: mailplat migrate resume {row.domain}"
        )
        change = moves.move.update().where(move.account_id == row.id, move.moved == 0.0, move.halted == "")
        if not connection.execute(change.values(halted=text, cutover=False)).rowcount:
            return False
        _set(connection, row.key, halted=True)
        return True

    def _remove(self, report: Report, write: bool) -> None:
        for batch in self._accounts():
            if write and batch:
                with self._database.write() as connection:
                    removed, left = self._removable(connection, batch)
                    bulk.remove_accounts(connection, [row.id for row in removed])
                    keys = [row.key for row in removed]
                    connection.execute(tables.account.delete().where(tables.account.c.key.in_(keys)))
                    self._note(connection, "remove", [f"{row.local}@{row.domain}" for row in removed])
                disk.step("directory.removed")
            else:
                with self._database.read() as connection:
                    removed, left = self._removable(connection, batch)
            for row in removed:
                report.row(REMOVED, "account", f"{row.local}@{row.domain}")
            for row in left:
                text = (
                    f"its move has begun ({row.state}); not removed, see mailplat migrate status {row.domain}"
                )
                report.row(LEFT, "account", f"{row.local}@{row.domain}", text)
        for some in self._aliases():
            sources = [row.source for row, _ in some]
            if write and sources:
                with self._database.write() as connection:
                    ours = aliases.read(connection, sources)
                    sources = [row.source for row, targets in some if ours.get(row.source) == tuple(targets)]
                    bulk.remove_aliases(connection, sources)
                    connection.execute(tables.alias.delete().where(tables.alias.c.source.in_(sources)))
                    self._note(connection, "alias.remove", sources)
            for source in sources:
                report.row(REMOVED, "alias", source)

    def _removable(self, connection: Connection, batch: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Those whose mail was never on its way, and the others."""
        route, move = platform.route.c, moves.move.c
        ids = [row.id for row in batch]
        still = (
            sa.select(route.account_id)
            .where(
                route.account_id.in_(ids),
                route.state == RouteState.LEGACY.value,
                route.home == str(BackendHome(self._description.backend)),
            )
            .with_for_update(of=platform.route)
        )
        free = set(connection.execute(still).scalars())
        begun = sa.select(move.account_id).where(move.account_id.in_(ids), move.began > 0.0)
        free -= set(connection.execute(begun).scalars())
        return [row for row in batch if row.id in free], [row for row in batch if row.id not in free]

    def _note(self, connection: Connection, word: str, subjects: Sequence[str]) -> None:
        backend = {"backend": self._description.backend, "reason": "gone in its directory"}
        lines: list[audit.Line] = [(f"directory.{word}", subject, backend, {}) for subject in subjects]
        audit.write(connection, self._clock.now(), self._who, lines)


def _moves(connection: Connection, account_id: int) -> bool:
    move = moves.move.c
    query = sa.select(sa.literal(1)).where(
        move.account_id == account_id, move.moved == 0.0, move.halted == ""
    )
    return connection.execute(query).first() is not None


def _set(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(tables.account.update().where(tables.account.c.key == key).values(**values))


def _too_many(gone: int, known: int) -> bool:
    return gone > BRAKE_NUMBER or gone > BRAKE_SHARE * known


def _doubt(gone: int, known: int) -> str:
    return (
        f"{gone} of {known} accounts and aliases that came from it are gone: are all its sources there? Nobody was"
        f" marked as gone and no move was halted; if that is right: --remove-gone {gone}"
    )


def _since(when: float) -> str:
    return f"gone at the legacy platform since {_utc(when)}" if when else "gone at the legacy platform"


def _utc(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))
