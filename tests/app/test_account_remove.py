"""`mailplat account remove`: cut short, beside workers, during a move, with mail in several places."""

import asyncio
import contextlib
import imaplib
import json
import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.route import BackendHome, Residence, Route, RouteState, ShardHome
from mailplat.directory.types import Account, Backend
from mailplat.store import NewMessage, Shard
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig
from tests.store.conftest import letter, new

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("remove") / "platform")
    rig.call("domain", "add", "example.test")
    yield rig
    rig.stop()


@contextlib.contextmanager
def opened(rig: Rig) -> Iterator[Platform]:
    platform = Platform(load(rig.config))
    try:
        yield platform
    finally:
        platform.close()


def add(rig: Rig, name: str) -> str:
    """An account in shard s1 with one message; its address."""
    address = f"{name}@example.test"
    rig.call("account", "add", address, "--password-stdin", "--home", "shard:s1", stdin=f"{PASSWORD}\n")
    with opened(rig) as platform:
        append(platform, address, new(letter("Precious")))
    return address


def where(platform: Platform, address: str) -> tuple[Account, Route, Residence, Shard]:
    account = platform.directory.account(parse_address(address))
    route = platform.directory.route(account.id)
    shard = route.home.shard if isinstance(route.home, ShardHome) else "s1"
    return account, route, Residence(account.id, shard, route.epoch), platform.store.shard(shard)


def append(platform: Platform, address: str, message: NewMessage) -> None:
    _, route, residence, shard = where(platform, address)
    shard.grant(residence.account_id, route.epoch)
    asyncio.run(platform.store.append(residence, "INBOX", [message]))


def kept(rig: Rig, address: str) -> list[dict[str, Any]]:
    found = json.loads(rig.call("vault", "list", "--domain", "example.test", "--json"))
    return [row for row in found if row["address"] == address]


def test_mail_is_in_the_vault_and_the_address_free(rig: Rig) -> None:
    address = add(rig, "ann")
    rig.call("account", "remove", address)
    (row,) = kept(rig, address)
    assert (row["messages"], row["address"]) == (1, address)
    add(rig, "ann")
    with opened(rig) as platform:
        _, _, residence, shard = where(platform, address)
        assert shard.usage(residence)[1] == 1  # its own message, not the first one's too


def test_cut_short_between_shard_and_directory(rig: Rig) -> None:
    address = add(rig, "bob")
    with opened(rig) as platform:
        _, _, residence, shard = where(platform, address)
        shard.remove_account(residence, address=address)
    rig.call("account", "remove", address)
    assert [row["messages"] for row in kept(rig, address)] == [1]
    with pytest.raises(RuntimeError, match="there is no account"):
        rig.call("account", "remove", address)


def test_a_move_in_progress_refuses(rig: Rig) -> None:
    address = add(rig, "eve")
    with opened(rig) as platform:
        _, route, _, _ = where(platform, address)
        platform.directory.advance(route, RouteState.SHARD_FENCED, fence_deadline=2**33)
    refusal = rf"is being moved \({RouteState.SHARD_FENCED.value}\); end the move"
    with pytest.raises(RuntimeError, match=refusal):
        rig.call("account", "remove", address)
    with opened(rig) as platform:
        _, route, residence, shard = where(platform, address)
        assert shard.usage(residence)[1] == 1
        route = platform.directory.advance(route, RouteState.NEW, home=ShardHome("s1"))
    rig.call("account", "remove", address)
    assert [row["messages"] for row in kept(rig, address)] == [1]


def test_a_move_that_begins_meanwhile(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    address = add(rig, "zoe")
    removing = Shard.remove_account

    def then_move(self: Shard, *arguments: Any, **more: Any) -> None:
        removing(self, *arguments, **more)
        with opened(rig) as platform:
            platform.directory.advance(
                where(platform, address)[1], RouteState.SHARD_FENCED, fence_deadline=2**33
            )

    with monkeypatch.context() as patch:
        patch.setattr(Shard, "remove_account", then_move)
        with pytest.raises(RuntimeError, match="a move began meanwhile"):
            rig.call("account", "remove", address)
    assert (
        json.loads(rig.call("account", "show", address, "--json"))[0]["state"]
        == RouteState.SHARD_FENCED.value
    )
    assert [row["messages"] for row in kept(rig, address)] == [1]


def test_a_shard_that_is_ahead_of_the_route(rig: Rig) -> None:
    """As when the directory is an older one than the shard: nothing is removed on its word."""
    address = add(rig, "max")
    with opened(rig) as platform:
        account, route, _, shard = where(platform, address)
        shard.grant(account.id, route.epoch + 1)
    with pytest.raises(RuntimeError, match=r"granted epoch 2"):
        rig.call("account", "remove", address)
    assert kept(rig, address) == []
    assert json.loads(rig.call("account", "show", address, "--json"))[0]["epoch"] == 1


def test_home_on_a_backend_and_a_vault_from_before(rig: Rig) -> None:
    """What it has left in a shard is still found by its address."""
    address = add(rig, "old")
    with opened(rig) as platform:
        account, route, residence, shard = where(platform, address)
        shard.expunge_uids(residence, shard.mailbox(residence, "INBOX").id, None)
        platform.directory.add_backend(Backend("legacy", relay="smtp:127.0.0.1:9"))
        route = platform.directory.advance(route, RouteState.FENCED, fence_deadline=2**33)
        route = platform.directory.advance(route, RouteState.NEW)
        route = platform.directory.advance(route, RouteState.ROLLBACK_FENCED, fence_deadline=2**33)
        route = platform.directory.advance(route, RouteState.LEGACY, home=BackendHome("legacy"))
        shard.grant(account.id, route.epoch)
        shard.remove_account(Residence(account.id, "s1", route.epoch), moved=True)
    rig.call("account", "remove", address)
    (row,) = kept(rig, address)
    assert (row["messages"], row["address"]) == (1, address)
    assert row["removed"] != "-"


def test_beside_workers_that_have_it_open(rig: Rig) -> None:
    address = add(rig, "ida")
    rig.start()
    client = imaplib.IMAP4("127.0.0.1", rig.ports["imap"])
    client.login(address, PASSWORD)
    assert client.select("INBOX")[1] == [b"1"]
    rig.run("account", "remove", address)
    for command in (
        lambda: client.append("INBOX", "", "", letter("Late")),
        lambda: client.fetch("1", "(BODY.PEEK[])"),
        lambda: client.select("INBOX"),
    ):
        try:
            answer, _ = command()
        except (imaplib.IMAP4.abort, OSError):
            break  # BYE
        except imaplib.IMAP4.error:
            continue
        assert answer == "NO"
    with (
        pytest.raises(imaplib.IMAP4.error, match=r"AUTHENTICATIONFAILED"),
        imaplib.IMAP4("127.0.0.1", rig.ports["imap"]) as second,
    ):
        second.login(address, PASSWORD)
    with smtplib.SMTP("127.0.0.1", rig.ports["smtp"]) as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("a@example.com", [address], letter("Late"))
    assert [row["messages"] for row in kept(rig, address)] == [1]
    rig.add_account(address, PASSWORD)
    with imaplib.IMAP4("127.0.0.1", rig.ports["imap"]) as again:
        again.login(address, PASSWORD)
        assert again.select("INBOX")[1] == [b"0"]
