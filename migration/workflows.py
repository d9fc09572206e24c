"""The DBOS door: turns (turns.py) become durable workflows, which any worker of the engine takes from one queue.

What DBOS gives is the handing out: a turn is one worker's, and is handed out again when that one is gone. It keeps
its own tables in a database of its own (SQLite beside the data, or a schema in PostgreSQL); nothing in them is the
truth. Truth is in our ledgers, and a turn asks there first whether it is still one: so a workflow that is run twice,
is lost with all of DBOS's tables, or comes from a worker that slept for a minute, does no harm.

A turn is a workflow of no steps: it begins again as a whole, and finds in the store and the ledgers what is there.

DBOS runs workflows on threads and an event loop of its own; the work itself is done in ours. Its calls block, and
repeat themselves as long as its database is away: they are made in executor "workflows".
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import make_url

from mailplat.core.errors import Unavailable
from mailplat.core.executors import Executors
from mailplat.db.engine import lend

if TYPE_CHECKING:
    from dbos import DBOSConfig

log = structlog.get_logger("migration")

APPLICATION = "mailplat"
SCHEMA = "mailplat_workflows"  # in PostgreSQL
QUEUE = "turns"
# Part of what is stored: a release that means another thing by a turn has another name for it, and leaves these to be
# handed out anew.
WORKFLOW = "turn-1"
# Pinned: left to itself DBOS takes a hash of the sources, and each release would strand what the last one began.
VERSION = "1"

# Seconds between two looks of a worker at the queue: how long a turn waits for its worker. Small beside a turn of a
# second; ten looks a second are 3 % of a core.
POLL_S = 0.1
# Threads of DBOS for calls to its database, and connections of one worker.
THREADS = 8
CONNECTIONS = 4
# Seconds. DBOS ends when it sees that it is to; nothing is asked meanwhile.
LISTEN_S = 0.25
# Seconds that a start waits for another worker of this machine to end its own; one that is stopped in it must hold
# nobody. Two at once find tables that the other has made, and try again.
START_S = 3.0
# Nothing is scheduled.
NEVER_S = 3600.0

# Workflows that are over are removed by so many: one statement of SQLite takes 32,766 parameters.
_BATCH = 1000

# Turns by which it is seen where some wait: of a lane that is crowded there are always some among the eldest.
_SAMPLE = 200

# What SQLite says of a file that something else wrote to.
_DAMAGED = ("file is not a database", "malformed")

Handler = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Offer:
    turn: str  # its name
    lane: str
    priority: int  # 1 comes first


class Workflows:
    """One of a process. `executor`: this worker's name, the same at each start, and nobody else's. `lane_turns`: at
    once of one lane in one worker. `handler`: does a turn, in the loop that called `open`, and raises nothing."""

    def __init__(
        self, url: str, executor: str, executors: Executors, handler: Handler, *, lane_turns: int
    ) -> None:
        self._url = make_url(url)
        self._executor = executor
        self._executors = executors
        self._handler = handler
        self._lane_turns = lane_turns
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: sa.Engine | None = None

    @property
    def is_open(self) -> bool:
        return self._engine is not None

    async def open(self) -> None:
        """Take turns from now on; first those that this worker had when it ended. Raises Unavailable."""
        self._loop = asyncio.get_running_loop()
        await self._executors.run("workflows", self._launch)

    async def prepare(self) -> None:
        """What would keep the first turn waiting for a second: the library, its tables. For a worker that is not
        open. Raises Unavailable."""
        await self._executors.run("workflows", self._prepare)

    async def offer(self, offers: Sequence[Offer]) -> None:
        """One that was offered before is not offered again. Raises Unavailable; some may be offered then."""
        await self._executors.ask("workflows", _enqueue, offers)

    async def under_way(self) -> Mapping[str, Sequence[str]]:
        """Names of turns that are not over, by the worker that has them; "" has those that none has taken yet. Raises
        Unavailable."""
        return await self._executors.ask("workflows", _under_way)

    async def waiting(self) -> Collection[str]:
        """Lanes with turns that no worker has taken yet. Raises Unavailable."""
        return await self._executors.ask("workflows", _waiting)

    async def hand_over(self, turns: Sequence[str]) -> None:
        """From workers that are gone to whoever takes them. Raises Unavailable."""
        await self._executors.ask("workflows", _hand_over, turns)

    async def tidy(self) -> None:
        """Forget turns that are over. Raises Unavailable."""
        await self._executors.ask("workflows", _forget_ended)

    async def close(self) -> None:
        """What is under way stays this worker's."""
        if self.is_open:
            await self._executors.run("workflows", self._destroy)

    def _launch(self) -> None:
        _forward_log()
        with self._alone():
            self._launch_alone()

    def _prepare(self) -> None:
        _forward_log()
        with self._alone():
            self._launch_alone()
            self._destroy()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """All workers of a machine begin at once, and one makes the tables in a file of SQLite."""
        if not self._url.database or self._url.get_backend_name() != "sqlite":
            yield
            return
        lock = os.open(f"{self._url.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _await_lock(lock)
            yield
        finally:
            os.close(lock)

    def _launch_alone(self) -> None:
        try:
            self._start()
        except sa.exc.DatabaseError as error:
            if not self._set_aside(error):
                name = self._url.set(query={}).render_as_string(hide_password=True)
                raise Unavailable(
                    f"{name}, which the engine's workflows are kept in: {error.orig}"
                ) from error
            self._start()

    def _start(self) -> None:
        from dbos import DBOS  # a second and 30 MB, for whoever has something to move

        global _serving
        self._engine, _serving = lend(self._url, CONNECTIONS), self
        _register()
        try:
            self._launch_dbos()
            queues = [each.name for each in DBOS.list_queues()]
            DBOS.register_queue(
                QUEUE,
                partition_worker_concurrency=self._lane_turns,
                polling_interval_sec=POLL_S,
                on_conflict="always_update",
            )
            if QUEUE not in queues:  # it would be seen a second later
                DBOS.destroy()
                self._launch_dbos()
        except BaseException:
            self._destroy()
            raise

    def _launch_dbos(self) -> None:
        from dbos import DBOS

        assert self._engine is not None
        DBOS(config=self._config(self._engine))
        DBOS.launch()

    def _config(self, engine: sa.Engine) -> "DBOSConfig":
        return {
            "name": APPLICATION,
            "system_database_url": self._url.render_as_string(hide_password=False),
            "system_database_engine": engine,
            "dbos_system_schema": SCHEMA,
            "executor_id": self._executor,
            "application_version": VERSION,
            "log_level": "WARNING",
            "max_executor_threads": THREADS,
            "use_listen_notify": False,  # no workflow waits for another
            "notification_listener_polling_interval_sec": LISTEN_S,
            "scheduler_polling_interval_sec": NEVER_S,
        }

    def _set_aside(self, error: sa.exc.DatabaseError) -> bool:
        """A damaged file of SQLite. Nothing in it would be missed: turns are handed out anew."""
        if not any(words in str(error.orig) for words in _DAMAGED) or not self._url.database:
            return False
        for suffix in ("", "-wal", "-shm"):
            file = Path(self._url.database + suffix)
            if file.exists():
                file.rename(f"{file}.damaged")
        log.warning("the file of the engine's workflows is damaged, and made anew", file=self._url.database)
        return True

    async def serve(self, turn: str) -> None:
        """Called in DBOS's loop; the work is done in ours."""
        assert self._loop is not None
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._work(turn), self._loop))

    async def _work(self, turn: str) -> None:
        await self._handler(turn)

    def _destroy(self) -> None:
        from dbos import DBOS

        global _serving
        _serving = None
        DBOS.destroy()
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None


def _await_lock(lock: int) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    log.warning("another worker does not end its start; this one goes on without it")


# DBOS is one of a process, and so is what its workflows call.
_serving: Workflows | None = None
_registered = False


def _register() -> None:
    global _registered
    if _registered:
        return
    from dbos import DBOS, WorkflowSerializationFormat

    async def turn(name: str) -> None:
        if _serving is not None:
            await _serving.serve(name)

    DBOS.workflow(
        name=WORKFLOW,
        max_recovery_attempts=None,  # deaths are counted in the turn's row
        serialization_type=WorkflowSerializationFormat.PORTABLE,  # JSON, where it would pickle
    )(turn)
    _registered = True


def _enqueue(offers: Sequence[Offer]) -> None:
    from dbos import DBOS, EnqueueOptions, WorkflowSerializationFormat

    for offer in offers:
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "workflow_id": offer.turn,
            "queue_name": QUEUE,
            "queue_partition_key": offer.lane,
            "priority": offer.priority,
            "app_version": VERSION,
            "serialization_type": WorkflowSerializationFormat.PORTABLE,
        }
        DBOS.enqueue_workflow_with_options(options, offer.turn)


def _under_way() -> Mapping[str, Sequence[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for each in _list(["ENQUEUED", "PENDING"]):
        found[each.executor_id or "" if each.status == "PENDING" else ""].append(each.workflow_id)
    return found


def _waiting() -> Collection[str]:
    return {each.queue_partition_key or "" for each in _list(["ENQUEUED"], _SAMPLE)}


def _list(status: list[str], limit: int | None = None) -> Sequence[Any]:
    from dbos import DBOS

    return DBOS.list_workflows(name=WORKFLOW, status=status, limit=limit, load_input=False, load_output=False)


def _hand_over(turns: Sequence[str]) -> None:
    from dbos import DBOS

    DBOS.resume_workflows(list(turns), queue_name=QUEUE)


def _forget_ended() -> None:
    from dbos import DBOS

    while ended := [each.workflow_id for each in _list(["SUCCESS", "ERROR", "CANCELLED"], _BATCH)]:
        DBOS.delete_workflows(ended)


class _Forward(logging.Handler):
    """What DBOS has to say goes where ours goes."""

    def emit(self, record: logging.LogRecord) -> None:
        if _serving is None:
            return  # what it breaks off when it is closed is handed out anew
        log.log(record.levelno, "workflows: " + record.getMessage().splitlines()[0])


def _forward_log() -> None:
    logger = logging.getLogger("dbos")
    if not any(isinstance(each, _Forward) for each in logger.handlers):
        logger.handlers = [_Forward()]
        logger.propagate = False
