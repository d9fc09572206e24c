"""A thread for work behind: derived values that nobody waits for, in rounds, of which who shares the core with it
notices little."""

import threading
from typing import Protocol

import structlog

from mailplat.core.errors import MailplatError

log = structlog.get_logger("store")

# Seconds after a failure (disk full, no more reading) until the next try.
RETRY_S = 30.0


class Rounds(Protocol):
    @property
    def idle(self) -> float:
        """Seconds until something is due that nobody asks for."""

    def round(self) -> bool:
        """Whether there is more to be done. Raises MailplatError."""


class Behind:
    """Runs `rounds` after each time that `wake` is set, and when it says that something is due."""

    def __init__(
        self, job: str, shard: str, rounds: Rounds, wake: threading.Event, stop: threading.Event, delay: float
    ) -> None:
        """`stop`: a round that sees it set ends early. `delay`: what happens in so many seconds is taken together."""
        self._job = job
        self._shard = shard
        self._rounds = rounds
        self._wake = wake
        self._stop = stop
        self._delay = delay
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name=f"{shard}-{job}", daemon=True)
        wake.set()  # what an earlier process left undone
        self._thread.start()

    def close(self) -> None:
        """Ends after the step that it is at."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._rounds.idle)
            self._stop.wait(self._delay)
            self._wake.clear()
            pause = self._round()
            if pause is not None:
                self._wake.set()
                self._stop.wait(pause)

    def _round(self) -> float | None:
        """Seconds until the next one, None where there is nothing left to do."""
        failing, more = "", False
        try:
            more = self._rounds.round()
        except MailplatError as error:
            failing = str(error)
        except Exception:
            log.exception("work behind failed: this is a bug", job=self._job, shard=self._shard)
            return RETRY_S
        if failing != self._failing:
            self._failing = failing
            log.warning("work behind", job=self._job, shard=self._shard, failing=failing or "no more")
        return RETRY_S if failing else 0.0 if more else None
