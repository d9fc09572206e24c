"""LOGIN, AUTHENTICATE, STARTTLS, CAPABILITY; accounts that move."""

import asyncio
import base64
import ssl

import pytest
import trustme

from mailplat.access.imap import ImapLimits
from mailplat.core.address import Address
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory import Backend
from tests.access.imap.conftest import DOMAIN, PASSWORD, MakeRig, Rig, message

USER = f"user@{DOMAIN}"


def plain(name: str, password: str, authzid: str = "") -> str:
    return base64.b64encode(f"{authzid}\0{name}\0{password}".encode()).decode()


async def test_login(rig: Rig) -> None:
    client = await rig.connect()
    await client.talk(
        f"""
        C: a CAPABILITY
        S: * CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE AUTH=PLAIN AUTH=LOGIN
        S: a OK ...
        C: b LOGIN {USER} wrong
        S: b NO [AUTHENTICATIONFAILED] Invalid user name or password
        C: c LOGIN nobody@{DOMAIN} wrong
        S: c NO [AUTHENTICATIONFAILED] Invalid user name or password
        C: d SELECT INBOX
        S: d BAD Log in first
        C: e LOGIN "{USER}" {{6}}
        S: + OK
        C: {PASSWORD}
        S: e OK [CAPABILITY IMAP4rev1 ...CONDSTORE ... APPENDLIMIT=50000000] Logged in
        C: f LOGIN {USER} {PASSWORD}
        S: f BAD Already logged in
        C: g ID ("name" "test" "version" NIL)
        S: * ID ("name" "mailplat")
        S: g OK ...
        C: h NAMESPACE
        S: * NAMESPACE (("" "/")) (("user/" "/")) NIL
        S: h OK ...
        C: i ENABLE CONDSTORE X-NONSENSE
        S: * ENABLED CONDSTORE
        S: i OK ...
        C: j ENABLE CONDSTORE
        S: * ENABLED
        S: j OK ...
        """
    )


async def test_authenticate_plain(rig: Rig) -> None:
    client = await rig.connect()
    await client.talk(
        f"""
        C: a AUTHENTICATE PLAIN
        S: +...
        C: *
        S: a BAD AUTHENTICATE cancelled
        C: b AUTHENTICATE PLAIN
        S: +...
        C: !!!
        S: b BAD ...
        C: c AUTHENTICATE PLAIN =
        S: c BAD ...
        C: d AUTHENTICATE CRAM-MD5
        S: d NO [CANNOT] ...
        C: e AUTHENTICATE PLAIN {plain(USER, "wrong")}
        S: e NO [AUTHENTICATIONFAILED] ...
        C: f AUTHENTICATE PLAIN {plain(USER, PASSWORD, "other")}
        S: f NO [AUTHORIZATIONFAILED] ...
        C: g AUTHENTICATE PLAIN
        S: +...
        C: {plain(USER, PASSWORD, USER)}
        S: g OK [CAPABILITY ...
        """
    )


async def test_too_many_failures_end_the_connection(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(login_failures=2))
    client = await rig.connect()
    await client.talk(
        f"""
        C: a LOGIN {USER} x
        S: a NO [AUTHENTICATIONFAILED] ...
        C: b LOGIN {USER} y
        S: b NO [AUTHENTICATIONFAILED] ...
        S: * BYE ...
        """
    )
    await client.closed()


async def test_who_does_not_log_in_is_sent_away(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(preauth=0.05))
    client = await rig.connect()
    assert await client.line() == b"* BYE Log in sooner"
    await client.closed()


async def test_dripping_octets_does_not_buy_time(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(preauth=0.3))
    client = await rig.connect()
    for _ in range(1000):
        client.send(b"x")
        if client.reader.at_eof() or len(rig.server.sessions) == 0:
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("still connected")
    assert await client.line() == b"* BYE Log in sooner"


async def test_starttls(tls_rig: Rig, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client = await tls_rig.connect()
    await client.talk(
        f"""
        C: a CAPABILITY
        S: * CAPABILITY ...STARTTLS LOGINDISABLED
        S: a OK ...
        C: b LOGIN {USER} {PASSWORD}
        S: b NO [PRIVACYREQUIRED] ...
        C: c AUTHENTICATE PLAIN {plain(USER, PASSWORD)}
        S: c NO [PRIVACYREQUIRED] ...
        C: d STARTTLS
        S: d OK ...
        """
    )
    await client.writer.start_tls(context, server_hostname="127.0.0.1")
    await client.talk(
        f"""
        C: e CAPABILITY
        S: * CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE AUTH=PLAIN AUTH=LOGIN
        S: e OK ...
        C: f STARTTLS
        S: f BAD ...
        C: g LOGIN {USER} {PASSWORD}
        S: g OK ...
        """
    )
    await client.append(message(text="x" * 300_000))
    await client.ok("SELECT INBOX")
    [line] = await client.ok("FETCH 1 BODY.PEEK[]")
    assert message(text="x" * 300_000) in line


async def test_octets_behind_starttls_end_the_connection(tls_rig: Rig) -> None:
    """CVE-2011-0411: what was sent in clear must not run as if it came under TLS."""
    client = await tls_rig.connect()
    client.send(b"a STARTTLS\r\nb NOOP\r\n")
    assert (await client.line()).startswith(b"* BYE ")
    await client.closed()


async def test_no_starttls_without_a_certificate(rig: Rig) -> None:
    client = await rig.connect()
    assert (await client.command("STARTTLS")).status == b"BAD"


async def test_connections_per_account(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(connections_per_account=1))
    first = await rig.login()
    second = await rig.connect()
    assert (await second.command(f"LOGIN {USER} {PASSWORD}")).tagged.startswith(b"NO [LIMIT]")
    await first.ok("LOGOUT")
    await first.closed()
    await second.ok(f"LOGIN {USER} {PASSWORD}")


async def test_connections_of_the_process(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(connections=1))
    await rig.login()
    client = await rig.connect()
    assert client.greeting.startswith(b"* BYE [UNAVAILABLE]")


async def test_directory_gone(rig: Rig) -> None:
    rig.database.close()
    for file in rig.folder.glob("directory.db*"):
        file.unlink()
    (rig.folder / "directory.db").mkdir()
    client = await rig.connect()
    assert (await client.command(f"LOGIN {USER} {PASSWORD}")).tagged.startswith(b"NO [UNAVAILABLE]")


@pytest.mark.parametrize("before", ["NOOP", "IDLE", None])
async def test_route_leaves(rig: Rig, before: str | None) -> None:
    """The fence: sessions are at rest when route_changed returns, and go on when it is over."""
    client = await rig.login("INBOX")
    idling = client.start(before.encode()) if before else b""
    if before:
        await client.line()
    route = rig.directory.route(rig.residence.account_id)
    fenced = rig.directory.advance(route, RouteState.SHARD_FENCED, fence_deadline=2e9)
    await rig.server.route_changed(fenced)
    client.send(b"DONE\r\n" if before == "IDLE" else b"after NOOP\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.readexactly(1), 0.2)
    settled = rig.directory.advance(fenced, RouteState.FINAL)
    await rig.server.route_changed(settled)
    answered = await client.answer(idling if before == "IDLE" else b"after")
    assert answered.status == b"OK"
    assert rig.server.sessions.of(rig.residence.account_id) == 1


async def test_a_session_between_two_homes_ends_with_the_process(rig: Rig) -> None:
    client = await rig.login("INBOX")
    route = rig.directory.route(rig.residence.account_id)
    fenced = rig.directory.advance(route, RouteState.SHARD_FENCED, fence_deadline=2e9)
    await rig.server.route_changed(fenced)
    await rig.server.close()
    assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
    await client.closed()


async def test_a_suspended_account_goes_on_nowhere(rig: Rig) -> None:
    client = await rig.login("INBOX")
    route = rig.directory.route(rig.residence.account_id)
    fenced = rig.directory.advance(route, RouteState.SHARD_FENCED, fence_deadline=2e9)
    await rig.server.route_changed(fenced)
    rig.directory.set_account(rig.residence.account_id, active=False)
    rig.directory.advance(fenced, RouteState.FINAL)
    assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
    await client.closed()


async def test_route_that_stays_ours_ends_nothing(rig: Rig) -> None:
    client = await rig.login("INBOX")
    await rig.server.route_changed(rig.directory.route(rig.residence.account_id))
    assert await client.ok("NOOP") == []


async def test_stale_epoch_in_a_command(rig: Rig) -> None:
    """The hint was lost: the store refuses the write, the session ends."""
    await rig.deliver(message())
    client = await rig.login("INBOX")
    rig.shard.grant(rig.residence.account_id, rig.residence.epoch + 1)
    client.start(b"STORE 1 +FLAGS (\\Seen)")
    assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
    await client.closed()


async def test_stale_epoch_in_append(rig: Rig) -> None:
    client = await rig.login()
    rig.shard.grant(rig.residence.account_id, rig.residence.epoch + 1)
    client.start(b"APPEND INBOX {4+}\r\nabcd")
    assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
    await client.closed()


async def test_shutdown_tells_everybody(rig: Rig) -> None:
    clients = [await rig.connect(), await rig.login(), await rig.login("INBOX")]
    await rig.server.close()
    for client in clients:
        assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
        await client.closed()


async def test_forwarded_account(rigs: MakeRig) -> None:
    """An account whose home is a backend (here: a second server) is logged in there; what was pipelined behind the
    login follows. When its fence is taken back the session goes on there."""
    legacy, front = await rigs(), await rigs()
    await legacy.deliver(message("on legacy"))
    front.directory.add_backend(
        Backend("old", f"127.0.0.1:{legacy.port}", "none", "", "none", "smtp:127.0.0.1:25", "", "", "login")
    )
    moved = Address("mover", DOMAIN)
    home = legacy.add("mover")
    account = front.directory.add_account(moved, home=BackendHome("old"))
    client = await front.connect()
    assert (await client.command(f"LOGIN mover@{DOMAIN} nonsense")).tagged.startswith(
        b"NO [AUTHENTICATIONFAILED]"
    )
    client.send(f"a LOGIN mover@{DOMAIN} {PASSWORD}\r\nb SELECT INBOX\r\n".encode())
    assert (await client.line()).startswith(b"a OK [CAPABILITY IMAP4rev1")
    answer = await client.answer(b"b")
    assert answer.status == b"OK"
    await client.append(message())
    route = front.directory.route(account.id)
    for state in (RouteState.SEEDING, RouteState.TRACKING):
        route = front.directory.advance(route, state)
    route = front.directory.advance(route, RouteState.FENCED, fence_deadline=2e9)
    await front.forwarded.route_changed(route)
    waiting = client.start(b"FETCH 1 (UID)")
    await legacy.deliver(message("during the fence"), to=home)
    front.directory.advance(route, RouteState.TRACKING)
    answer = await client.answer(waiting)
    assert answer.having(b"* 2 EXISTS"), answer
    assert answer.having(b"* 1 FETCH (UID 1)"), answer
