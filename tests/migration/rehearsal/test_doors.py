"""Our servers over a copy: nobody else gets there, and nothing can be written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mailplat.access.capture import Capture
from mailplat.access.forwarding import ForwardedSessions
from mailplat.access.imap.command import registry
from mailplat.access.imap.reading import READING
from mailplat.access.login import Forward
from mailplat.app.logins import open_logins
from mailplat.core.envelope import Peer
from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.core.route import Residence, RouteState
from mailplat.core.spool import Body
from mailplat.store.types import NewMessage
from migration.rehearsal.doors import NO_EPOCH, CopyDoors, copy_doors
from tests.dovecot import Dovecot
from tests.migration.house import PASSWORD, Content, House, client, content_of, letter

pytestmark = pytest.mark.interop

# What a client could say to change something, and what of the registry has no sense in this state.
WRITES = (
    b"APPEND INBOX {1+}\r\nx",
    b"SELECT INBOX",
    b"CREATE New",
    b"DELETE Sent",
    b"RENAME Sent Gone",
    b"SUBSCRIBE INBOX",
    b"UNSUBSCRIBE INBOX",
    b'SETMETADATA INBOX (/private/comment "x")',
    b"SETACL INBOX anyone lr",
    b"STORE 1 +FLAGS (\\Deleted)",
    b"UID STORE 1 +FLAGS (\\Deleted)",
    b"COPY 1 Sent",
    b"UID MOVE 1 Sent",
    b"EXPUNGE",
    b"UID EXPUNGE 1:*",
    b"CLOSE",
    b"UID REPLACE 1 INBOX {1+}\r\nx",
)


@pytest.fixture
async def here(dovecot: Dovecot, user: str, house: Callable[..., House]) -> House:
    with client(dovecot, user) as imap:
        imap.create_folder("Sent")
        for number in range(3):
            imap.append("INBOX", letter(number))
    made = house(user)
    made.plan()
    async with made.engine():
        await made.reach(RouteState.READY)
    return made


@pytest.fixture
async def doors(here: House, user: str) -> AsyncIterator[CopyDoors]:
    async with copy_doors(here.platform, here.move(user)) as opened:
        yield opened


def kept(here: House, user: str) -> tuple[Content, set[str], list[tuple[object, ...]]]:
    """What is in the shard, and the account's row: its epoch."""
    shard = here.platform.store.shard(here.move(user).shard)
    with shard.site.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM account").fetchall()
    return here.content(user), here.subscriptions(user), [tuple(row) for row in rows]


async def test_over_imap_nothing_can_be_written(
    here: House, doors: CopyDoors, user: str, tmp_path: Path
) -> None:
    before = kept(here, user)
    imap = await doors.imap(tmp_path)
    assert (await imap.ask(b'EXAMINE "INBOX"'))[0] == "OK"
    for line in WRITES:
        status, text, _ = await imap.ask(line)
        # REPLACE is told first that the mailbox was opened with EXAMINE.
        assert (status, text.split()[0]) in (("NO", b"[NOPERM]"), ("NO", b"[CANNOT]")), line
    await imap.close()
    assert kept(here, user) == before
    names = {b" ".join(line.split()[: 1 + line.startswith(b"UID")]).decode() for line in WRITES}
    assert names <= registry().keys() - READING


async def test_over_pop3_a_deletion_does_not_come_to_pass(here: House, doors: CopyDoors, user: str) -> None:
    before = kept(here, user)
    reader, writer = await doors.pop3(1 << 16)
    writer.write(f"USER {user}\r\nPASS x\r\nDELE 1\r\nQUIT\r\n".encode())
    async with asyncio.timeout(20):
        lines = (await reader.read()).split(b"\r\n")
    writer.close()
    assert [line[:4] for line in lines[:4]] == [b"+OK ", b"+OK ", b"+OK ", b"+OK "]
    assert lines[4].startswith(b"-ERR"), lines
    assert kept(here, user) == before


async def test_the_epoch_is_none_that_a_shard_takes(here: House, user: str) -> None:
    move = here.move(user)
    copy = Residence(move.account_id, move.shard, NO_EPOCH)
    with pytest.raises(StaleEpoch):
        await here.platform.store.append(copy, "INBOX", [NewMessage(Body.of(letter(9)))])


async def test_it_is_the_one_account(doors: CopyDoors, tmp_path: Path, here: House) -> None:
    imap = await doors.imap(tmp_path)
    await imap.close()
    doors._account = here.platform.directory.add_account(
        type(doors._account.address)("other", doors._account.address.domain),
        home=here.move(str(doors._account.address)).route.home,
    )
    with pytest.raises(Unavailable, match="AUTHENTICATIONFAILED"):
        await doors.imap(tmp_path)


async def test_nobody_can_connect_and_a_user_is_at_the_backend_as_ever(
    here: House, user: str, dovecot: Dovecot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a listener was opened")

    for name in ("create_server", "create_unix_server"):
        monkeypatch.setattr(asyncio.get_running_loop(), name, refuse, raising=False)
    there = content_of(dovecot, user)
    platform = here.platform
    forwarded = ForwardedSessions(platform.directory, platform.executors)
    login = await open_logins(platform, forwarded, Capture(platform.directory, platform.executors))
    async with copy_doors(platform, here.move(user)) as doors:
        imap = await doors.imap(tmp_path)
        granted = await login.login(user, PASSWORD, Peer("127.0.0.1", 4711), "imap")
        assert isinstance(granted, Forward)
        assert granted.backend.name == "old"
        await imap.close()
    await login.close()
    assert content_of(dovecot, user) == there
