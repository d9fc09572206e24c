"""GETMETADATA and SETMETADATA (RFC 5464)."""

from dataclasses import replace

from tests.access.imap.conftest import DOMAIN, PASSWORD, Rig


async def test_mailboxes(rig: Rig) -> None:
    client = await rig.login()
    await client.talk(
        """
        C: a SETMETADATA INBOX (/private/comment "My new comment" /PRIVATE/Vendor/x/order {3+}
        C: one /shared/comment "ours")
        S: a OK ...
        C: b GETMETADATA inbox /private/comment
        S: * METADATA INBOX (/private/comment "My new comment")
        S: b OK GETMETADATA completed
        C: c GETMETADATA "INBOX" (/Shared/Comment /private/nothing)
        S: * METADATA INBOX (/shared/comment "ours" /private/nothing NIL)
        S: c OK ...
        C: d GETMETADATA (DEPTH 1) INBOX /private
        S: * METADATA INBOX (/private/comment "My new comment")
        S: d OK ...
        C: e GETMETADATA (DEPTH infinity) INBOX (/private/vendor /shared)
        S: * METADATA INBOX (/private/vendor/x/order "one" /shared/comment "ours")
        S: e OK ...
        C: f GETMETADATA (MAXSIZE 4 DEPTH infinity) INBOX (/private /shared)
        S: * METADATA INBOX (/private/vendor/x/order "one" /shared/comment "ours")
        S: f OK [METADATA LONGENTRIES 14] ...
        C: g SETMETADATA INBOX (/private/comment NIL)
        S: g OK ...
        C: h GETMETADATA INBOX /private/comment
        S: * METADATA INBOX (/private/comment NIL)
        S: h OK ...
        C: i GETMETADATA (DEPTH 1) INBOX /private/comment
        S: i OK ...
        C: j GETMETADATA Nothing /private/comment
        S: j NO [NONEXISTENT] ...
        C: k SETMETADATA Nothing (/private/comment "x")
        S: k NO [NONEXISTENT] ...
        """
    )


async def test_the_server(rig: Rig) -> None:
    rig.add("other")
    client = await rig.login()
    await client.talk(
        """
        C: a SETMETADATA "" (/private/vendor/x "mine")
        S: a OK ...
        C: b GETMETADATA "" (/private/vendor/x /shared/comment /shared/admin)
        S: * METADATA "" (/private/vendor/x "mine" /shared/comment NIL /shared/admin NIL)
        S: b OK ...
        C: c SETMETADATA "" (/shared/comment "all")
        S: c NO [NOPERM] ...
        """
    )
    other = await rig.connect()
    await other.ok(f"LOGIN other@{DOMAIN} {PASSWORD}")
    assert await other.ok('GETMETADATA (DEPTH infinity) "" /private') == []


async def test_octets_of_all_kinds(rig: Rig) -> None:
    client = await rig.login()
    value = bytes(range(256))
    await client.ok(b"SETMETADATA INBOX (/private/a ~{256+}\r\n%b /private/b {2+}\r\n\xff\xfe)" % value)
    client.send(b"b GETMETADATA INBOX (/private/a /private/b)\r\n")
    expected = b"* METADATA INBOX (/private/a ~{256}\r\n%b /private/b {2}\r\n\xff\xfe)\r\nb OK" % value
    assert await client.reader.readexactly(len(expected)) == expected
    await client.line()
    await client.ok("ENABLE UTF8=ACCEPT")
    await client.ok('CREATE "Entwürfe"')
    await client.ok('SETMETADATA "Entwürfe" (/private/comment "x")')
    lines = await client.ok('GETMETADATA "Entwürfe" /private/comment')
    assert lines == ['* METADATA "Entwürfe" (/private/comment "x")'.encode()]


async def test_limits_and_bad_input(rig: Rig) -> None:
    rig.shard.site.limits = replace(rig.shard.site.limits, annotation=1024, annotations=2)
    client = await rig.login()

    async def put(name: str, size: int) -> bytes:
        return (
            await client.command(f"SETMETADATA INBOX (/private/{name} {{{size}+}}\r\n{'x' * size})")
        ).tagged

    assert (await put("a", 1024)).startswith(b"OK")
    assert (await put("a", 1025)).startswith(b"NO [METADATA MAXSIZE 1024]")
    assert (await put("b", 1)).startswith(b"OK")
    assert (await put("c", 1)).startswith(b"NO [METADATA TOOMANY]")
    name = "/private/" + "x" * 246
    assert (await client.command(f"GETMETADATA INBOX {name}")).status == b"OK"
    entries = " ".join(f"/private/{n}" for n in range(101))
    for arguments in (
        "INBOX", "INBOX ()", "INBOX comment", "INBOX /other/x", "INBOX /private/", "INBOX /private//x",
        'INBOX "/private/*"', 'INBOX "/private/%"', f"INBOX {name}x", f"INBOX ({entries})",
        "(DEPTH 2) INBOX /private", "(DEPTH 1 DEPTH 1) INBOX /private", "(MAXSIZE x) INBOX /private",
        "() INBOX /private",
    ):  # fmt: skip
        assert (await client.command(f"GETMETADATA {arguments}")).status == b"BAD", arguments
    await client.ok("NOOP")  # too many bad ones in a row end the connection
    for arguments in (
        "INBOX", "INBOX ()", "INBOX (/private/x)", 'INBOX (/private "x")', "INBOX (/private/x y)",
        'INBOX (/private/x "1" /private/X "2")', "INBOX (/private/x ~{2}",
    ):  # fmt: skip
        client.send(f"x SETMETADATA {arguments}\r\n".encode())
        line = await client.line()
        if line.startswith(b"+"):
            client.send(b"x)\r\n")
            line = await client.line()
        assert line.startswith(b"x BAD"), arguments


async def test_in_a_list(rig: Rig) -> None:
    """RFC 9590."""
    client = await rig.login()
    await client.ok("CREATE a/b")
    await client.ok("CREATE nil")
    await client.talk(
        """
        C: a SETMETADATA a/b (/shared/vendor/x/color "#b71c1c" /private/comment "two")
        S: a OK ...
        C: b LIST "" * RETURN (METADATA ("/shared/vendor/x/color") STATUS (MESSAGES))
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * STATUS INBOX (MESSAGES 0)
        S: * METADATA INBOX (/shared/vendor/x/color NIL)
        S: * LIST (\\HasChildren) "/" a
        S: * STATUS a (MESSAGES 0)
        S: * METADATA a (/shared/vendor/x/color NIL)
        S: * LIST (\\HasNoChildren) "/" a/b
        S: * STATUS a/b (MESSAGES 0)
        S: * METADATA a/b (/shared/vendor/x/color "#b71c1c")
        S: * LIST (\\HasNoChildren) "/" "nil"
        S: * STATUS "nil" (MESSAGES 0)
        S: * METADATA "nil" (/shared/vendor/x/color NIL)
        S: b OK ...
        C: c SUBSCRIBE gone
        S: c OK ...
        C: d LIST (SUBSCRIBED) "" * RETURN (METADATA (/private/comment))
        S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" gone
        S: d OK ...
        C: e LIST "" * RETURN (METADATA)
        S: e BAD ...
        C: f LIST "" * RETURN (METADATA ())
        S: f BAD ...
        C: g LIST "" * RETURN (METADATA (comment))
        S: g BAD ...
        """
    )
