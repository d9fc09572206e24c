"""COMPRESS=DEFLATE (RFC 4978)."""

import ssl
import zlib

import trustme

from mailplat.access.imap import ImapLimits
from tests.access.imap.client import Client
from tests.access.imap.conftest import DOMAIN, PASSWORD, MakeRig, Rig, message


class Deflated(Client):
    """The same client in DEFLATE."""

    def __init__(self, plain: Client) -> None:
        super().__init__(_Inflating(plain.reader), plain.writer)  # type: ignore[arg-type]
        self.sent = 0
        self._deflate = zlib.compressobj(wbits=-15)

    def send(self, octets: bytes) -> None:
        compressed = self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self.sent += len(compressed)
        self.writer.write(compressed)


class _Inflating:
    """What a Client needs of a StreamReader."""

    def __init__(self, reader) -> None:  # type: ignore[no-untyped-def]
        self._reader = reader
        self._inflate = zlib.decompressobj(-15)
        self._octets = b""

    async def _more(self) -> bool:
        octets = await self._reader.read(65536)
        self._octets += self._inflate.decompress(octets)
        return bool(octets)

    async def readline(self) -> bytes:
        while b"\n" not in self._octets:
            if not await self._more():
                break
        line, end, self._octets = self._octets.partition(b"\n")
        return line + end

    async def readexactly(self, count: int) -> bytes:
        while len(self._octets) < count:
            assert await self._more()
        octets, self._octets = self._octets[:count], self._octets[count:]
        return octets

    async def read(self, count: int = -1) -> bytes:
        while await self._more():
            pass
        return self._octets


async def deflated(rig: Rig, select: str = "") -> Deflated:
    client = await rig.login()
    assert (await client.command("COMPRESS DEFLATE")).tagged == b"OK DEFLATE active"
    compressed = Deflated(client)
    if select:
        await compressed.ok(f"SELECT {select}")
    return compressed


async def test_commands_literals_idle(rig: Rig) -> None:
    client = await deflated(rig, "INBOX")
    big = message("big", "".join(f"line {n}\r\n" for n in range(20_000)))
    assert await client.append(big) == 1
    [line] = await client.ok("FETCH 1 BODY.PEEK[]")
    assert big in line
    client.send(b"".join(b"n%d NOOP\r\n" % n for n in range(500)))
    for n in range(500):
        assert await client.line() == b"n%d OK NOOP completed" % n
    client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await rig.deliver(message("two"))
    assert await client.line() == b"* 2 EXISTS"
    client.send(b"DONE\r\nj COMPRESS DEFLATE\r\nk CAPABILITY\r\n")
    assert await client.line() == b"i OK IDLE completed"
    assert await client.line() == b"j NO [COMPRESSIONACTIVE] Compression is active already"
    assert b"COMPRESS=" not in await client.line()


async def test_refused(rig: Rig) -> None:
    client = await rig.connect()
    assert (await client.command("COMPRESS DEFLATE")).tagged == b"BAD Log in first"
    await client.ok(f"LOGIN user@{DOMAIN} {PASSWORD}")
    assert b"COMPRESS=DEFLATE" in (await client.ok("CAPABILITY"))[0]
    assert (await client.command("COMPRESS LZMA")).tagged.startswith(b"NO [CANNOT]")
    assert (await client.command("COMPRESS")).status == b"BAD"
    client.send(b"a COMPRESS DEFLATE\r\nb NOOP\r\n")
    assert (await client.line()).startswith(b"a BAD")
    assert (await client.line()).startswith(b"b OK")


async def test_pipelined_behind_other_commands(rig: Rig) -> None:
    client = await rig.connect()
    client.send(b"a LOGIN user@%b %b\r\nb COMPRESS DEFLATE\r\n" % (DOMAIN.encode(), PASSWORD.encode()))
    assert (await client.line()).startswith(b"a OK")
    assert await client.line() == b"b OK DEFLATE active"
    assert (await Deflated(client).command("NOOP")).status == b"OK"


async def test_what_is_no_deflate_ends_the_connection(rig: Rig) -> None:
    client = await deflated(rig)
    client.writer.write(b"\xff" * 100)
    assert await client.line() == b"* BYE Compression went wrong"
    await client.closed()


async def test_the_client_ends_its_stream(rig: Rig) -> None:
    client = await deflated(rig)
    client.writer.write(client._deflate.flush(zlib.Z_FINISH) + b"junk")
    await client.closed()


async def test_a_bomb_at_and_past_the_limit(rigs: MakeRig) -> None:
    """The ratio's share grows with what was sent; the allowance is what an honest client may need beyond it."""
    rig = await rigs(limits=ImapLimits(inflate_ratio=10, inflate_allowance=100_000, message_size=100_000))
    client = await deflated(rig, "INBOX")
    count = 90_000
    client.send(b"a APPEND INBOX {%d+}\r\n" % count + b"\0" * count + b"\r\n")
    assert await client.line() == b"* 1 EXISTS"
    assert (await client.line()).startswith(b"a OK")
    count = 20_000
    assert client.sent < 1000
    client.send(b"b APPEND INBOX {%d+}\r\n" % count + b"\0" * count + b"\r\n")
    assert await client.line() == b"* BYE Compression went wrong"
    await client.closed()
    assert rig.shard.mailbox(rig.residence, "INBOX").messages == 1


async def test_a_gigabyte_is_not_inflated(rig: Rig) -> None:
    client = await deflated(rig)
    packer = zlib.compressobj(9, wbits=-15)
    bomb = client._deflate.compress(b"a NOOP") + client._deflate.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    client.writer.write(bomb + megabyte * 200)
    line = await client.line()
    while not line.startswith(b"* BYE"):
        assert line.startswith(b"a BAD")
        line = await client.line()
    assert line == b"* BYE Compression went wrong"


async def test_tls_and_unauthenticate(tls_rig: Rig, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client = await tls_rig.connect()
    await client.ok("STARTTLS")
    await client.writer.start_tls(context, server_hostname="imap.example.test")
    await client.ok(f"LOGIN user@{DOMAIN} {PASSWORD}")
    await client.ok("COMPRESS DEFLATE")
    compressed = Deflated(client)
    await compressed.ok("UNAUTHENTICATE")
    await compressed.ok(f"LOGIN user@{DOMAIN} {PASSWORD}")


async def test_no_starttls_inside(rig: Rig) -> None:
    client = await deflated(rig)
    await client.ok("UNAUTHENTICATE")
    assert (await client.command("STARTTLS")).status == b"BAD"
    await client.ok(f"LOGIN user@{DOMAIN} {PASSWORD}")


async def test_the_farewell_of_a_timer_is_compressed_too(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(autologout=0.2))
    client = await deflated(rig)
    assert (await client.line()).startswith(b"* BYE Autologout")
    await client.closed()
