"""How hard a legacy platform is worked: what its latency bears."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from mailplat.admin.metrics import registry
from mailplat.core.clock import SystemClock
from mailplat.core.errors import Unavailable
from migration import pacing
from migration.errors import Throttled
from migration.pacing import LEAST, Controller, Pacer
from migration.sources.probe import Probe
from tests.dovecot import Dovecot
from tests.migration.house import backend_of
from tests.until import until

TARGET = 0.1


@given(
    base=st.floats(0.001, 0.09),
    slope=st.floats(0.0, 1.0),
    power=st.floats(1.0, 3.0),
    most=st.integers(1, 16),
)
def test_the_latency_is_held_whatever_the_platform_is_like(
    base: float, slope: float, power: float, most: int
) -> None:
    """Idle it answers in `base`, and slower with each batch that is under way."""
    controller = Controller(TARGET, most)
    latencies = []
    for _ in range(300):
        latencies.append(base + slope * controller.share**power)
        controller.measured(latencies[-1])
    settled = latencies[-100:]
    assert LEAST <= controller.share <= most
    if base + slope * LEAST**power <= TARGET:  # it can be held at all
        assert sum(settled) / len(settled) <= 1.5 * TARGET
    if base + slope * most**power <= TARGET:
        assert controller.share == most, "it bears all of it"


@given(st.integers(1, 1_000), st.integers(1, 64), st.floats(0.001, 0.01))
def test_accounts_that_only_wait_take_a_tenth_of_the_connections(
    waiting: int, most: int, took: float
) -> None:
    between = pacing.pause_between(took, waiting, most)
    assert waiting * took / between == pytest.approx(0.1 * most)


def test_accounts_that_wait_are_soon_looked_at_again_after_a_platform_hung() -> None:
    assert pacing.pause_between(60.0, 3, 4) <= 10.0
    assert pacing.pause_between(60.0, 100_000, 4) == pacing.LONGEST_S


def test_one_slow_answer_changes_nothing() -> None:
    controller = Controller(TARGET, 4)
    for seconds in (0.01, 0.01, 5.0, 0.01, 0.01):
        controller.measured(seconds)
    assert controller.share == 4


def test_a_platform_that_does_not_answer_is_all_but_left_alone() -> None:
    controller = Controller(TARGET, 4)
    for _ in range(20):
        controller.measured(math.inf)
    assert controller.share == LEAST
    for _ in range(60):
        controller.measured(0.01)
    assert controller.share == 4


def test_rests_make_the_share() -> None:
    controller = Controller(TARGET, 4)
    assert controller.rest(1.0, 4) == 0.0
    controller.share = 1.0
    assert controller.rest(1.0, 4) == 3.0  # four connections, each at work a quarter of the time
    assert controller.rest(1.0, 1) == 0.0
    controller.share = 0.5
    assert controller.rest(1.0, 1) == 1.0
    assert controller.rest(1000.0, 4) == pacing.REST_S


def test_without_a_target_nothing_is_held_back() -> None:
    controller = Controller(0.0, 4)
    for _ in range(10):
        controller.measured(60.0)
    assert controller.share == 4


async def test_mode_22_throttled() -> None:
    """It asked to be left alone for so long: nobody connects before."""
    pacer = Pacer(SystemClock(), 2)
    with pytest.raises(Throttled):
        async with pacer.slot():
            raise Throttled("NO [LIMIT] Suggested Backoff Time: 250 milliseconds", 0.25)
    assert pacer.quiet_for > 0.2
    async with pacer.slot():
        assert pacer.quiet_for == 0.0


class Slow:
    """A proxy that holds back what the server says for so many seconds."""

    def __init__(self, port: int) -> None:
        self.seconds = 0.0
        self._port = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._pump(reader, here), self._pump(there, writer, slow=True))

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, slow: bool = False
    ) -> None:
        while octets := await source.read(65536):
            if slow:
                await asyncio.sleep(self.seconds)
            target.write(octets)
        target.close()


@pytest.fixture
async def slow(dovecot: Dovecot) -> AsyncIterator[tuple[Slow, int]]:
    proxy = Slow(dovecot.imap_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    yield proxy, server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.interop
async def test_mode_23_latency_rises(
    slow: tuple[Slow, int], dovecot: Dovecot, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, port = slow
    monkeypatch.setattr(pacing, "PROBE_S", 0.01)
    pacer = Pacer(SystemClock(), 4, latency=0.05)
    probe = Probe(backend_of(dovecot, imap=f"127.0.0.1:{port}"), user, tmp_path, SystemClock())
    async with pacer.slot():
        watch = asyncio.create_task(pacer.watch("old", probe))
        await until(lambda: pacer.controller.latency)
        assert pacer.controller.share > 1
        proxy.seconds = 0.2
        await until(lambda: pacer.controller.share == LEAST)
        assert pacer.controller.latency > 0.2
        said = generate_latest(registry).decode()
        assert 'mailplat_legacy_batches{backend="old"} 0.05' in said
        proxy.seconds = 0.0
        await until(lambda: pacer.controller.share == 4)
    await watch
    await probe.close()


@pytest.mark.interop
async def test_a_probe_that_was_cut_off_connects_again(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    closed = Probe(backend_of(dovecot, imap="127.0.0.1:1"), user, tmp_path, SystemClock())
    with pytest.raises(Unavailable):
        await closed()
    probe = Probe(backend_of(dovecot), user, tmp_path, SystemClock())
    assert await probe() > 0
    assert probe._source is not None
    probe._source._client.abort()
    with pytest.raises(Unavailable):
        await probe()
    assert await probe() > 0
    await probe.close()
