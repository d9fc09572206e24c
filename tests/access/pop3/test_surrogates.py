"""Messages with UTF-8 headers, for clients that have said UTF8 and for those that have not (RFC 6856 2.1)."""

from mailplat.access.pop3 import Pop3Limits
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, PASSWORD, Client, House

HEAD = "From: Jörg <jörg@x.test>\r\nSubject: Füße\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
BODY = "--b\r\nContent-Disposition: attachment; filename=ü\r\n\r\n.ü\r\n--b--\r\n"
MESSAGE = (HEAD + BODY).encode()
SURROGATE = (
    "From: =?utf-8?b?SsO2cmcgPGrDtnJnQHgudGVzdD4=?= <invalid@internationalized-address.invalid>\r\n"
    "Subject: =?utf-8?b?RsO8w59l?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Disposition: attachment;\r\n filename*=utf-8''%C3%BC\r\n\r\n.ü\r\n--b--\r\n"
).encode()


async def client_of(house: House, *, utf8: bool) -> Client:
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    if utf8:
        assert (await client.ask("UTF8")).startswith(b"+OK")
    await client.ask(f"USER anna@{DOMAIN}")
    assert (await client.ask(f"PASS {PASSWORD}")).startswith(b"+OK")
    return client


def joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in lines)


async def test_with_and_without(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", MESSAGE, b"Subject: plain\r\n\r\n\xc3\xbc\r\n")
    client = await client_of(house, utf8=False)
    # LIST and STAT speak of what is kept; RETR of what it sends
    assert (await client.multi("LIST"))[1:] == [b"1 %d" % len(MESSAGE), b"2 22"]
    for number, octets in ((1, SURROGATE), (2, b"Subject: plain\r\n\r\n\xc3\xbc\r\n")):
        first, *lines = await client.multi(f"RETR {number}")
        assert (first, joined(lines)) == (b"+OK %d octets" % len(octets), octets)
    _, *lines = await client.multi("TOP 1 0")
    assert joined(lines) == SURROGATE.partition(b"--b")[0]
    _, *lines = await client.multi("TOP 1 2")
    assert joined(lines) == SURROGATE.partition(b" filename")[0]
    await client.ask("QUIT")
    client = await client_of(house, utf8=True)
    first, *lines = await client.multi("RETR 1")
    assert (first, joined(lines)) == (b"+OK %d octets" % len(MESSAGE), MESSAGE)
    _, *lines = await client.multi("TOP 1 0")
    assert joined(lines) == HEAD.encode()


async def test_a_large_one_goes_in_pieces(houses: MakeHouse) -> None:
    house = houses(pop3=Pop3Limits(chunk=37))
    house.add("anna")
    text = "ü" * 30 + "\r\n"
    part = "--b\r\nContent-Type: text/plain; name=ü\r\n\r\n"
    await house.deliver("anna", (HEAD + (part + text) * 20 + "--b--\r\n").encode())
    client = await client_of(house, utf8=False)
    _, *lines = await client.multi("RETR 1")
    head = SURROGATE.partition(b"--b")[0]
    shown = "--b\r\nContent-Type: text/plain;\r\n name*=utf-8''%C3%BC\r\n\r\n" + text
    assert joined(lines) == head + (shown * 20 + "--b--\r\n").encode()
