"""The SMTP and LMTP client against a remote that misbehaves on purpose."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import Envelope
from mailplat.core.errors import InvalidInput
from mailplat.core.executors import Executors
from mailplat.core.outcome import Outcome, Result
from mailplat.core.spool import Body
from mailplat.delivery.dialogue import Timeouts
from mailplat.delivery.relay import Endpoint, RelayLimits, RelayTransport, parse_endpoint
from tests.delivery.remote import DROP, SILENCE, Remote, listening
from tests.until import until

SENDER = Envelope(Address("anna", "example.org"), "8BITMIME")
BERT, CLEO, DORA = (Address(name, "example.net") for name in ("bert", "cleo", "dora"))
MESSAGE = b"Subject: x\r\n\r\n.dot\r\n..two\r\nend\r\n"
WIRE = b"Subject: x\r\n\r\n..dot\r\n...two\r\nend\r\n.\r\n"


@pytest.fixture
async def relay() -> AsyncIterator[RelayTransport]:
    executors = Executors()
    transport = RelayTransport("mx.example.org", executors, RelayLimits(rest=0))
    yield transport
    await transport.close()
    executors.close()


async def send(
    relay: RelayTransport,
    remote: Remote,
    *recipients: Address,
    octets: bytes = MESSAGE,
    envelope: Envelope = SENDER,
) -> list[Outcome]:
    return await relay.deliver(remote.next_hop, envelope, recipients or (BERT,), Body.of(octets))


def results(outcomes: list[Outcome]) -> list[str]:
    return [f"{outcome.result.value} {outcome.reply.code} {outcome.reply.status}" for outcome in outcomes]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("lmtp", [True, False])
async def test_a_message_arrives_as_it_is(relay: RelayTransport, pipelining: bool, lmtp: bool) -> None:
    extensions = ["8BITMIME", "SIZE 1000"] + (["PIPELINING"] if pipelining else [])
    async with listening(Remote(lmtp, extensions)) as remote:
        outcomes = await relay.deliver(
            remote.next_hop, SENDER, [BERT, CLEO], Body.of(MESSAGE), prefix=b"X-Trace: 1\r\n"
        )
        assert results(outcomes) == ["delivered 250 2.0.0"] * 2
        assert outcomes[0].remote == f"127.0.0.1:{remote.port}"
        assert remote.kept == [b"X-Trace: 1\r\n" + WIRE]
        size = len(MESSAGE) + len("X-Trace: 1\r\n")
        assert remote.commands == [
            f"{'LHLO' if lmtp else 'EHLO'} mx.example.org",
            f"MAIL FROM:<anna@example.org> SIZE={size} BODY=8BITMIME",
            "RCPT TO:<bert@example.net>",
            "RCPT TO:<cleo@example.net>",
            "DATA",
        ]


async def test_a_large_message_from_a_file(relay: RelayTransport, tmp_path: Path) -> None:
    octets = b"Subject: big\r\n\r\n" + b"." * 70 + b"\r\n" + (b"x" * 998 + b"\r\n") * 2000
    path = tmp_path / "message"
    path.write_bytes(octets)
    async with listening(Remote(extensions=["PIPELINING", "SIZE 0"])) as remote:
        body = Body.of_file(path)
        [outcome] = await relay.deliver(remote.next_hop, SENDER, [BERT], body)
        body.close()
        assert outcome.result is Result.DELIVERED
        assert remote.kept[0] == octets.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        assert path.exists()


@pytest.mark.parametrize("pipelining", [True, False])
async def test_recipients_are_judged_one_by_one(relay: RelayTransport, pipelining: bool) -> None:
    async with listening(Remote(extensions=["PIPELINING"] if pipelining else ["8BITMIME"])) as remote:
        remote.answers["RCPT"] = ["450 4.2.1 busy", "250 2.1.5 ok", "550 5.1.1 unknown"]
        outcomes = await send(relay, remote, BERT, CLEO, DORA)
        assert results(outcomes) == ["deferred 450 4.2.1", "delivered 250 2.0.0", "failed 550 5.1.1"]
        assert remote.messages[0].recipients == ["RCPT TO:<cleo@example.net>"]
        assert results(await send(relay, remote)) == ["delivered 250 2.0.0"]  # 4xx then 2xx
        assert remote.connections == 1


@pytest.mark.parametrize("data", ["503 5.5.1 no", "354 all right"])
@pytest.mark.parametrize("pipelining", [True, False])
async def test_no_recipient_is_left(relay: RelayTransport, data: str, pipelining: bool) -> None:
    """Pipelined, DATA is out already; where it is taken, a lone dot ends it (RFC 2920 3.1)."""
    async with listening(Remote(extensions=["PIPELINING"] if pipelining else ["SIZE 9999"])) as remote:
        remote.answers["RCPT"] = ["550 5.1.1 unknown"]
        remote.answers["DATA"] = [data] if pipelining else []
        assert results(await send(relay, remote)) == ["failed 550 5.1.1"]
        assert results(await send(relay, remote)) == ["delivered 250 2.0.0"]
        assert remote.connections == 1
        assert remote.kept == [WIRE]


async def test_lmtp_answers_for_each_recipient(relay: RelayTransport) -> None:
    async with listening(Remote(lmtp=True)) as remote:
        remote.answers["RCPT"] = ["250 ok", "550 5.1.1 unknown", "250 ok"]
        remote.answers["END"] = ["452 4.2.2 full", "250 2.0.0 kept"]
        outcomes = await send(relay, remote, BERT, CLEO, DORA)
        assert results(outcomes) == ["deferred 452 4.2.2", "failed 550 5.1.1", "delivered 250 2.0.0"]


async def test_lmtp_that_hangs_up_after_half_of_its_answers(relay: RelayTransport) -> None:
    async with listening(Remote(lmtp=True)) as remote:
        remote.answers["END"] = ["250 2.0.0 kept", DROP]
        assert results(await send(relay, remote, BERT, CLEO)) == ["delivered 250 2.0.0", "deferred 451 4.4.2"]


@pytest.mark.parametrize(
    ("verb", "answer", "expected"),
    [
        ("GREETING", "554 go away", "deferred 451 4.3.0"),
        ("GREETING", "421 4.3.2 busy", "deferred 421 4.3.2"),
        ("GREETING", DROP, "deferred 451 4.4.2"),
        ("GREETING", "hello", "deferred 451 4.4.2"),
        ("GREETING", "220-" + "x" * 100_000, "deferred 451 4.4.2"),
        ("EHLO", DROP, "deferred 451 4.4.2"),
        ("EHLO", "\r\n".join(["250-x"] * 5000), "deferred 451 4.4.2"),
        ("MAIL", "550 5.7.1 not you", "failed 550 5.7.1"),
        ("MAIL", "451 4.7.1 greylisted", "deferred 451 4.7.1"),
        ("MAIL", "421 4.7.0 closing", "deferred 421 4.7.0"),
        ("RCPT", "421 4.7.0 closing", "deferred 421 4.7.0"),
        ("RCPT", DROP, "deferred 451 4.4.2"),
        ("DATA", "451 4.3.1 no disk", "deferred 451 4.3.1"),
        ("DATA", "554 5.7.1 policy", "failed 554 5.7.1"),
        ("DATA", "250 odd", "deferred 451 4.3.0"),
        ("DATA", DROP, "deferred 451 4.4.2"),
        ("END", "554 5.7.1 spam", "failed 554 5.7.1"),
        ("END", "421 4.3.0 closing", "deferred 421 4.3.0"),
        ("END", DROP, "deferred 451 4.4.2"),
        ("END", "550 no code", "failed 550 5.0.0"),
        ("END", "550 4.1.1 wrong class", "failed 550 5.0.0"),
        ("END", "250-2.0.0 kept\r\n250 2.0.0 as 123", "delivered 250 2.0.0"),
    ],
)
@pytest.mark.parametrize("pipelining", [True, False])
async def test_one_bad_answer_and_then_a_good_try(
    relay: RelayTransport, verb: str, answer: str, expected: str, pipelining: bool
) -> None:
    async with listening(Remote(extensions=["PIPELINING"] if pipelining else ["SIZE 9999"])) as remote:
        remote.answers[verb] = [answer]
        assert results(await send(relay, remote)) == [expected]
        assert results(await send(relay, remote)) == ["delivered 250 2.0.0"]


async def test_421_in_the_middle_of_a_pipeline_keeps_what_was_said_before(relay: RelayTransport) -> None:
    async with listening(Remote()) as remote:
        remote.answers["RCPT"] = ["550 5.1.1 unknown", "421 4.3.2 shutting down"]
        outcomes = await send(relay, remote, BERT, CLEO, DORA)
        assert results(outcomes) == ["failed 550 5.1.1", "deferred 421 4.3.2", "deferred 421 4.3.2"]


@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"])
async def test_silence_ends_by_the_phases_timeout(verb: str) -> None:
    short = Timeouts(greeting=0.05, hello=0.05, mail=0.05, rcpt=0.05, data=0.05, final=0.05)
    executors = Executors()
    relay = RelayTransport("mx", executors, RelayLimits(timeouts=short))
    async with listening(Remote()) as remote:
        remote.answers[verb] = [SILENCE]
        assert results(await send(relay, remote)) == ["deferred 451 4.4.2"]
    await relay.close()
    executors.close()


async def test_what_the_remote_says_is_printable_and_bounded(relay: RelayTransport) -> None:
    async with listening(Remote()) as remote:
        remote.answers["END"] = ["550 5.7.1 \x1b[31mre\xe9d\x00 " + "y" * 3000]
        [outcome] = await send(relay, remote)
        assert outcome.reply.text.startswith("?[31mre?d? y")
        assert len(outcome.reply.text) == 400


async def test_size_and_utf8_are_known_before_asking(relay: RelayTransport) -> None:
    async with listening(Remote(extensions=["SIZE 20"])) as remote:
        assert results(await send(relay, remote)) == ["failed 552 5.3.4"]
        small = b"\r\nx\r\n"
        utf8 = Envelope(Address("änna", "example.org"), "8BITMIME", utf8=True)
        assert results(await send(relay, remote, envelope=utf8, octets=small)) == ["failed 553 5.6.7"]
        # Only the message says SMTPUTF8, the addresses are ASCII: a trusted next hop gets it as it is.
        ascii_ = Envelope(Address("anna", "example.org"), "8BITMIME", utf8=True)
        assert results(await send(relay, remote, envelope=ascii_, octets=small)) == ["delivered 250 2.0.0"]
        assert not any(command.endswith("SMTPUTF8") for command in remote.commands)


async def test_addresses_on_the_wire(relay: RelayTransport) -> None:
    async with listening(Remote()) as remote:
        envelope = Envelope(NULL_SENDER, utf8=True)
        await send(
            relay, remote, Address("zoë", "example.net"), Address("a b", "example.net"), envelope=envelope
        )
        assert remote.commands[1:4] == [
            f"MAIL FROM:<> SIZE={len(MESSAGE)} SMTPUTF8",
            "RCPT TO:<zoë@example.net>",
            'RCPT TO:<"a b"@example.net>',
        ]


async def test_a_host_without_ehlo(relay: RelayTransport) -> None:
    async with listening(Remote()) as remote:
        remote.answers["EHLO"] = ["502 5.5.1 what"]
        remote.answers["HELO"] = ["250 old friend"]
        assert results(await send(relay, remote)) == ["delivered 250 2.0.0"]
        assert "HELO mx.example.org" in remote.commands


async def test_connections_are_reused_and_bounded() -> None:
    executors = Executors()
    relay = RelayTransport("mx", executors, RelayLimits(connections=2, messages=3))
    async with listening(Remote()) as remote:
        for _ in range(6):
            await send(relay, remote)
        assert remote.connections == 2
        await asyncio.gather(*(send(relay, remote) for _ in range(10)))
        assert remote.most_open <= 2
        assert len(remote.kept) == 16
        await relay.close()
        await until(lambda: remote.open == 0)
    executors.close()


async def test_a_kept_connection_that_died_costs_no_attempt(relay: RelayTransport) -> None:
    async with listening(Remote()) as remote:
        await send(relay, remote)
        remote.answers["MAIL"] = ["421 4.4.2 idle for too long"]
        assert results(await send(relay, remote)) == ["delivered 250 2.0.0"]
        remote.answers["MAIL"] = [DROP]
        assert results(await send(relay, remote)) == ["delivered 250 2.0.0"]
        assert remote.connections == 3
        assert len(remote.kept) == 3


async def test_nothing_is_sent_again_after_the_final_dot(relay: RelayTransport) -> None:
    async with listening(Remote()) as remote:
        await send(relay, remote)
        remote.answers["END"] = [DROP]
        assert results(await send(relay, remote)) == ["deferred 451 4.4.2"]
        assert sum(command == "DATA" for command in remote.commands) == 2


async def test_a_dead_host_is_left_alone_for_a_while() -> None:
    executors = Executors()
    relay = RelayTransport("mx", executors, RelayLimits(rest=3600))
    async with listening(Remote()) as remote:
        remote.answers["GREETING"] = ["554 no"]
        for _ in range(5):
            assert results(await send(relay, remote)) == ["deferred 451 4.3.0"]
        assert remote.connections == 1
    await relay.close()
    executors.close()


async def test_nobody_listens(relay: RelayTransport) -> None:
    remote = Remote()
    async with listening(remote):
        pass
    [outcome] = await send(relay, remote)
    assert (outcome.result, outcome.reply.status) == (Result.DEFERRED, "4.4.1")


async def test_commit_may_stop_it_before_the_final_dot(relay: RelayTransport) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    async with listening(Remote()) as remote:
        with pytest.raises(Stop):
            await relay.deliver(remote.next_hop, SENDER, [BERT], Body.of(MESSAGE), commit=stop)
        await until(lambda: remote.open == 0)
        assert remote.kept == []
        assert not remote.at_end.is_set()


async def test_cancelled_it_drops_the_connection(relay: RelayTransport) -> None:
    async with listening(Remote()) as remote:
        remote.answers["DATA"] = [SILENCE]
        task = asyncio.ensure_future(send(relay, remote))
        await until(lambda: "DATA" in remote.commands)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert results(await send(relay, remote)) == ["delivered 250 2.0.0"]
        assert len(remote.kept) == 1


async def test_many_recipients_go_in_several_transactions() -> None:
    executors = Executors()
    relay = RelayTransport("mx", executors, RelayLimits(recipients=4))
    async with listening(Remote()) as remote:
        many = [Address(f"r{number}", "example.net") for number in range(10)]
        assert len(await send(relay, remote, *many)) == 10
        assert [len(message.recipients) for message in remote.messages] == [4, 4, 2]
    await relay.close()
    executors.close()


def test_endpoints() -> None:
    assert parse_endpoint("smtp:mail.example.org:25") == Endpoint("mail.example.org", 25, False)
    assert parse_endpoint("lmtp:[::1]:24") == Endpoint("::1", 24, True)
    for wrong in ("", "mail:25", "smtp:mail", "smtp:mail:0", "smtp:mail:70000", "smtp:::1:25", "http:x:1"):
        with pytest.raises(InvalidInput):
            parse_endpoint(wrong)
