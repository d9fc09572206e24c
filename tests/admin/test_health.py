import asyncio

import pytest

from mailplat.admin import metrics
from mailplat.admin.health import Health
from mailplat.core.clock import ManualClock
from mailplat.core.errors import Unavailable


class Counted:
    """A check that counts, and fails while told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> None:
        self.runs += 1
        self.begun.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error


async def test_all_checks_pass() -> None:
    report = await Health({"database": Counted(), "bus": Counted()}).report()
    assert report.ready
    assert report.failures == {}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("database is locked"), "Unavailable: database is locked"),
        (RuntimeError("secret of the programmer"), "RuntimeError"),
    ],
)
async def test_what_fails_is_named(error: Exception, reason: str) -> None:
    broken = Counted()
    broken.error = error
    report = await Health({"database": broken, "bus": Counted()}).report()
    assert not report.ready
    assert report.failures == {"database": reason}


async def test_a_check_that_hangs_has_failed() -> None:
    hanging = Counted()
    hanging.gate.clear()
    report = await Health({"shard s1": hanging}, timeout=0.01).report()
    assert report.failures == {"shard s1": "no answer in 0.01 s"}


async def test_a_report_is_remembered_for_a_second() -> None:
    check, clock = Counted(), ManualClock()
    health = Health({"database": check}, clock)
    assert (await health.report()).ready
    check.error = Unavailable("gone")
    clock.advance(0.9)
    assert (await health.report()).ready
    assert check.runs == 1
    clock.advance(0.2)
    assert not (await health.report()).ready
    check.error = None
    clock.advance(1.1)
    assert (await health.report()).ready
    assert check.runs == 3


async def test_probes_at_the_same_time_share_one_run() -> None:
    check = Counted()
    check.gate.clear()
    health = Health({"database": check})
    waiting = [asyncio.create_task(health.report()) for _ in range(20)]
    await check.begun.wait()
    waiting[0].cancel()  # who hangs up does not stop it for the others
    check.gate.set()
    reports = await asyncio.gather(*waiting[1:])
    assert check.runs == 1
    assert all(report.ready for report in reports)


async def test_a_gauge_shows_each_check() -> None:
    check, clock = Counted(), ManualClock()
    health = Health({"gauged": check}, clock)
    await health.report()
    assert metrics.registry.get_sample_value("mailplat_ready", {"check": "gauged"}) == 1
    check.error = Unavailable("gone")
    clock.advance(2)
    await health.report()
    assert metrics.registry.get_sample_value("mailplat_ready", {"check": "gauged"}) == 0
