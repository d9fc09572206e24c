"""LANG (RFC 6856 3)."""

from tests.access.house import House


async def test_languages_in_both_states(house: House) -> None:
    house.add("anna")
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    for state in ("before the login", "after it"):
        listed = await client.multi("LANG")
        assert listed == [b"+OK Language listing follows:", b"en English", b"i-default English"], state
        # the reply names the tag that was chosen, whatever its case was
        assert await client.ask("LANG EN") == b"+OK en Replies are in English"
        assert await client.ask("LANG *") == b"+OK i-default Replies are in English"
        assert (await client.ask("lang i-default")).startswith(b"+OK i-default ")
        assert (await client.ask("LANG i")).startswith(b"+OK i-default ")  # RFC 4647 3.3.1: a range
        for unknown in ("de", "en-GB", "e", "en de", b"\xc3\xa4"):
            command = unknown if isinstance(unknown, bytes) else unknown.encode()
            assert (await client.ask(b"LANG " + command)).startswith(b"-ERR Invalid language"), unknown
        if state == "before the login":
            assert b"LANG" in await client.multi("CAPA")
            await client.ask("USER anna@example.test")
            assert (await client.ask("PASS correct horse")).startswith(b"+OK")


async def test_names_and_passwords_in_utf8(house: House) -> None:
    """What `UTF8 USER` promises (RFC 6856 2.2)."""
    house.add("zoë", password="grün und blau")
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    assert await client.ask("UTF8") == b"+OK UTF8 enabled"
    assert (await client.ask("USER zoë@example.test")).startswith(b"+OK")
    assert (await client.ask("PASS grün und blau")).startswith(b"+OK 0 messages")
