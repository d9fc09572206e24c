"""REQUIRETLS (RFC 8689): offered under TLS only, and refused where the way on is in clear."""

import ssl

from tests.ingress.house import House
from tests.ingress.wire import Wire

MAIL = "MAIL FROM:<a@remote.example> REQUIRETLS"


async def test_only_under_tls(house: House, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    wire = await Wire.open(await house.listen(tls=tls))
    assert "REQUIRETLS" not in await wire.ask("EHLO c")
    assert (await wire.ask(MAIL)).startswith("530 5.7.10 ")
    await wire.start_tls(trust)
    assert "250-REQUIRETLS" in (await wire.ask("EHLO c")).splitlines()
    assert (await wire.ask(MAIL)).startswith("250 ")


async def test_to_who_lives_here_and_to_who_does_not(
    house: House, tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    wire = await Wire.open(await house.listen(tls=tls))
    await wire.start_tls(trust)
    await wire.say("EHLO c", MAIL)
    assert (await wire.ask("RCPT TO:<olga@example.org>")).startswith("550 5.7.30 ")
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith("250 ")
    assert (await wire.ask("DATA")).startswith("354 ")
    await wire.send(b"Subject: secret\r\n\r\n.\r\n")
    assert (await wire.reply()).startswith("250 ")
    assert len(house.kept("anna")) == 1
    await wire.say("MAIL FROM:<a@remote.example>")
    assert (await wire.ask("RCPT TO:<olga@example.org>")).startswith("250 ")
