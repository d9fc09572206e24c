"""Logins to an account on a platform that has only POP3."""

import pytest

from mailplat.access import login
from mailplat.access.proxy import connect_pop3
from mailplat.access.proxy import pop3 as proxy
from mailplat.core.route import RouteState
from tests.access.backend import Connection, backend
from tests.access.house import DOMAIN, House
from tests.access.proxy.test_splice import PEER


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)
    monkeypatch.setattr(proxy, "IN_USE_EVERY_S", 0.0)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"+OK in", b"a NO [UNAVAILABLE] Your mailbox has not moved"),
        (b"-ERR wrong", b"a NO [AUTHENTICATIONFAILED]"),
    ],
)
async def test_imap_comes_with_the_move_and_only_its_owner_is_told(
    house: House, reply: bytes, said: bytes
) -> None:
    async def script(connection: Connection) -> None:
        await connection.pop3_login(reply)
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        house.add_backend(pop3=behind.endpoint)
        await house.start_watch()
        house.add_forwarded("anna")
        client = await house.connect(await house.listen(house.imap))
        await client.line()
        [tagged] = await client.tagged("a", f"a LOGIN anna@{DOMAIN} secret")
        assert tagged.startswith(said)
        await behind.connections[0].ended.wait()
        assert b"QUIT" not in behind.connections[0].seen
    assert len(house.forwarded) == 0


async def test_a_maildrop_that_we_hold_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [b"-ERR [IN-USE] engine", b"-ERR [IN-USE] engine", b"+OK in"]

    async def script(connection: Connection) -> None:
        await connection.pop3_login(replies.pop(0))
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        house.add_backend(pop3=behind.endpoint)
        await house.start_watch()
        house.add_forwarded("anna")
        house.advance("anna", RouteState.SEEDING)
        forward = await house.login.login(f"anna@{DOMAIN}", "secret", PEER, "pop3")
        assert isinstance(forward, login.Forward)
        upstream = await connect_pop3(forward)
        upstream.close()
        assert not replies
        replies += [b"-ERR [IN-USE] another client"]
        monkeypatch.setattr(proxy, "IN_USE_PATIENCE_S", 0.0)
        with pytest.raises(login.MaildropInUse):
            await connect_pop3(forward)
