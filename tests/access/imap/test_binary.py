"""BINARY (RFC 3516): parts without their transfer encoding, messages with NUL."""

import base64
import tracemalloc

from mailplat.access.imap import ImapLimits
from tests.access.imap.client import Client
from tests.access.imap.conftest import MakeRig, Rig

PICTURE = bytes(range(256)) * 40


def message(picture: bytes = PICTURE) -> bytes:
    encoded = base64.encodebytes(picture).replace(b"\n", b"\r\n")
    return (
        b"Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nf=C3=BCr =\r\ndich  \r\n\r\n"
        b"--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: BASE64\r\n\r\n" + encoded + b"\r\n"
        b"--b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n"
        b"--b--\r\n"
    )


async def ask(client: Client, items: str) -> bytes:
    """What stands behind the label of the one item asked for."""
    [line] = await client.ok(f"FETCH 1 ({items})")
    assert line.endswith(b")")
    return line.partition(b"] " if b"> " not in line[:40] else b"> ")[2][:-1]


async def check(client: Client) -> None:
    whole = message()
    text = "für dich\r\n".encode()
    assert await ask(client, "BINARY.PEEK[1]") == b"{%d}\r\n" % len(text) + text
    assert await ask(client, "BINARY.PEEK[2]") == b"~{10240}\r\n" + PICTURE
    assert await ask(client, "BINARY.PEEK[2]<1.255>") == b"{255}\r\n" + PICTURE[1:256]
    assert await ask(client, "BINARY.PEEK[2]<250.20>") == b"~{20}\r\n" + PICTURE[250:270]
    assert await ask(client, "BINARY.PEEK[2]<10239.20>") == b"{1}\r\n\xff"
    assert await ask(client, "BINARY.PEEK[2]<10240.20>") == b"{0}\r\n"
    assert await ask(client, "BINARY.PEEK[]") == b"{%d}\r\n" % len(whole) + whole
    assert await ask(client, "BINARY.PEEK[4]") == b"{28}\r\nSubject: inner\r\n\r\ninner text"
    assert await ask(client, "BINARY.PEEK[4.1]") == b"{10}\r\ninner text"
    assert await ask(client, "BINARY.PEEK[9]") == b"NIL"
    assert await ask(client, "BINARY.SIZE[1]") == b"%d" % len(text)
    assert await ask(client, "BINARY.SIZE[2]") == b"10240"
    assert await ask(client, "BINARY.SIZE[]") == b"%d" % len(whole)
    assert await ask(client, "BINARY.SIZE[9]") == b"0"
    await client.talk(
        """
        C: u1 FETCH 1 (UID BINARY.PEEK[3])
        S: * 1 FETCH (UID 1 BINARY[3] NIL)
        S: u1 NO [UNKNOWN-CTE] ...
        C: u2 UID FETCH 1 (BINARY.SIZE[3] BINARY.SIZE[2])
        S: * 1 FETCH (UID 1 BINARY.SIZE[3] 0 BINARY.SIZE[2] 10240)
        S: u2 NO [UNKNOWN-CTE] ...
        C: u3 FETCH 1 (FLAGS BODY.PEEK[3])
        S: * 1 FETCH (FLAGS () BODY[3] {11}...begin 644 x)
        S: u3 OK FETCH completed
        C: u4 FETCH 1 BINARY[2]<0.5>
        S: * 1 FETCH (BINARY[2]<0> ~{5}... FLAGS (\\Seen))
        S: u4 OK FETCH completed
        C: u5 FETCH 1 BINARY.PEEK[1.MIME]
        S: u5 BAD ...
        C: u6 FETCH 1 BINARY.SIZE[1]<0.5>
        S: u6 BAD ...
        C: u7 FETCH 1 BINARY[HEADER]
        S: u7 BAD ...
        """
    )


async def test_parts_are_decoded(rig: Rig) -> None:
    await rig.deliver(message())
    await check(await rig.login("INBOX"))


async def test_of_a_large_message_too(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(large_message=1000))
    await rig.deliver(message())
    await check(await rig.login("INBOX"))


async def test_a_large_part_takes_no_memory(rigs: MakeRig) -> None:
    """Structure, size and content of a part of 8 MB, in pieces."""
    rig = await rigs()
    await rig.deliver(message(b"\0" * 6_000_000))
    client = await rig.login("INBOX")
    await client.ok("NOOP")
    tracemalloc.start()
    try:
        assert await ask(client, "BINARY.SIZE[2]") == b"6000000"
        assert tracemalloc.get_traced_memory()[1] < 2_500_000
        client.send(b"x FETCH 1 (BINARY.PEEK[2] BODY.PEEK[4])\r\n")
        assert await client.reader.readline() == b"* 1 FETCH (BINARY[2] ~{6000000}\r\n"
        for _ in range(60):
            assert await client.reader.readexactly(100_000) == bytes(100_000)
        assert await client.reader.readline() == b" BODY[4] {28}\r\n"
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


async def test_append_of_literal8(rig: Rig) -> None:
    """RFC 3516 4.4: what it holds is kept as it is."""
    client = await rig.login("INBOX")
    binary = b"Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b"
    client.send(b"a APPEND INBOX (\\Seen) ~{%d}\r\n" % len(binary))
    assert await client.line() == b"+ OK"
    client.send(binary + b"\r\n")
    assert (await client.line()).startswith(b"* 1 EXISTS")
    assert (await client.line()).startswith(b"a OK")
    client.send(b"b APPEND INBOX ~{%d+}\r\n" % len(binary) + binary + b"\r\n")
    assert (await client.line()).startswith(b"* 2 EXISTS")
    assert (await client.line()).startswith(b"b OK")
    assert await ask(client, "BINARY.PEEK[1]") == b"~{3}\r\na\0b"
    assert await ask(client, "BINARY.PEEK[]") == b"~{%d}\r\n" % len(binary) + binary
    [row] = rig.shard.octets_many(rig.residence, rig.shard.mailbox(rig.residence, "INBOX").id, [(2, 2)])
    assert row == (2, binary)


async def test_a_literal8_that_is_refused_is_swallowed(rig: Rig) -> None:
    client = await rig.login()
    client.send(b"a APPEND Nothing ~{13+}\r\nx DELETE Work\r\nb NOOP\r\n")
    assert (await client.line()).startswith(b"a NO [TRYCREATE]")
    assert (await client.line()).startswith(b"b OK")


async def test_it_is_advertised(rig: Rig) -> None:
    client = await rig.login()
    [line] = await client.ok("CAPABILITY")
    assert b" BINARY " in line + b" "
