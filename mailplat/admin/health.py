"""Readiness: can every door that is on do its work (CONTRACT, HTTP)?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from mailplat.admin import metrics
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.errors import MailplatError

log = structlog.get_logger(__name__)

# Passes by returning, fails by raising.
Check = Callable[[], Awaitable[None]]

# Load balancers of several kinds probe each second or faster; one run serves them all. Seconds.
REMEMBERED = 1.0
# A dependency that does not answer by then does not serve mail either. Seconds.
CHECK_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """`failures`: name of the check -> why, for those that fail."""

    failures: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return not self.failures


class Health:
    """Runs the checks together; requests that come meanwhile, and for REMEMBERED seconds after, share the report."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        clock: Clock | None = None,
        *,
        remembered: float = REMEMBERED,
        timeout: float = CHECK_TIMEOUT,
    ) -> None:
        self.names = tuple(checks)
        self._checks = checks
        self._clock = clock or SystemClock()
        self._remembered = remembered
        self._timeout = timeout
        self._last: tuple[float, Report] | None = None
        self._running: asyncio.Task[Report] | None = None

    async def report(self) -> Report:
        if self._last is not None and self._clock.monotonic() - self._last[0] < self._remembered:
            return self._last[1]
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(self._running)  # a probe that hangs up does not stop it for the others

    async def _run(self) -> Report:
        reasons = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
        failures = {name: reason for name, reason in zip(self._checks, reasons, strict=True) if reason}
        report = Report(failures)
        before = self._last[1].failures if self._last else {}
        if failures.keys() != before.keys():
            log.warning("readiness changed", failing=dict(failures))
        self._last = (self._clock.monotonic(), report)
        return report

    async def _ask(self, name: str, check: Check) -> str:
        """Why it fails, "" when it passes."""
        try:
            async with asyncio.timeout(self._timeout):
                await check()
            reason = ""
        except TimeoutError:
            reason = f"no answer in {self._timeout:g} s"
        except MailplatError as error:
            reason = f"{type(error).__name__}: {error}"
        except Exception as error:  # a check's own bug is a failure of the check; its text may hold anything
            log.exception("readiness check failed", check=name)
            reason = type(error).__name__
        metrics.ready.labels(name).set(0 if reason else 1)
        return reason
