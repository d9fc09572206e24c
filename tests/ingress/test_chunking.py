"""BDAT and BINARYMIME (RFC 3030): octet for octet, and nothing left behind whatever goes wrong."""

import base64
import ssl

import pytest

from tests.ingress.house import House
from tests.ingress.wire import Wire

LETTER = b"Subject: hello\r\n\r\n.\r\nbody\r\n..\r\n"
GREETED = ("EHLO c", "MAIL FROM:<a@remote.example>", "RCPT TO:<anna@example.org>")


async def greeted(house: House, *more: str, **limits: int) -> Wire:
    wire = await Wire.open(await house.listen(**limits))
    for command in (*GREETED, *more):
        assert (await wire.ask(command))[0] == "2"
    return wire


async def bdat(wire: Wire, octets: bytes, *, last: bool = True) -> str:
    await wire.send(f"BDAT {len(octets)}{' LAST' if last else ''}\r\n".encode() + octets)
    return await wire.reply()


def stored(house: House, name: str = "anna") -> bytes:
    """The message behind our trace fields."""
    (octets,) = house.kept(name)
    return octets[octets.index(b"Subject:") :]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(LETTER)])
async def test_a_message_in_chunks_of_any_size(house: House, size: int) -> None:
    wire = await greeted(house)
    for start in range(0, len(LETTER), size):
        chunk = LETTER[start : start + size]
        assert await bdat(wire, chunk, last=False) == f"250 2.0.0 {len(chunk)} octets received"
    assert (await bdat(wire, b"")).startswith("250 2.0.0 ")
    assert stored(house) == LETTER
    assert (await wire.mail(b"Subject: again\r\n\r\n")).startswith("250 ")


async def test_what_is_not_ended_by_a_line_end_is_kept_so(house: House) -> None:
    wire = await greeted(house)
    assert (await bdat(wire, b"Subject: x\r\n\r\nno end")).startswith("250 ")
    assert stored(house) == b"Subject: x\r\n\r\nno end"


async def test_all_in_one_packet(house: House) -> None:
    """RFC 3030 4.2: pipelined, chunks behind the commands, and the next message behind them."""
    wire = await Wire.open(await house.listen())
    one = "".join(f"{command}\r\n" for command in GREETED).encode()
    again = one.partition(b"\r\n")[2]
    half = len(LETTER) // 2
    await wire.send(
        one
        + b"BDAT %d\r\n%b" % (half, LETTER[:half])
        + b"bdat %d last\r\n%b" % (len(LETTER) - half, LETTER[half:])
        + again
        + b"BDAT %d LAST\r\n%b" % (len(LETTER), LETTER)
        + b"QUIT\r\n"
    )
    replies = [await wire.reply() for _ in range(9)]
    assert [reply[:3] for reply in replies] == ["250"] * 8 + ["221"]
    assert len(house.kept("anna")) == 2


async def test_a_command_within_a_chunk_is_content(house: House) -> None:
    wire = await greeted(house)
    evil = b"Subject: x\r\n\r\n.\r\nMAIL FROM:<evil@remote.example>\r\n"
    assert (await bdat(wire, evil)).startswith("250 ")
    assert stored(house) == evil
    assert (await wire.ask("NOOP")).startswith("250 ")


@pytest.mark.parametrize(
    "wrong",
    [b"a\nb\r\n", b"a\rb\r\n", b"Subject: x\r\n\r\nend\r", b"\n"],
    ids=["LF", "CR", "CR at the end", "LF alone"],
)
async def test_bare_line_ends_are_refused(house: House, wrong: bytes) -> None:
    wire = await greeted(house)
    assert (await bdat(wire, wrong)).startswith("550 5.6.0 ")
    assert house.kept("anna") == []
    assert house.spooled() == []


async def test_crlf_across_two_chunks_is_one(house: House) -> None:
    wire = await greeted(house)
    assert (await bdat(wire, b"Subject: x\r", last=False)).startswith("250 ")
    assert (await bdat(wire, b"\n\r\nbody\r\n")).startswith("250 ")
    assert stored(house) == b"Subject: x\r\n\r\nbody\r\n"


async def test_behind_a_chunk_that_is_refused_all_are(house: House) -> None:
    """They were on their way: each is read to its end and answered 503, until RSET."""
    wire = await greeted(house)
    assert (await bdat(wire, b"bare\nline", last=False)).startswith("550 5.6.0 ")
    assert (await bdat(wire, b"QUIT\r\n", last=False)).startswith("503 5.5.1 ")
    assert (await bdat(wire, b"QUIT\r\n")).startswith("503 5.5.1 ")
    assert (await wire.ask("RCPT TO:<bert@example.org>")).startswith("503 5.5.1 ")
    assert (await wire.ask("DATA")).startswith("503 5.5.1 ")
    assert (await wire.ask("RSET")).startswith("250 ")
    assert house.kept("anna") == []
    assert (await wire.mail(b"Subject: again\r\n\r\n")).startswith("250 ")


async def test_a_message_over_the_limit(house: House) -> None:
    wire = await greeted(house, message_size=1000)
    assert (await bdat(wire, b"Subject: x\r\n\r\n" + b"y" * 900, last=False)).startswith("250 ")
    assert (await bdat(wire, b"z" * 100_000)).startswith("552 5.3.4 ")
    assert house.kept("anna") == []
    assert (await wire.ask("NOOP")).startswith("250 ")


@pytest.mark.parametrize(
    "end", ["RSET", "EHLO again", "QUIT", "vanish"], ids=["RSET", "EHLO", "QUIT", "the client vanishes"]
)
async def test_who_stops_in_the_middle_leaves_nothing(house: House, end: str) -> None:
    wire = await greeted(house)
    large = b"Subject: x\r\n\r\n" + b"y" * 1_000_000  # more than is kept in memory
    assert (await bdat(wire, large, last=False)).startswith("250 ")
    if end == "vanish":
        await wire.close()
    else:
        await wire.ask(end)
    if end in ("QUIT", "vanish"):
        await house.gate.left.wait()
    assert house.spooled() == []
    assert house.kept("anna") == []


async def test_starttls_in_the_middle_forgets_it(
    house: House, tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    wire = await Wire.open(await house.listen(tls=tls))
    await wire.say(*GREETED)
    assert (await bdat(wire, b"Subject: in clear\r\n\r\n", last=False)).startswith("250 ")
    await wire.start_tls(trust)
    assert (await bdat(wire, b"behind it\r\n")).startswith("503 5.5.1 ")
    assert house.kept("anna") == []


async def test_the_two_ways_do_not_mix(house: House) -> None:
    wire = await greeted(house)
    assert (await bdat(wire, b"Subject: x\r\n", last=False)).startswith("250 ")
    assert (await wire.ask("DATA")).startswith("503 5.5.1 ")
    assert (await wire.ask("MAIL FROM:<b@remote.example>")).startswith("503 5.5.1 ")
    assert (await wire.ask("RCPT TO:<bert@example.org>")).startswith("503 5.5.1 ")
    assert (await bdat(wire, b"\r\nbody\r\n")).startswith("250 ")
    assert stored(house) == b"Subject: x\r\n\r\nbody\r\n"


async def test_without_a_recipient_the_chunk_is_read_and_refused(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.say(*GREETED[:2], "RCPT TO:<nobody@example.org>")
    assert (await bdat(wire, b"QUIT\r\nQUIT\r\n")).startswith("503 5.5.1 ")
    assert (await wire.ask("NOOP")).startswith("250 ")


@pytest.mark.parametrize("argument", ["", "x", "-1", "1 FIRST", "1LAST", "9" * 19, "1 LAST LAST"])
async def test_a_chunk_of_unknown_length_ends_the_session(house: House, argument: str) -> None:
    """What follows may be its octets: none of them is obeyed."""
    wire = await greeted(house)
    await wire.send(f"BDAT {argument}\r\nRSET\r\nNOOP\r\n".encode())
    assert (await wire.reply()).startswith("501 5.5.4 ")
    assert await wire.closed()


async def test_silence_within_a_chunk(house: House) -> None:
    wire = await greeted(house, data_timeout=0.15)  # type: ignore[arg-type]
    await wire.send(b"BDAT 100\r\nSubject")
    assert (await wire.reply()).startswith("421 4.4.2 ")
    assert house.spooled() == []


async def test_chunks_that_trickle_for_ever_end(house: House) -> None:
    wire = await greeted(house, data_total=0.3)  # type: ignore[arg-type]
    reply = ""
    while not reply.startswith("421"):
        reply = await bdat(wire, b"x\r\n", last=False)
    assert reply.startswith("421 4.4.2 ")


async def test_lmtp_answers_for_each_recipient(house: House) -> None:
    wire = await Wire.open(await house.listen(lmtp=True))
    await wire.say(
        "LHLO c", "MAIL FROM:<a@remote.example>", "RCPT TO:<anna@example.org>", "RCPT TO:<bert@example.org>"
    )
    assert (await bdat(wire, LETTER[:9], last=False)).startswith("250 2.0.0 9 octets")
    assert (await bdat(wire, LETTER[9:])).startswith("250 ")
    assert (await wire.reply()).startswith("250 ")
    assert stored(house) == stored(house, "bert") == LETTER


class TestBinary:
    async def send(self, house: House, octets: bytes) -> str:
        wire = await Wire.open(await house.listen())
        await wire.say("EHLO c", "MAIL FROM:<a@remote.example> BODY=BINARYMIME", "RCPT TO:<anna@example.org>")
        assert (await wire.ask("DATA")).startswith("503 5.5.1 "), "RFC 3030 3"
        return await bdat(wire, octets)

    async def test_is_kept_as_base64(self, house: House) -> None:
        content = bytes(range(256)) * 3
        head = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: image/png\r\n"
        reply = await self.send(house, head + b"Content-Transfer-Encoding: binary\r\n\r\n" + content)
        assert reply.startswith("250 ")
        kept = stored(house)
        assert kept.startswith(head + b"Content-Transfer-Encoding: base64\r\n\r\n")
        assert base64.b64decode(kept.partition(b"\r\n\r\n")[2]) == content
        assert house.delivery.envelopes[-1].body == "8BITMIME"

    async def test_what_says_it_is_text_must_be(self, house: House) -> None:
        assert (await self.send(house, b"Subject: x\r\n\r\nbare\nline\r\n")).startswith("550 5.6.0 ")
        assert house.kept("anna") == []
        assert house.spooled() == []
