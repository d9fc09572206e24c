"""What senders want to be told (RFC 3461), and what must not go on in clear (RFC 8689)."""

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage

import pytest

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import Envelope, Wish
from mailplat.core.reply import Reply
from mailplat.core.spool import Body
from tests.delivery.house import DOMAIN, MESSAGE, PEER, RECEIVED, House
from tests.delivery.remote import Remote, listening
from tests.until import until

ENVELOPE = Envelope(Address("anna", DOMAIN), "8BITMIME", ret="HDRS", envid="Id+2BCase")
SUCCESS = Wish("SUCCESS,FAILURE", "rfc822;Bert+2Bx@Example.NET")
WITH_DSN = (*Remote().extensions, "DSN")


@pytest.fixture
def house(house: House) -> House:
    """`anna` sends."""
    house.add("anna")
    return house


async def send(house: House, wishes: dict[str, Wish], envelope: Envelope = ENVELOPE) -> None:
    """And work the queue off."""
    targets = [house.target(name) for name in wishes]
    by_account = {target.account_id: wish for target, wish in zip(targets, wishes.values(), strict=True)}
    reply = await house.delivery.accept(
        envelope, targets, Body.of(MESSAGE), RECEIVED, PEER, wishes=by_account
    )
    assert isinstance(reply, Reply)
    assert reply.positive
    async with house.working():
        await until(lambda: house.queue.counts()["messages"] == 0)


def notices(house: House) -> list[EmailMessage]:
    found = [email.message_from_bytes(octets, policy=email.policy.default) for octets in house.inbox("anna")]
    return [each for each in found if isinstance(each, EmailMessage)]


def status(notice: EmailMessage) -> list[EmailMessage]:
    """Blocks of fields: the message's, one of each recipient."""
    _, report, _ = notice.iter_parts()
    blocks = report.get_payload()
    assert isinstance(blocks, list)
    return blocks  # type: ignore[return-value]


async def test_a_success_is_told_with_what_the_sender_called_it(house: House) -> None:
    house.add("bert"), house.add("cleo", "s2"), house.add("dora")
    await send(house, {"bert": SUCCESS, "cleo": Wish("FAILURE"), "dora": Wish("NEVER")})
    assert len(house.inbox("bert")) == len(house.inbox("cleo", "s2")) == len(house.inbox("dora")) == 1
    (notice,) = notices(house)
    assert notice["Subject"] == "Mail delivered"
    whole, bert = status(notice)
    assert whole["Original-Envelope-Id"] == "Id+Case"
    assert bert["Original-Recipient"] == "rfc822; Bert+x@Example.NET"
    assert (bert["Action"], bert["Status"], bert["Final-Recipient"]) == (
        "delivered", "2.0.0", f"rfc822; bert@{DOMAIN}",
    )  # fmt: skip


async def test_who_asks_for_nothing_hears_nothing_of_a_success(house: House) -> None:
    house.add("bert")
    await send(house, {"bert": Wish()})
    assert len(house.inbox("bert")) == 1
    assert notices(house) == []


@pytest.mark.parametrize(
    ("notify", "told"), [("", 1), ("FAILURE", 1), ("SUCCESS", 0), ("DELAY", 0), ("NEVER", 0)]
)
async def test_a_failure(house: House, notify: str, told: int) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        remote.answers["RCPT"] = ["550 5.1.1 no"]
        await send(house, {"bert": Wish(notify)})
    assert [status(each)[1]["Action"] for each in notices(house)] == ["failed"] * told


async def test_a_next_hop_that_does_not_tell(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        await send(house, {"bert": SUCCESS})
        assert "RET" not in remote.messages[0].sender
        assert "NOTIFY" not in remote.messages[0].recipients[0]
    (notice,) = notices(house)
    assert notice["Subject"] == "Mail handed on"
    assert status(notice)[1]["Action"] == "relayed"


async def test_a_next_hop_that_does_is_told_what_we_were(house: House) -> None:
    """In the same letters; and we tell of failures of its own only."""
    async with listening(Remote(extensions=WITH_DSN)) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy"), house.add("cleo", "legacy")
        remote.answers["RCPT"] = ["250 ok", "550 5.1.1 no"]
        await send(house, {"bert": SUCCESS, "cleo": SUCCESS})
        assert remote.messages[0].sender.endswith(" RET=HDRS ENVID=Id+2BCase")
        assert remote.messages[0].recipients == [
            f"RCPT TO:<bert@{DOMAIN}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bert+2Bx@Example.NET"
        ]
    (notice,) = notices(house)
    assert [(block["Final-Recipient"], block["Action"]) for block in status(notice)[1:]] == [
        (f"rfc822; cleo@{DOMAIN}", "failed")
    ]


async def test_some_failed_and_some_did_not(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert"), house.add("cleo", "legacy")
        remote.answers["RCPT"] = ["550 5.1.1 no"]
        await send(house, {"bert": SUCCESS, "cleo": SUCCESS})
    assert sorted(each["Subject"] for each in notices(house)) == [
        "Mail delivered", "Undelivered mail returned to sender",
    ]  # fmt: skip


async def test_the_null_sender_is_told_nothing(house: House) -> None:
    house.add("bert")
    await send(house, {"bert": SUCCESS}, replace(ENVELOPE, reverse_path=NULL_SENDER))
    assert len(house.inbox("bert")) == 1
    assert notices(house) == []


async def test_each_of_lmtp(house: House) -> None:
    house.add("bert"), house.add("cleo", "s2")
    targets = [house.target("bert"), house.target("cleo")]
    wishes = {targets[0].account_id: SUCCESS}
    replies = await house.delivery.accept(
        ENVELOPE, targets, Body.of(MESSAGE), RECEIVED, PEER, separately=True, wishes=wishes
    )
    assert isinstance(replies, list)
    assert all(reply.positive for reply in replies)
    async with house.working():
        await until(lambda: house.queue.counts()["messages"] == 0)
    assert len(house.inbox("bert")) == len(house.inbox("cleo", "s2")) == len(notices(house)) == 1


async def test_an_address_that_is_not_ascii(house: House) -> None:
    house.add("bert")
    await send(house, {"bert": Wish("SUCCESS", "utf-8;zoë@x.example")})
    (notice,) = notices(house)
    _, report, _ = notice.iter_parts()
    assert report.get_content_type() == "message/global-delivery-status"
    assert "Original-Recipient: utf-8; zoë@x.example" in house.inbox("anna")[0].decode()


async def test_what_needs_tls_is_not_relayed_in_clear(house: House) -> None:
    """Its home was a shard when it was accepted, and is a platform now that we speak to in clear."""
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        await send(house, {"bert": Wish()}, replace(ENVELOPE, require_tls=True))
        assert remote.commands == []
    (notice,) = notices(house)
    assert status(notice)[1]["Status"] == "5.7.30"
