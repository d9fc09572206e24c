"""Group commit: one thread, one transaction for everything that waits.

A durable commit costs one fsync whatever it holds; grouping turns 50 waiting deliveries into one fsync. Works
are run in the order of submit(). When one work of a group raises, the group is rolled back and each work is
run again alone, so that only the one at fault fails: a work must therefore change nothing but the connection
it is given. Its future resolves only after the commit returned.
When the transaction cannot even begin (locked, server gone) all of the group fail at once: trying each alone
would make the last one wait for as many timeouts. So they do when an fsync or the commit fails (InDoubt): a second
one that succeeds would prove nothing.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from sqlalchemy.engine import Connection

from mailplat.core.errors import InDoubt, Unavailable
from mailplat.db.engine import Database

W = TypeVar("W")
R = TypeVar("R")

# More works in one transaction would hold the write lock longer than other processes should wait.
MAX_GROUP = 200


class GroupWriter(Generic[W, R]):
    """Runs `apply(connection, work)` for each submitted work; `begin()` before each group, which fails all of it when
    it raises; `prepare(works)` once before each group, out of
    the transaction (renames and directory fsyncs of a group of appends), and may raise to fail the group. A work
    that is `alone` has a transaction of its own: it sees nothing that is not committed."""

    def __init__(
        self,
        database: Database,
        apply: Callable[[Connection, W], R],
        *,
        begin: Callable[[], None] | None = None,
        prepare: Callable[[Sequence[W]], None] | None = None,
        name: str = "writer",
        alone: Callable[[W], bool] = lambda work: False,
        max_group: int = MAX_GROUP,
    ) -> None:
        self._database = database
        self._apply = apply
        self._begin = begin
        self._prepare = prepare
        self._alone = alone
        self._max_group = max_group
        self._queue: queue.SimpleQueue[tuple[W, Future[R]] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: W) -> Future[R]:
        """Resolves after the commit with what `apply` returned, or with its exception. Raises Unavailable
        after close()."""
        if self._closed:
            raise Unavailable("this writer is closed: the process is shutting down")
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()  # from here on no cancelled caller can tear it out of its group
        self._queue.put((work, future))
        return future

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            last: tuple[W, Future[R]] | None = None
            stop = False
            while len(group) < self._max_group and not self._alone(group[0][0]):
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    stop = True
                    break
                if self._alone(item[0]):
                    last = item
                    break
                group.append(item)
            self._commit(group)
            if last is not None:
                self._commit([last])
            if stop:
                return

    def _commit(self, group: list[tuple[W, Future[R]]]) -> None:
        results, error, own = self._attempt([work for work, _ in group])
        if error is None:
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)
        elif len(group) == 1 or isinstance(error, InDoubt) or (not own and isinstance(error, Unavailable)):
            for _, future in group:
                future.set_exception(error)
        else:
            for item in group:
                self._commit([item])

    def _attempt(self, works: Sequence[W]) -> tuple[list[R], BaseException | None, bool]:
        """Results, the error if any, and whether that may be one work's own: False when `begin` or the transaction's
        begin failed."""
        own = False
        try:
            if self._begin is not None:
                self._begin()
            own = True
            if self._prepare is not None:
                self._prepare(works)
            own = False
            with self._database.write() as connection:
                own = True
                results = [self._apply(connection, work) for work in works]
            return results, None, own
        except Exception as error:  # noqa: BLE001 - handed to the future of whoever submitted the work
            return [], error, own


AnyWriter = GroupWriter[Any, Any]
