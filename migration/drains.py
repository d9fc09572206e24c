"""Drains: every account that lives in a marked shard gets its move, some at a time; then its vault follows, and
what is left of accounts that are gone. One worker does it; the moves are everybody's (between_shards.py).

The mark (directory/drains.py) is all that is kept. What is to be done is seen anew each time: from routes, ledger and
shards, so that a drain goes on after any crash.
"""

import asyncio

import sqlalchemy as sa
import structlog

from mailplat.app.wiring import Platform
from mailplat.core.errors import InvalidInput, MailplatError, NotFound, Unavailable
from mailplat.core.route import RouteState, ShardHome
from mailplat.directory import routes
from mailplat.directory import tables as directory
from mailplat.directory.drains import Drain
from mailplat.store import Shard
from mailplat.store.transfer import residents
from mailplat.store.vault import finding, owner
from mailplat.store.vault.carry import Carried, carry
from migration import tables
from migration.shardmoves import DRAIN, ShardMoves, Stage

log = structlog.get_logger("migration")

# How often marks are looked at.
EVERY_S = 1.0

# Looks from one at the vault to the next, while accounts live there: it reads all of the vault's index.
VAULT_EVERY = 10

# Moves of one drain that are written down ahead: the rest may still be cancelled, and finds its shard when its turn
# comes, by the space that is left then.
AHEAD = 16


class Drains:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._ledger = ShardMoves(platform.database, platform.clock)
        self._marks = platform.drains
        self._looks = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except MailplatError as error:
                log.warning("drains cannot be looked at", reason=str(error))
            except Exception:
                log.exception("a drain failed by a bug")
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        self._looks += 1
        marks = await self._platform.executors.run("directory", self._marks.all)
        await self._platform.executors.run("migration", self._cancel_others, set(marks))
        for mark in marks.values():
            try:
                note = await self._drain(mark)
            except MailplatError as error:
                note = str(error)
            if note != mark.note:
                log.info("drain", shard=mark.shard, note=note)
                await self._platform.executors.run("directory", self._marks.note, mark.shard, note)

    def _cancel_others(self, marked: set[str]) -> None:
        """Moves of a drain that was cancelled."""
        open_moves = [each for each in self._ledger.moves() if not each.is_over and each.cause == DRAIN]
        left = [each.account_id for each in open_moves if each.source not in marked and not each.cancelled]
        if left:
            self._ledger.cancel(left)

    async def _drain(self, mark: Drain) -> str:
        """What keeps it from going on; "" where nothing does."""
        if mark.shard not in self._platform.shards:
            log.info("drain ends: the shard has left the configuration", shard=mark.shard)
            await self._platform.executors.run("directory", self._marks.cancel, mark.shard)
            return mark.note
        living, note = await self._platform.executors.run("migration", self._ask, mark)
        shard = await self._platform.store.opened(mark.shard)
        if living and self._looks % VAULT_EVERY:
            return note
        missing = 0
        for account_id in await self._platform.executors.run(f"store/{mark.shard}", _vaults, shard):
            if account_id not in living:
                missing += await self._carry(mark, shard, account_id)
        if missing:
            note = f"{note}; " * bool(note) + f"{missing} messages of the vault have no file and stay"
        return note

    def _ask(self, mark: Drain) -> tuple[set[int], str]:
        """Moves for those that have none; who lives there, and what is in the way."""
        living = self._ledger.residents(mark.shard)
        moves = {each.account_id: each for each in self._ledger.moves() if not each.is_over}
        trouble: list[str] = []
        ahead = sum(each.source == mark.shard for each in moves.values())
        for account_id in living:
            move = moves.get(account_id)
            if move is not None:
                if move.halted:
                    trouble.append(f"{move.address}: {move.halted}")
                elif move.stage == Stage.PLANNED.value and move.note and move.cause == DRAIN:
                    self._ledger.retarget(account_id, self._place(mark, frozenset({move.shard})))
            elif ahead < AHEAD:
                try:
                    self._ledger.ask([account_id], self._place(mark), cause=DRAIN)
                    ahead += 1
                except (InvalidInput, NotFound) as error:  # in another move, or removed at this moment
                    trouble.append(str(error))
        trouble += self._from_backends(mark)
        return set(living), "; ".join(trouble)[:1000]

    def _place(self, mark: Drain, full: frozenset[str] = frozenset()) -> str:
        """Another than a `full` one, if there is one."""
        shards = self._platform.shards
        among = set(mark.targets or (name for name in shards if shards[name].placement)) - {mark.shard}
        if among - full:
            try:
                return self._platform.place_account(among - full)
            except Unavailable:
                if not full:
                    raise
        return self._platform.place_account(among)

    def _from_backends(self, mark: Drain) -> list[str]:
        """Moves from legacy platforms that have not begun find another shard; of the others a word is said."""
        move, route = tables.move.c, directory.route.c
        query = (
            sa.select(move.account_id, route.state)
            .join(directory.route, route.account_id == move.account_id)
            .where(move.shard == mark.shard, move.moved == 0.0)
        )
        with self._platform.database.read() as connection:
            rows = connection.execute(query).fetchall()
        begun = sum(state != RouteState.LEGACY.value for _, state in rows)
        for account_id, state in rows:
            if state == RouteState.LEGACY.value:
                there = self._place(mark)
                with self._platform.database.write() as connection:
                    waits = (
                        sa.exists()
                        .where(route.account_id == account_id)
                        .where(route.state == RouteState.LEGACY.value)
                    )
                    connection.execute(
                        tables.move.update().where(move.account_id == account_id, waits).values(shard=there)
                    )
        return [f"{begun} accounts are on their way here from a backend; cut them over"] if begun else []

    async def _carry(self, mark: Drain, shard: Shard, account_id: int) -> int:
        """To where the account lives, else to any. Returns how many messages stay."""
        there = await self._platform.executors.run("migration", self._heir, mark, account_id)
        target = await self._platform.store.opened(there)
        done = Carried(more=True)
        while done.more:
            await self._platform.executors.run(
                f"store/{mark.shard}", carry, shard.site, target.site, account_id, done
            )
        if done.messages:
            log.info("vault carried", account=account_id, shard=there, messages=done.messages)
        return done.missing

    def _heir(self, mark: Drain, account_id: int) -> str:
        try:
            with self._platform.database.read() as connection:
                home = routes.read(connection, account_id).home
        except NotFound:
            home = None
        if isinstance(home, ShardHome) and home.shard != mark.shard and home.shard in self._platform.shards:
            return home.shard
        return self._place(mark)


def _vaults(shard: Shard) -> list[int]:
    """Accounts that have something in its vault and are not open here any more: what a hold keeps of an account that
    moved comes into the vault when its copy is removed, and the hold must still be here then."""
    open_ = set(residents(shard.site))
    known = {each.account_id for each in finding.totals(shard.site)}
    return sorted((known | {each.account_id for each in owner.owners(shard.site)}) - open_)
