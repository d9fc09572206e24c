"""IDLE (RFC 2177)."""

from mailplat.access.imap import ImapLimits
from tests.access.imap.conftest import MakeRig, Rig, message
from tests.until import until


async def test_changes_come_as_they_happen(rig: Rig) -> None:
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    client.send(b"a IDLE\r\n")
    assert await client.line() == b"+ idling"
    await rig.deliver(message("one"))
    assert await client.line() == b"* 1 EXISTS"
    assert await other.ok("NOOP") == [b"* 1 EXISTS"]
    await other.ok("STORE 1 +FLAGS (\\Deleted)")
    assert await client.line() == b"* 1 FETCH (UID 1 FLAGS (\\Deleted))"
    await other.ok("EXPUNGE")
    assert await client.line() == b"* 1 EXPUNGE"
    client.send(b"DONE\r\n")
    assert await client.line() == b"a OK IDLE completed"
    client.send(b"b IDLE\r\nDONE\r\nc NOOP\r\n")
    assert await client.line() == b"+ idling"
    assert await client.line() == b"b OK IDLE completed"
    assert await client.line() == b"c OK NOOP completed"


async def test_another_line_ends_it(rig: Rig) -> None:
    client = await rig.login()
    client.send(b"a IDLE\r\nb NOOP\r\n")
    assert await client.line() == b"+ idling"
    assert await client.line() == b"a BAD DONE expected"
    client.send(b"c IDLE\r\n" + b"x" * 70_000 + b"\r\n")
    assert await client.line() == b"+ idling"
    assert (await client.line()).startswith(b"c BAD")
    assert (await client.command("NOOP")).status == b"OK"


async def test_a_lost_hint_only_delays(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(idle_poll=0.05))
    client = await rig.login("INBOX")
    client.send(b"a IDLE\r\n")
    await client.line()
    rig.bus.publish = lambda hint: None  # type: ignore[method-assign]
    await rig.deliver(message())
    assert await client.line() == b"* 1 EXISTS"


async def test_keepalive_and_autologout(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(keepalive=0.02, autologout=0.3))
    client = await rig.login("INBOX")
    client.send(b"a IDLE\r\n")
    await client.line()
    assert await client.line() == b"* OK Still here"
    while (line := await client.line()) == b"* OK Still here":
        pass
    assert line.startswith(b"* BYE Autologout")
    await client.closed()


async def test_client_that_goes_away(rig: Rig) -> None:
    client = await rig.login("INBOX")
    client.send(b"a IDLE\r\n")
    await client.line()
    await client.close()
    await until(lambda: len(rig.server.sessions) == 0)
