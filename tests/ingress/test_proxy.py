"""PROXY and XCLIENT: who is in front says whose connection it is, and nobody else can."""

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.wire import proxy
from mailplat.wire.smtp import xclient, xtext
from tests.ingress.house import House
from tests.ingress.proxying import header
from tests.ingress.wire import Wire
from tests.until import until

LETTER = b"Subject: hello\r\n\r\nbody\r\n"
LOOPBACK = ("127.0.0.0/8",)


async def received(house: House, wire: Wire) -> str:
    """Who the message is from, as the trace field says it."""
    await wire.say("EHLO client.example")
    assert (await wire.mail(LETTER)).startswith("250 ")
    return house.kept("anna")[-1].decode().partition("Received: ")[2].partition("\r\n\tby")[0]


class TestProxy:
    @pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
    async def test_the_client_is_who_it_says(self, house: House, address: str) -> None:
        wire = await Wire.open(await house.listen(proxies=LOOPBACK), greeted=False)
        await wire.send(header(address, more=b"\x03\x00\x04abcd"))  # a TLV
        assert (await wire.reply()).startswith("220 ")
        assert address in await received(house, wire)

    async def test_octet_by_octet_with_the_first_command(self, house: House) -> None:
        wire = await Wire.open(await house.listen(proxies=LOOPBACK), greeted=False)
        for octet in header("192.0.2.7") + b"NOOP\r\n":
            await wire.send(bytes([octet]))
        assert (await wire.reply()).startswith("220 ")
        assert (await wire.reply()).startswith("250 ")

    async def test_a_check_of_the_proxy_itself(self, house: House) -> None:
        wire = await Wire.open(await house.listen(proxies=LOOPBACK), greeted=False)
        await wire.send(header("192.0.2.7", command=0x20))
        assert (await wire.reply()).startswith("220 ")
        assert "127.0.0.1" in await received(house, wire)

    @pytest.mark.parametrize(
        "said",
        [
            b"EHLO client.example\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 4321 25\r\n",
            header("192.0.2.7", command=0x31),
            header("192.0.2.7", command=0x2F),
            proxy.SIGNATURE + b"\x21\x11\xff\xff",
            proxy.SIGNATURE + b"\x21\x11\x00\x04abcd",
        ],
        ids=["SMTP", "version 1", "version 3", "unknown command", "too long", "too short"],
    )
    async def test_what_is_no_header_ends_the_connection(self, house: House, said: bytes) -> None:
        wire = await Wire.open(await house.listen(proxies=LOOPBACK), greeted=False)
        await wire.send(said)
        assert await wire.closed()
        await until(lambda: not house.gate.connections)

    async def test_a_proxy_that_says_nothing(self, house: House) -> None:
        wire = await Wire.open(await house.listen(proxies=LOOPBACK, proxy_header=0.1), greeted=False)
        assert (await wire.reply()).startswith("421 4.4.2 ")
        assert await wire.closed()

    async def test_nobody_else_can(self, house: House) -> None:
        wire = await Wire.open(await house.listen())
        await wire.send(header("192.0.2.7"))
        assert (await wire.reply()).startswith("500 ")

    async def test_the_client_is_counted_and_not_the_proxy(self, house: House) -> None:
        address = await house.listen(proxies=LOOPBACK, trusted=(), greet_wait=0, connections_per_address=1)
        replies, wires = [], []
        for client in ("192.0.2.7", "192.0.2.8", "192.0.2.7"):
            wires.append(await Wire.open(address, greeted=False))
            await wires[-1].send(header(client))
            replies.append((await wires[-1].reply())[:4])
        assert replies == ["220 ", "220 ", "421 "]

    async def test_starttls_behind_it(self, house: House, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
        wire = await Wire.open(await house.listen(proxies=LOOPBACK, tls=tls), greeted=False)
        await wire.send(header("192.0.2.7"))
        await wire.reply()
        await wire.ask("EHLO c")
        await wire.start_tls(trust)
        assert "192.0.2.7" in await received(house, wire)

    @given(st.binary(min_size=proxy.FIXED, max_size=200))
    def test_any_octets(self, octets: bytes) -> None:
        fixed = octets[: proxy.FIXED]
        for said in (fixed, proxy.SIGNATURE + fixed[len(proxy.SIGNATURE) :]):
            with contextlib.suppress(InvalidInput):
                proxy.client(said, octets[proxy.FIXED :][: proxy.rest(said)])


class TestXclient:
    async def test_the_client_is_who_it_says(self, house: House) -> None:
        wire = await Wire.open(await house.listen(fronts=LOOPBACK))
        offered = await wire.ask("EHLO front.example")
        assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in offered
        said = "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4321 HELO=real.example PROTO=ESMTP"
        assert (await wire.ask(said)).startswith("220 mx.example.org ")
        text = await received(house, wire)
        assert "192.0.2.7" in text
        assert "from real.example" in text, "the HELO of the front is not the client's"

    async def test_ipv6_and_without_a_helo(self, house: House) -> None:
        wire = await Wire.open(await house.listen(fronts=LOOPBACK))
        assert (await wire.ask("xclient addr=IPV6:2001:db8::7")).startswith("220 ")
        text = await received(house, wire)
        assert "2001:db8::7" in text
        assert "from client.example" in text

    async def test_again_for_the_next_client(self, house: House) -> None:
        wire = await Wire.open(await house.listen(fronts=LOOPBACK))
        for address in ("192.0.2.7", "192.0.2.8"):
            assert (await wire.ask(f"XCLIENT ADDR={address}")).startswith("220 ")
            assert address in await received(house, wire)

    @pytest.mark.parametrize(
        "argument",
        [
            "",
            "ADDR",
            "COLOUR=red",
            "ADDR=here",
            "PORT=70000",
            "PORT=x",
            "PROTO=HTTP",
            "HELO=a+0Db",
            "HELO=a+zz",
        ],
    )
    async def test_what_is_wrong(self, house: House, argument: str) -> None:
        wire = await Wire.open(await house.listen(fronts=LOOPBACK))
        assert (await wire.ask(f"XCLIENT {argument}")).startswith("501 5.5.4 ")
        assert "127.0.0.1" in await received(house, wire)

    async def test_the_client_of_a_proxy_cannot(self, house: House) -> None:
        """Also where one machine is named as both."""
        wire = await Wire.open(await house.listen(proxies=LOOPBACK, fronts=LOOPBACK), greeted=False)
        await wire.send(header("192.0.2.7"))
        await wire.reply()
        assert "XCLIENT" not in await wire.ask("EHLO c")
        assert (await wire.ask("XCLIENT LOGIN=anna@example.org")).startswith("550 5.7.0 ")

    async def test_starttls_behind_it(self, house: House, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
        wire = await Wire.open(await house.listen(fronts=LOOPBACK, tls=tls))
        await wire.ask("XCLIENT ADDR=192.0.2.7 HELO=real.example")
        await wire.start_tls(trust)
        text = await received(house, wire)
        assert "192.0.2.7" in text
        assert "from real.example" in text

    async def test_a_helo_that_is_not_known(self, house: House) -> None:
        wire = await Wire.open(await house.listen(fronts=LOOPBACK))
        await wire.ask("XCLIENT ADDR=192.0.2.7 HELO=[UNAVAILABLE]")
        assert "from client.example" in await received(house, wire)

    async def test_not_within_a_message(self, house: House) -> None:
        wire = await Wire.open(await house.listen(fronts=LOOPBACK))
        await wire.say("EHLO c", "MAIL FROM:<a@remote.example>")
        assert (await wire.ask("XCLIENT ADDR=192.0.2.7")).startswith("503 5.5.1 ")

    async def test_nobody_else_can(self, house: House) -> None:
        wire = await Wire.open(await house.listen())
        assert "XCLIENT" not in await wire.ask("EHLO c")
        assert (await wire.ask("XCLIENT ADDR=192.0.2.7 LOGIN=anna@example.org")).startswith("550 5.7.0 ")
        assert "127.0.0.1" in await received(house, wire)

    async def test_the_client_is_counted(self, house: House) -> None:
        address = await house.listen(fronts=LOOPBACK, connections_per_address=1)
        one, two = await Wire.open(address), await Wire.open(address)
        assert (await one.ask("XCLIENT ADDR=192.0.2.7")).startswith("220 ")
        assert (await two.ask("XCLIENT ADDR=192.0.2.7")).startswith("421 4.7.0 ")
        assert await two.closed()
        assert (await one.ask("XCLIENT ADDR=192.0.2.7")).startswith("220 "), "it is one client still"
        assert (await one.ask("XCLIENT ADDR=192.0.2.8")).startswith("220 ")
        three = await Wire.open(address)
        assert (await three.ask("XCLIENT ADDR=192.0.2.7")).startswith("220 ")

    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
    def test_xtext(self, text: str) -> None:
        assert xtext.decode(xtext.encode(text)) == text

    @given(st.binary(max_size=200))
    def test_any_octets(self, octets: bytes) -> None:
        with contextlib.suppress(InvalidInput):
            xclient.parse(octets)
