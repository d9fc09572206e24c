"""A wave with a real Dovecot behind it, from the census to the end."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.route import RouteState
from migration.plan.states import WaveState
from migration.waves.ledger import WaveLedger
from tests.dovecot import Dovecot
from tests.migration.house import PATIENCE_S, House, client, content_of, letter
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


async def test_a_wave_moves_its_domain_by_itself(
    dovecot: Dovecot,
    user: str,
    house: Callable[..., House],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    with client(dovecot, user) as imap:
        for number in range(20):
            imap.append("INBOX", letter(number), flags=["\\Seen"])
    here = house(user)
    waves = WaveLedger(here.platform.database, here.platform.clock)

    def state() -> WaveState:
        return waves.wave("old-1").state

    file = tmp_path / "old.toml"
    # Commands run an event loop of their own.
    await in_thread("migrate", "census", "old")
    await in_thread("migrate", "plan", "old", "--write", str(file))
    file.write_text(file.read_text().replace("bake = 24.0", "bake = 0.0"))
    await in_thread("migrate", "plan", "--apply", str(file))
    async with here.engine():
        await in_thread("migrate", "start", "old-1")
        await until(lambda: "waits for approval" in waves.wave("old-1").reason, PATIENCE_S)
        assert here.move(user).route.state is RouteState.READY
        capsys.readouterr()
        await in_thread("migrate", "watch", "old-1")
        said = capsys.readouterr().out
        assert "old-1: ready; 1 domains, 1 accounts: 1 ready, 0 moved, 0 failed; 20 of 20 messages" in said
        assert "if approved" in said
        with client(dovecot, user) as imap:
            imap.append("INBOX", letter(99))
        await in_thread("migrate", "approve", "--wave", "old-1", "--reason", "all asked")
        await until(lambda: state() is WaveState.DONE, PATIENCE_S)
        await until(lambda: here.move(user).released, PATIENCE_S)
    assert here.move(user).route.state is RouteState.NEW
    assert here.content(user) == content_of(dovecot, user)
    await in_thread("migrate", "status", "old-1")
    assert "1 new" in capsys.readouterr().out


async def in_thread(*words: str) -> None:
    assert await asyncio.to_thread(main, list(words)) == 0, words
