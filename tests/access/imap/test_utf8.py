"""UTF8=ACCEPT (RFC 6855)."""

from tests.access.imap.conftest import Rig, message

# RFC 6855 4: a message with UTF-8 in its header.
LETTER = "From: Jürgen <jürgen@example.test>\r\nSubject: Grüße\r\n\r\nHällo\r\n".encode()


async def test_mailbox_names(rig: Rig) -> None:
    client = await rig.login()
    await client.talk(
        """
        C: a CREATE "Entw&APw-rfe"
        S: a OK ...
        C: b ENABLE UTF8=ACCEPT
        S: * ENABLED UTF8=ACCEPT
        S: b OK ...
        C: c CREATE "Grüße \\"neu\\""
        S: c OK ...
        C: d CREATE Übung/日本
        S: d OK ...
        C: e CREATE "R&D"
        S: e OK ...
        C: f LIST "" *
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * LIST (\\HasNoChildren) "/" "Entwürfe"
        S: * LIST (\\HasNoChildren) "/" "Grüße \\"neu\\""
        S: * LIST (\\HasNoChildren) "/" R&D
        S: * LIST (\\HasChildren) "/" "Übung"
        S: * LIST (\\HasNoChildren) "/" "Übung/日本"
        S: f OK ...
        C: g LIST "" "Üb%" RETURN (STATUS (MESSAGES))
        S: * LIST (\\HasChildren) "/" "Übung"
        S: * STATUS "Übung" (MESSAGES 0)
        S: g OK ...
        C: h SUBSCRIBE "Entwürfe"
        S: h OK ...
        C: i LSUB "" *
        S: * LSUB () "/" "Entwürfe"
        S: i OK ...
        C: j STATUS "Entwürfe" (UNSEEN)
        S: * STATUS "Entwürfe" (UNSEEN 0)
        S: j OK ...
        C: k RENAME "Entwürfe" "Entwürfe 2"
        S: k OK ...
        C: l SELECT "Entwürfe 2"
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 0 EXISTS
        S: * 0 RECENT
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 1] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: l OK ...
        """
    )
    assert (await client.command(b'CREATE "\xff\xfe"')).status == b"BAD"
    assert (await client.command('CREATE "a\u0085b"')).status in (b"NO", b"BAD")
    # Whoever has not enabled it reads modified UTF-7.
    assert await (await rig.login()).ok("LIST Entw *") == [b'* LIST (\\HasNoChildren) "/" "Entw&APw-rfe 2"']


async def test_append(rig: Rig) -> None:
    client = await rig.login("INBOX")
    client.send(b"a APPEND INBOX UTF8 (~{%d+}\r\n%b)\r\n" % (len(LETTER), LETTER))
    assert (await client.line()).startswith(b"a BAD UTF8 needs ENABLE")
    await client.ok("ENABLE UTF8=ACCEPT")
    size = len(LETTER)
    client.send(b'b APPEND "INBOX" (\\Seen) "17-Jul-1996 02:44:25 -0700" UTF8 (~{%d}\r\n' % size)
    assert await client.line() == b"+ OK"
    client.send(LETTER + b")\r\n")
    assert await client.line() == b"* 1 EXISTS"
    assert (await client.line()).startswith(b"b OK [APPENDUID ")
    # With MULTIAPPEND (RFC 3502), both kinds of literal.
    client.send(
        b"c APPEND INBOX utf8 (~{%d+}\r\n%b) (\\Flagged) {%d+}\r\n%b UTF8 (~{%d+}\r\n%b)\r\n"
        % (size, LETTER, size, LETTER, size, LETTER)
    )
    assert await client.line() == b"* 4 EXISTS"
    assert (await client.line()).startswith(b"c OK [APPENDUID ")
    lines = await client.ok("FETCH 1:4 (BODY.PEEK[])")
    assert [LETTER in line for line in lines] == [True] * 4
    # No parenthesis behind it: refused as a whole, and what follows is in step.
    client.send(b"d APPEND INBOX UTF8 (~{%d+}\r\n%b\r\ne NOOP\r\n" % (size, LETTER))
    assert (await client.line()).startswith(b"d BAD")
    assert (await client.line()).startswith(b"e OK")
    client.send(b"f APPEND INBOX UTF8 (~{2+}\r\nab UTF8 (~{4+}\r\nx y\n\r\ng NOOP\r\n")
    assert (await client.line()).startswith(b"f BAD")
    assert (await client.line()).startswith(b"g OK")
    client.send(b"h APPEND INBOX {2+}\r\nab)\r\n")
    assert (await client.line()).startswith(b"h BAD")
    assert rig.shard.mailbox(rig.residence, "INBOX").messages == 4


async def test_search(rig: Rig) -> None:
    """RFC 6855 3: texts are UTF-8, CHARSET is an error."""
    await rig.deliver(message("none"), LETTER)
    client = await rig.login("INBOX")
    assert await client.ok(b"SEARCH CHARSET UTF-8 SUBJECT {7+}\r\nGr\xc3\xbc\xc3\x9fe") == [b"* SEARCH 2"]
    await client.ok("ENABLE UTF8=ACCEPT")
    assert await client.ok('SEARCH SUBJECT "Grüße"') == [b"* SEARCH 2"]
    assert await client.ok('UID SEARCH FROM "jürgen@"') == [b"* SEARCH 2"]
    assert (await client.command('SEARCH CHARSET UTF-8 SUBJECT "Grüße"')).status == b"BAD"
