"""IMAP sessions that stay connected while their account moves, with a real Dovecot and our own doors."""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailplat.core.route import RouteState
from migration import fence
from migration.errors import FenceAborted
from tests.access.imap.client import Client
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, PASSWORD, House, backend_of, client, letter
from tests.rig import ONE_WORKER, Rig
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

# Without the engine, which runs in the test's own process.
DOORS = tuple(each for role in ("ingress", "access", "queue", "admin") for each in ("--role", role))


class Stage:
    def __init__(self, rig: Rig, here: House, user: str) -> None:
        self.rig, self.here, self.user = rig, here, user

    async def login(self, select: str = "") -> Client:
        session = await Client.connect(self.rig.ports["imap"])
        await session.ok(f'LOGIN {self.user} "{PASSWORD}"')
        if select:
            await session.ok(select)
        return session

    async def cut_over(self) -> None:
        self.here.ledger.request_cutover(DOMAIN)
        await self.here.reach(RouteState.NEW)


@contextlib.asynccontextmanager
async def staged(tmp_path: Path, dovecot: Dovecot, user: str) -> AsyncIterator[Stage]:
    """An account with five letters, READY; its doors are open."""
    rig = Rig(tmp_path / "rig", environment=ONE_WORKER)
    here = House(rig.root, backend_of(dovecot, pop3=""), [user])
    with client(dovecot, user) as imap:
        for number in range(5):
            imap.append("INBOX", letter(number))
    here.plan()
    await asyncio.to_thread(rig.start, *DOORS)
    try:
        async with here.engine():
            await here.reach(RouteState.READY)
            yield Stage(rig, here, user)
    finally:
        await asyncio.to_thread(rig.stop)
        here.close()


async def idling(stage: Stage) -> Client:
    session = await stage.login("SELECT INBOX")
    session.send(b"i IDLE\r\n")
    assert (await session.line()).startswith(b"+")
    return session


async def heard(session: Client, wanted: str) -> list[str]:
    """Lines up to one that fits. EOFError when the server closes before."""
    lines: list[str] = []
    while not lines or not re.fullmatch(wanted, lines[-1]):
        line = await session.line()
        if not line:
            raise EOFError(f"the server closed; before: {lines[-3:]}")
        lines.append(line.decode("ascii", "replace"))
    return lines


async def test_an_idle_goes_on_at_the_new_home(tmp_path: Path, dovecot: Dovecot, user: str) -> None:
    async with staged(tmp_path, dovecot, user) as stage:
        session = await idling(stage)
        other = await stage.login("SELECT INBOX")
        await other.ok("STORE 2 +FLAGS (\\Deleted)")
        await other.ok("EXPUNGE")
        await stage.cut_over()
        await other.append(letter(9))
        lines = await heard(session, r"\* 5 EXISTS")
        assert [line for line in lines if "EXPUNGE" in line] == ["* 2 EXPUNGE"]
        assert not any(line.startswith("* BYE") for line in lines)
        session.send(b"DONE\r\n")
        assert (await heard(session, r"i OK .*"))[-1] == "i OK IDLE completed"
        rows = await session.ok("FETCH 1:* (UID)")
        assert [int(row.split()[4].strip(b")")) for row in rows] == [1, 3, 4, 5, 6]
        await session.ok("LOGOUT")


async def test_a_silent_client_hears_what_is_gone_with_its_next_command(
    tmp_path: Path, dovecot: Dovecot, user: str
) -> None:
    async with staged(tmp_path, dovecot, user) as stage:
        session = await stage.login("SELECT INBOX")
        await session.ok("ENABLE CONDSTORE")
        other = await stage.login("SELECT INBOX")
        await other.ok("STORE 1,4 +FLAGS (\\Deleted)")
        await other.ok("EXPUNGE")
        await other.ok("STORE 1 +FLAGS ($Work)")
        await stage.cut_over()
        # RFC 3501 7.4.1: numbers hold while FETCH answers; what is gone is told behind.
        session.send(b"x FETCH 2:3 (UID)\r\ny NOOP\r\n")
        lines = await heard(session, r"y OK .*")
        assert [line for line in lines if re.fullmatch(r"\* \d FETCH \(UID \d\)", line)] == [
            "* 2 FETCH (UID 2)",
            "* 3 FETCH (UID 3)",
        ]
        assert lines.index("x OK FETCH completed") < lines.index("* 4 EXPUNGE") < lines.index("* 1 EXPUNGE")
        told = [line for line in lines if "$Work" in line and "FETCH" in line]
        assert told, lines
        assert all(line.startswith("* 2 ") and "MODSEQ" in line for line in told), lines


async def test_a_client_that_has_selected_nothing_or_only_looks(
    tmp_path: Path, dovecot: Dovecot, user: str
) -> None:
    async with staged(tmp_path, dovecot, user) as stage:
        bare, looking = await stage.login(), await stage.login("EXAMINE INBOX")
        await stage.cut_over()
        lines = await bare.ok("STATUS INBOX (MESSAGES)")
        assert lines[0].startswith(b"* CAPABILITY ")
        assert lines[1:] == [b"* STATUS INBOX (MESSAGES 5)"]
        refused = await looking.command("STORE 1 +FLAGS (\\Seen)")
        assert refused.tagged.startswith(b"NO [")
        assert len(await looking.ok("FETCH 1:* (UID)")) >= 5


async def test_a_fence_that_is_taken_back(
    tmp_path: Path, dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back to the backend over a new connection; the next cutover carries it on all the same."""
    async with staged(tmp_path, dovecot, user) as stage:
        session, silent = await idling(stage), await stage.login("SELECT INBOX")
        with monkeypatch.context() as patch:

            async def fails(*_: object, **__: object) -> None:
                raise FenceAborted("as the test wants it")

            patch.setattr(fence, "verify", fails)
            stage.here.ledger.request_cutover(DOMAIN)
            await until(lambda: stage.here.move(user).aborts == 1)
        with client(dovecot, user) as imap:
            imap.append("INBOX", letter(6))
        await heard(session, r"\* 6 EXISTS")
        await silent.ok("NOOP")
        assert len(await silent.ok("FETCH 1:* (UID)")) == 6
        await stage.here.reach(RouteState.READY)
        await stage.cut_over()
        await (await stage.login()).append(letter(7))
        await heard(session, r"\* 7 EXISTS")
        session.send(b"DONE\r\n")
        assert (await heard(session, r"i OK .*"))[-1] == "i OK IDLE completed"


@pytest.mark.parametrize(("doubtful", "told"), [("RENAME INBOX Old", True), ("COMPRESS DEFLATE", False)])
async def test_a_session_in_doubt_hears_bye(
    tmp_path: Path, dovecot: Dovecot, user: str, doubtful: str, told: bool
) -> None:
    """Where it can be said: nothing can be put into a compressed stream."""
    async with staged(tmp_path, dovecot, user) as stage:
        session = await stage.login("SELECT INBOX")
        await session.command(doubtful)
        await stage.cut_over()
        if told:
            assert (await heard(session, r"\* BYE .*"))[-1].startswith("* BYE [UNAVAILABLE]")
        await session.closed()


class Believer:
    """A client that works at random, and believes what it is told."""

    def __init__(self, session: Client, rng: random.Random) -> None:
        self.session, self.rng = session, rng
        self.uids: list[int | None] = []
        self.flags: dict[int, frozenset[bytes]] = {}

    def absorb(self, lines: list[bytes]) -> None:
        for line in lines:
            if found := re.match(rb"\* (\d+) EXISTS", line):
                count = int(found[1])
                assert count >= len(self.uids), "EXISTS never takes away"
                self.uids += [None] * (count - len(self.uids))
            elif found := re.match(rb"\* (\d+) EXPUNGE", line):
                del self.uids[int(found[1]) - 1]
            elif found := re.match(rb"\* (\d+) FETCH \((.*)\)", line):
                place = int(found[1]) - 1
                if uid := re.search(rb"UID (\d+)", found[2]):
                    assert self.uids[place] in (None, int(uid[1])), "a number changed its message"
                    self.uids[place] = int(uid[1])
                if (flags := re.search(rb"FLAGS \(([^)]*)\)", found[2])) and self.uids[place] is not None:
                    kept = frozenset(flags[1].split()) - {b"\\Recent"}
                    self.flags[self.uids[place] or 0] = kept

    async def command(self, text: str | bytes) -> None:
        answer = await asyncio.wait_for(self.session.command(text), 40)
        # Another client has expunged it, and STORE and FETCH may not say so by themselves (RFC 5530).
        taken = answer.tagged.startswith(b"NO [EXPUNGEISSUED]")
        assert taken or answer.tagged.startswith(b"OK"), (text, answer)
        self.absorb(answer.lines)

    async def step(self) -> None:
        count = len(self.uids)
        number = self.rng.randint(1, count) if count else 0
        match self.rng.choice(("noop", "store", "expunge", "append", "idle", "fetch")):
            case "store" if number:
                flag = self.rng.choice(("\\Seen", "\\Flagged", "$Work", "\\Deleted"))
                await self.command(f"STORE {number} {self.rng.choice('+-')}FLAGS ({flag})")
            case "expunge":
                await self.command("EXPUNGE")
            case "append":
                message = letter(self.rng.randrange(1000))
                await self.command(b"APPEND INBOX {%d+}\r\n" % len(message) + message)
            case "fetch" if number:
                await self.command(f"FETCH {number} (UID FLAGS)")
            case "idle":
                await self.idle()
            case _:
                await self.command("NOOP")

    async def idle(self) -> None:
        self.session.send(b"i IDLE\r\n")
        lines = await heard(self.session, r"\+.*")
        await asyncio.sleep(self.rng.uniform(0.0, 0.4))
        self.session.send(b"DONE\r\n")
        lines += await heard(self.session, r"i .*")
        assert lines[-1].startswith("i OK")
        self.absorb([line.encode() for line in lines])

    async def live(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.step()

    async def check(self) -> None:
        """What it believes is what is there."""
        await self.command("NOOP")
        believed, flags = list(self.uids), dict(self.flags)
        fresh = Believer(self.session, self.rng)
        fresh.uids = [None] * len(believed)
        await fresh.command("FETCH 1:* (UID FLAGS)")
        assert len(fresh.uids) == len(believed)
        for one, other in zip(believed, fresh.uids, strict=True):
            assert one in (None, other)
            if one is not None and one in flags:
                assert flags[one] == fresh.flags[one], one


@pytest.mark.parametrize("seed", range(2))
async def test_clients_that_work_all_the_while(
    tmp_path: Path, dovecot: Dovecot, user: str, seed: int
) -> None:
    rng = random.Random(seed)
    async with staged(tmp_path, dovecot, user) as stage:
        clients = []
        for _ in range(3):
            session = await stage.login()
            believer = Believer(session, random.Random(rng.random()))
            await believer.command("SELECT INBOX")
            await believer.command("FETCH 1:* (UID FLAGS)")
            clients.append(believer)
        stop = asyncio.Event()
        living = [asyncio.create_task(each.live(stop)) for each in clients]
        try:
            await stage.here.reach(RouteState.READY)
            await stage.cut_over()
            await asyncio.sleep(0.5)
        finally:
            stop.set()
            await asyncio.gather(*living)
        for each in clients:
            await each.check()
