"""A legacy platform that is away: few ask for it, and when it is back all go on at once."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mailplat.core.errors import DiskFull
from mailplat.core.route import RouteState
from mailplat.directory import Backend
from mailplat.store import NewMessage
from migration.attendance import LOST_S, ROOM_S
from migration.dispatch import Board, Dispatch
from migration.errors import Unreachable
from migration.from_backends import FromBackends
from migration.lease import Lease
from migration.sources.contract import Survey
from migration.sources.imap_account import ImapAccount
from migration.sources.pop3 import Session
from migration.target import Target
from migration.turns import LEGACY_KIND, Turn, Turns
from tests.dovecot import Dovecot
from tests.migration.house import PATIENCE_S, House, client, letter
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

# Nobody waits so long in a test.
NEVER_S = 3000.0


@pytest.fixture
def users(_free: list[str]) -> list[str]:
    return [_free.pop() for _ in range(4)]


def gone_wrong(here: House, user: str, *, due_in: float, away: bool, failures: int = 3) -> None:
    """As the user's turn ends when its platform cannot be reached, or only the account has trouble."""
    turns, now = Turns(here.platform.database), here.platform.clock.now()
    account_id = here.accounts[user].id
    begun = turns.begin(turns.make(LEGACY_KIND, [account_id])[account_id].name, "gone")
    assert begun is not None
    assert turns.end(begun[0], due_at=now + due_in, worked=0.0, failures=failures, away=now if away else 0.0)


def turn_of(here: House, user: str) -> Turn:
    account_id = here.accounts[user].id
    return Turns(here.platform.database).of(LEGACY_KIND, [account_id])[account_id]


async def test_when_it_is_back_nobody_waits_until_his_time_is_up(
    dovecot: Dovecot, house: Callable[..., House], users: list[str]
) -> None:
    here = house(*users)
    here.plan()
    for user in users[:2]:
        gone_wrong(here, user, due_in=NEVER_S, away=True)
    gone_wrong(here, users[2], due_in=0.0, away=True)  # the one that asks
    gone_wrong(here, users[3], due_in=NEVER_S, away=False)  # its connection was lost when the platform went
    async with here.engine():
        await here.reach(RouteState.READY, users=users)
    assert [turn_of(here, user).away for user in users] == [0.0] * 4


async def test_where_nothing_was_away_who_failed_waits_until_his_time_is_up(
    dovecot: Dovecot, house: Callable[..., House], users: list[str]
) -> None:
    here = house(*users)
    here.plan()
    gone_wrong(here, users[0], due_in=NEVER_S, away=False)
    async with here.engine():
        await here.reach(RouteState.READY, users=users[1:])
    assert here.move(users[0]).route.state is RouteState.LEGACY


async def test_while_it_is_away_one_asks(
    dovecot: Dovecot, house: Callable[..., House], users: list[str]
) -> None:
    here = house(*users)
    here.plan()
    turns = Turns(here.platform.database)
    kind = FromBackends(here.platform, turns, "worker", Lease(here.platform.clock, 3600.0), 0.3, 10, 0.0)
    board = Board(kind)
    board.turns = turns.make(LEGACY_KIND, [here.accounts[user].id for user in users])
    dispatch = Dispatch(here.platform, turns, None, [kind], _nothing)  # type: ignore[arg-type] # hands out none
    moves = await kind.due()
    assert len(await dispatch._choose(board, moves)) == len(users)
    gone_wrong(here, users[0], due_in=NEVER_S, away=True)
    board.turns = turns.of(LEGACY_KIND)
    asking = await dispatch._choose(board, moves)
    assert len(asking) == 1
    assert asking[0].address != users[0], "whose turn failed last is the last to ask"


async def test_no_account_is_blamed_for_it(
    dovecot: Dovecot, house: Callable[..., House], users: list[str]
) -> None:
    here = house(users[0])
    here.plan()
    dovecot.kill()
    async with here.engine():
        await until(lambda: here.move(users[0]).note, PATIENCE_S)
        await until(lambda: turn_of(here, users[0]).away, PATIENCE_S)
        assert turn_of(here, users[0]).failures == 0
        dovecot.start()
        await here.reach(RouteState.READY)


async def test_an_account_whose_shard_is_full_looks_again_soon(
    dovecot: Dovecot, house: Callable[..., House], users: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it has failed: the disk may have room at any moment."""
    with client(dovecot, users[0]) as imap:
        imap.append("INBOX", letter(1))
    here = house(users[0])
    here.plan()
    full = True
    append = Target.append

    async def no_room(target: Target, mailbox: str, messages: Sequence[NewMessage]) -> None:
        if full:
            raise DiskFull("no space left")
        await append(target, mailbox, messages)

    monkeypatch.setattr(Target, "append", no_room)
    gone_wrong(here, users[0], due_in=0.0, away=False, failures=9)
    async with here.engine():
        await until(lambda: turn_of(here, users[0]).failures > 9, PATIENCE_S)
        assert turn_of(here, users[0]).due_at <= here.platform.clock.now() + ROOM_S
        full = False
        await here.reach(RouteState.READY)


async def test_an_account_whose_connections_were_lost_tries_again_soon(
    dovecot: Dovecot, house: Callable[..., House], users: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else need have met the platform while it was away, and nobody tells when it is back."""
    here = house(users[0])
    here.plan()
    survey, cut = ImapAccount.survey, True

    async def lose(source: ImapAccount) -> Survey:
        if cut:
            source._client.protocol.transport.abort()
        return await survey(source)

    monkeypatch.setattr(ImapAccount, "survey", lose)
    gone_wrong(here, users[0], due_in=0.0, away=False, failures=9)
    async with here.engine():
        await until(lambda: turn_of(here, users[0]).failures > 9, PATIENCE_S)
        assert turn_of(here, users[0]).due_at <= here.platform.clock.now() + LOST_S
        assert "closed the connection" in here.move(users[0]).note
        cut = False
        await here.reach(RouteState.READY)


@pytest.mark.parametrize("answer", [None, b"", b"* BYE\r\n"])
async def test_who_does_not_greet_is_away(answer: bytes | None) -> None:
    """Whatever keeps it from that; None: nobody listens."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer or b"")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if answer is None:
        server.close()
        await server.wait_closed()
    backend = Backend(
        "old", imap=f"127.0.0.1:{port}", imap_tls="none", pop3=f"127.0.0.1:{port}", pop3_tls="none"
    )
    with pytest.raises(Unreachable):
        await ImapAccount.open(backend, "anna@x.test", Path("/nowhere"))
    with pytest.raises(Unreachable):
        await Session.connect(backend)
    server.close()


async def _nothing() -> None:
    pass
