"""The queue's door: rows, files and their order."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy.engine import Connection

from mailplat.bus import Bus
from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.errors import InDoubt, NotFound
from mailplat.core.hint import QueueChanged
from mailplat.core.outcome import Outcome, Result
from mailplat.core.spool import Body
from mailplat.db.engine import Database
from mailplat.db.writer import GroupWriter
from mailplat.queue import rows
from mailplat.queue.records import Entry, Filter, Leased, Notice, QueuedMessage, QueueRecipient
from mailplat.queue.schedule import RetrySchedule
from mailplat.queue.spool import SpoolDirectory, new_id

log = structlog.get_logger("queue")
T = TypeVar("T")

# How long a worker has a recipient before another may take it. Workers renew three times within it; a message
# of a worker that died waits this long at most.
LEASE_S = 60.0

# A held recipient is looked at again after this; RouteChanged releases it earlier.
HOLD_RETRY_S = 1.0

# Rows that one listing returns unless asked for more.
LIST_LIMIT = 1000

# What this process itself puts in (DSNs) came from nobody.
OURSELVES = Peer("", 0)


@dataclass(frozen=True, slots=True)
class _Work:
    """One write: what it does to the rows, and which file has to be in its place before."""

    apply: Callable[[Connection], Any]
    move: tuple[Path, Path] | None = None


class Queue:
    """Synchronous and thread-safe; the calls that write wait for a group commit. `spool` is made when absent.
    Every method raises Unavailable or DiskFull when database or disk refuse."""

    def __init__(
        self,
        database: Database,
        spool: Path,
        clock: Clock,
        bus: Bus,
        *,
        schedule: RetrySchedule | None = None,
        lease_s: float = LEASE_S,
        rng: random.Random | None = None,
    ) -> None:
        self.schedule = schedule or RetrySchedule()
        self.lease_s = lease_s
        self._database = database
        self._clock = clock
        self._bus = bus
        self._rng = rng or random.SystemRandom()
        self._spool = SpoolDirectory(spool)
        self.tmp = self._spool.tmp
        self._writer: GroupWriter[_Work, Any] = GroupWriter(
            database, lambda connection, work: work.apply(connection), prepare=self._publish, name="queue"
        )

    # -- in

    def put(
        self,
        envelope: Envelope,
        recipients: Sequence[QueueRecipient],
        body: Body,
        prefix: bytes,
        *,
        peer: Peer,
    ) -> str:
        """Keep a message for `recipients`; durable when it returns. Its queue id."""
        return self.submit(envelope, recipients, body, prefix, peer=peer).result()

    def submit(
        self,
        envelope: Envelope,
        recipients: Sequence[QueueRecipient],
        body: Body,
        prefix: bytes,
        *,
        peer: Peer,
    ) -> "Future[str]":
        """As put, but only the file is synced when it returns; the id comes with the commit. Lets many
        messages share one commit without a thread each. The body may be closed when it returns."""
        if not recipients:
            raise ValueError("a message without recipients")
        now = self._clock.now()
        stored = QueuedMessage(new_id(now), envelope, peer, len(prefix) + body.size, now)
        move = self._save(stored.id, body, prefix)

        def apply(connection: Connection) -> str:
            rows.insert(connection, self._spool.identity, stored, recipients)
            return stored.id

        return self._submit(apply, "put.commit", move=move, wake=True)

    def body(self, leased: Leased) -> Body:
        """The octets of a leased message, to be closed by the caller. Raises NotFound where an admin removed
        the message meanwhile."""
        try:
            return Body.of_file(self._spool.path(leased.message.id))
        except FileNotFoundError as error:
            raise NotFound(f"queue file of {leased.message.id} is gone") from error

    # -- out

    def lease(self, worker: str, limit: int) -> list[Leased]:
        """At most `limit` recipients that are due, for `lease_s` seconds, by message. Expired leases of
        others are among them."""
        now = self._clock.now()
        spool = self._spool.identity
        # Looking costs no commit: an idle worker must not write.
        due = self.next_due()
        if due is None or due > now or limit <= 0:
            return []
        return self._submit(
            lambda connection: rows.lease(connection, spool, worker, limit, now, now + self.lease_s),
            "lease.commit",
        ).result()

    def renew(self, leased: Leased) -> bool:
        """Another `lease_s` seconds from now; False where the lease was lost."""
        deadline = self._clock.now() + self.lease_s
        return self._submit(
            lambda connection: rows.extend(connection, leased, deadline), "renew.commit"
        ).result()

    def settle(
        self,
        leased: Leased,
        outcomes: Mapping[int, Outcome],
        *,
        held: Collection[int] = (),
        notice: Notice | None = None,
    ) -> None:
        """What became of each leased recipient, by its id. Delivered and failed ones leave the queue;
        deferred ones wait as the schedule says; `held` ones wait for the end of a fence without that
        counting as an attempt; whoever is not named is due again at once. `notice` (the DSN for failed
        ones) enters the queue in the same commit, so that neither exists without the other.
        Raises StaleLease: nothing was kept."""
        self.submit_settlement(leased, outcomes, held=held, notice=notice).result()

    def submit_settlement(
        self,
        leased: Leased,
        outcomes: Mapping[int, Outcome],
        *,
        held: Collection[int] = (),
        notice: Notice | None = None,
    ) -> "Future[None]":
        """As settle, but only the notice's file is synced when it returns; the rest comes with the commit."""
        now = self._clock.now()
        attempts = {one.id: one.attempts + 1 for one in leased.recipients}
        gone = [id_ for id_, outcome in outcomes.items() if outcome.result is not Result.DEFERRED]
        deferred = {
            id_: (outcome, now + self.schedule.pause(attempts[id_], self._rng))
            for id_, outcome in outcomes.items()
            if outcome.result is Result.DEFERRED
        }
        move = bounce = None
        if notice is not None:
            bounce = QueuedMessage(new_id(now), notice.envelope, OURSELVES, len(notice.octets), now)
            move = self._save(bounce.id, Body.of(notice.octets), b"")

        emptied = False

        def apply(connection: Connection) -> None:
            nonlocal emptied
            emptied, deleted = rows.settle(connection, leased, gone, deferred, held, now, now + HOLD_RETRY_S)
            if deleted and notice is not None and bounce is not None:
                rows.insert(connection, self._spool.identity, bounce, notice.recipients)

        def sweep() -> None:
            if emptied:
                self._spool.unlink([leased.message.id])

        return self._submit(apply, "settle.commit", move=move, wake=notice is not None, then=sweep)

    def next_due(self) -> float | None:
        """Unix time of the next recipient, None in an empty queue."""
        with self._database.read() as connection:
            return rows.next_due(connection, self._spool.identity)

    # -- admins

    def release_account(self, account_id: int) -> int:
        """The account's route changed: whatever waits for it, held or deferred, is due now. How many."""
        return self.retry(Filter(account_id=account_id))

    def retry(self, wanted: Filter) -> int:
        now = self._clock.now()
        return self._submit(
            lambda connection: rows.hasten(connection, wanted, now), "retry.commit", wake=True
        ).result()

    def remove(self, wanted: Filter) -> int:
        """Delete recipients without a word to the sender; how many. One that is being sent right now may
        still arrive."""
        count, empty = self._submit(
            lambda connection: rows.remove(connection, wanted), "remove.commit"
        ).result()
        self._spool.unlink(empty)
        return count

    def counts(self) -> dict[str, int]:
        """Recipients `waiting`, `held` and `leased`; `messages`; `octets`."""
        with self._database.read() as connection:
            return rows.counts(connection)

    def count_account(self, account_id: int) -> int:
        """Unsettled recipients that lead to an account."""
        with self._database.read() as connection:
            return rows.held(connection, account_id)

    def entries(self, wanted: Filter | None = None, limit: int = LIST_LIMIT) -> list[Entry]:
        with self._database.read() as connection:
            return rows.entries(connection, wanted or Filter(), limit)

    def sweep(self) -> int:
        """Unlink files that a crash left without a row; how many. At each start."""

        def known(ids: Sequence[str]) -> set[str]:
            with self._database.read() as connection:
                return rows.known(connection, ids)

        swept = self._spool.sweep(self._clock.now(), known)
        if swept:
            log.warning("files without a row swept", files=swept)
        return swept

    def trim(self) -> None:
        """Cut the log of an SQLite database back when readers made it long (db/engine.py)."""
        self._database.trim()

    def close(self) -> None:
        """Finish what was submitted."""
        self._writer.close()

    def _save(self, message_id: str, body: Body, prefix: bytes) -> tuple[Path, Path]:
        temporary = self._spool.temporary(message_id)
        body.save(temporary, prefix, "put")
        return temporary, self._spool.path(message_id)

    def _publish(self, works: Sequence[_Work]) -> None:
        self._spool.publish([work.move for work in works if work.move is not None])

    def _submit(
        self,
        apply: Callable[[Connection], T],
        step: str,
        *,
        move: tuple[Path, Path] | None = None,
        wake: bool = False,
        then: Callable[[], None] = lambda: None,
    ) -> "Future[T]":
        """`then` runs after the commit and before the answer, in the writer's thread: it must be quick and may
        not fail. The answer cannot be cancelled."""
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()

        def ended(done: "Future[T]") -> None:
            if (error := done.exception()) is not None:
                if move is not None and not isinstance(error, InDoubt):
                    self._spool.withdraw(move)
                answer.set_exception(error)
                return
            disk.step(step)
            then()
            if wake:
                self._bus.publish(QueueChanged())
            answer.set_result(done.result())

        self._writer.submit(_Work(apply, move)).add_done_callback(ended)
        return answer
