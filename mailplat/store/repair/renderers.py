"""Renders many message files on all cores: nine tenths of a rebuild's time.

Each worker is a process of its own with a pipe that only the two of them hold: it ends when we do, however we end.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from mailplat.core.errors import Unavailable
from mailplat.store.index.renderings import Columns, columns
from mailplat.store.rendering import render_file

# More workers than this wait for the disk together.
_WORKERS = 8

# A worker takes a second to start; below so many messages it is not worth it.
_MANY = 2000

# Messages of a mailbox below which two pipes cost more than they bring.
_FEW = 16

# Not `-m`: the package imports this module before it would run as a program, and Python says so on stderr.
_PROGRAM = f"""
import sys
from multiprocessing.connection import Connection
from {__name__} import serve
serve(Connection(int(sys.argv[1])))
"""


class Renderers:
    """Slices are rendered in their order. Raises what reading a file raises."""

    def __init__(self) -> None:
        self._count = min(len(os.sched_getaffinity(0)), _WORKERS) if hasattr(os, "sched_getaffinity") else 1
        self._pipes: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._done = 0

    def __enter__(self) -> "Renderers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.wait()

    def render(self, slices: Iterable[Sequence[Path]], total: int) -> Iterator[list[Columns]]:
        """The columns of each message, slice by slice; the next slice is rendered while the caller uses the last one.
        `total`: messages in all slices."""
        self._done += total
        if self._count == 1 or self._done < _MANY or total < _FEW:
            for each in slices:
                yield [_columns(path) for path in each]
            return
        if not self._pipes:
            self._start()
        waiting = 0
        for each in slices:
            self._send(each)
            waiting += 1
            if waiting > 1:
                yield self._receive()
                waiting -= 1
        for _ in range(waiting):
            yield self._receive()

    def _start(self) -> None:
        for _ in range(self._count):
            ours, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno())]
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
            self._pipes.append(Connection(ours.detach()))
            self._processes.append(process)

    def _send(self, paths: Sequence[Path]) -> None:
        share = -(-len(paths) // len(self._pipes))
        for number, pipe in enumerate(self._pipes):
            pipe.send([os.fspath(path) for path in paths[number * share : (number + 1) * share]])

    def _receive(self) -> list[Columns]:
        found: list[Columns] = []
        for pipe in self._pipes:
            try:
                answer = pipe.recv()
            except (EOFError, OSError) as error:
                raise Unavailable("a process that renders messages has ended; rebuild again") from error
            if isinstance(answer, BaseException):
                raise answer
            found += answer
        return found


def _columns(path: Path) -> Columns:
    return columns(render_file(path))


def serve(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            paths = pipe.recv()
            try:
                answer: object = [_columns(Path(path)) for path in paths]
            except Exception as error:  # noqa: BLE001 - raised again where it was asked for
                answer = error
            pipe.send(answer)
