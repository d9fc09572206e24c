"""What mail programs that people use say, in their order and their spelling, from the first connection on; of each
reply what that program needs. Written from what is known of each: Thunderbird and K-9 by their sources, Apple Mail
and Outlook by what servers see of them."""

import base64
import re
from collections.abc import Sequence

from tests.access.imap.client import Client
from tests.access.imap.conftest import DOMAIN, PASSWORD, Rig, message

USER = f"user@{DOMAIN}"
INITIAL = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()

THUNDERBIRD_FIELDS = (
    "From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type"
    " Reply-To"
)
APPLE_FIELDS = (
    "date subject from to cc message-id in-reply-to references content-type x-priority"
    " x-uniform-type-identifier x-universally-unique-identifier list-id list-unsubscribe"
)
K9_FIELDS = (
    "date subject from content-type to cc reply-to message-id references in-reply-to list-unsubscribe sender"
    " X-K9mail-Identity Chat-Version"
)


async def greeted(rig: Rig) -> tuple[Client, set[str]]:
    """Connected, and what is offered."""
    client = await rig.connect()
    assert client.greeting.startswith(b"* OK")
    [line] = await client.ok("CAPABILITY")
    return client, set(line.decode().split()[2:])


async def authenticate(client: Client) -> set[str]:
    """Without an initial response, as older programs do; what is offered then."""
    tag = client.start(b"authenticate PLAIN")
    assert (await client.line()).rstrip() == b"+"
    client.send(INITIAL.encode() + b"\r\n")
    answer = await client.answer(tag)
    assert answer.status == b"OK", answer
    return offered(answer.tagged) or offered((await client.ok("CAPABILITY"))[0])


def offered(line: bytes) -> set[str]:
    found = re.search(rb"CAPABILITY ([^\]\r]*)", line)
    return set(found[1].decode().split()) if found else set()


def code(lines: Sequence[bytes], name: str) -> int:
    """The number of an untagged OK's code."""
    [found] = [int(hit[1]) for line in lines if (hit := re.search(rb"\[%b (\d+)" % name.encode(), line))]
    return found


def fetched(lines: Sequence[bytes]) -> dict[int, bytes]:
    """By UID: each FETCH response; every one names it."""
    found = {}
    for line in lines:
        if re.match(rb"\* \d+ FETCH ", line):
            hit = re.search(rb"[( ]UID (\d+)", line)
            assert hit, line
            found[int(hit[1])] = line
    return found


async def append(client: Client, mailbox: str, flags: str, octets: bytes) -> int:
    """With a synchronizing literal. The UID that APPENDUID names (RFC 4315 3)."""
    tag = client.start(b'append "%b" (%b) {%d}' % (mailbox.encode(), flags.encode(), len(octets)))
    assert (await client.line()).startswith(b"+ ")
    client.send(octets + b"\r\n")
    answer = await client.answer(tag)
    hit = re.match(rb"OK \[APPENDUID \d+ (\d+)\]", answer.tagged)
    assert hit, answer
    return int(hit[1])


async def idle(rig: Rig, client: Client) -> None:
    """Until something is delivered; the program hears of it before it says DONE."""
    tag = client.start(b"IDLE")
    assert (await client.line()).startswith(b"+ ")
    await rig.deliver(message("pushed"))
    while not (line := await client.line()).endswith(b" EXISTS"):
        assert line.startswith(b"* "), line
    client.send(b"DONE\r\n")
    assert (await client.answer(tag)).status == b"OK"


async def test_thunderbird(rig: Rig) -> None:
    await rig.deliver(*(message(f"letter {number}") for number in range(4)))
    client, _ = await greeted(rig)
    capability = await authenticate(client)
    # what it makes its choices from
    assert {
        "IDLE",
        "UIDPLUS",
        "MOVE",
        "CONDSTORE",
        "ID",
        "NAMESPACE",
        "LIST-EXTENDED",
        "SPECIAL-USE",
    } <= capability
    [identity] = await client.ok('ID ("name" "Thunderbird" "version" "128.5.0")')
    assert identity.startswith(b"* ID ")
    assert await client.ok("namespace") == [b'* NAMESPACE (("" "/")) (("user/" "/")) NIL']

    # its folders: found, then made with their use, then subscribed to, then listed as it lists them each time
    assert len(await client.ok('LIST "" "INBOX"')) == 1
    assert await client.ok('list (subscribed) "" "*" return (special-use)') == []
    for name in ("Sent", "Trash", "Entw&APw-rfe"):
        await client.ok(f'create "{name}"')
        assert (await client.ok(f'list "" "{name}"'))[0].endswith(name.encode())
        await client.ok(f'subscribe "{name}"')
    await client.ok('subscribe "INBOX"')
    listed = await client.ok('list (subscribed) "" "*" return (special-use)')
    assert {line.rpartition(b" ")[2] for line in listed} == {b"INBOX", b"Sent", b"Trash", b"Entw&APw-rfe"}
    assert all(b"\\Subscribed" in line for line in listed)
    assert len(await client.ok('lsub "" "*"')) == 4

    opened = await client.command('select "INBOX" (CONDSTORE)')
    assert opened.tagged.startswith(b"OK [READ-WRITE]")
    assert b"* 4 EXISTS" in opened.lines
    uidnext, modseq = code(opened.lines, "UIDNEXT"), code(opened.lines, "HIGHESTMODSEQ")
    assert (uidnext, code(opened.lines, "UIDVALIDITY") > 0) == (5, True)
    [permanent] = [line for line in opened.lines if b"PERMANENTFLAGS" in line]
    assert b"\\*" in permanent  # or it would keep its tags to itself
    flags = fetched(await client.ok("UID fetch 1:* (FLAGS)"))
    assert sorted(flags) == [1, 2, 3, 4]
    heads = fetched(
        await client.ok(
            f"UID fetch 1:4 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({THUNDERBIRD_FIELDS})])"
        )
    )
    assert sorted(heads) == [1, 2, 3, 4]
    for uid, line in heads.items():
        assert b"Subject: letter %d\r\n" % (uid - 1) in line
        assert b"RFC822.SIZE %d" % len(message(f"letter {uid - 1}")) in line
        assert b"\\Seen" not in line
        assert line.upper().count(b"BODY[HEADER.FIELDS (FROM TO CC") == 1

    # he reads one: the whole of it, which marks it; then it is tagged; another program sees both by CHANGEDSINCE
    [whole] = fetched(await client.ok("UID fetch 4 (UID RFC822.SIZE BODY[])")).values()
    assert b"BODY[] {%d}\r\n%b" % (len(message("letter 3")), message("letter 3")) in whole
    [tagged] = fetched(await client.ok("uid store 4 +Flags ($label1)")).values()
    assert b"$label1" in tagged
    assert b"\\Seen" in tagged
    changed = fetched(await client.ok(f"UID fetch 1:* (FLAGS) (CHANGEDSINCE {modseq})"))
    assert list(changed) == [4]
    newest = re.search(rb"MODSEQ \((\d+)\)", changed[4])
    assert newest
    assert int(newest[1]) > modseq
    assert fetched(await client.ok(f"UID fetch 1:* (FLAGS) (CHANGEDSINCE {int(newest[1])})")) == {}
    await idle(rig, client)
    assert sorted(fetched(await client.ok(f"UID fetch {uidnext}:* (FLAGS)"))) == [5]

    # what he sends goes to Sent, what he deletes to Trash
    sent = await append(client, "Sent", "\\Seen", message("sent"))
    [status] = await client.ok('STATUS "Sent" (UIDNEXT MESSAGES UNSEEN RECENT)')
    assert status == b"* STATUS Sent (UIDNEXT %d MESSAGES 1 UNSEEN 0 RECENT 0)" % (sent + 1)
    moved = await client.command('uid move 3 "Trash"')
    assert re.search(rb"\[COPYUID \d+ 3 1\]", b"\r\n".join([*moved.lines, moved.tagged]))
    assert b"* 3 EXPUNGE" in moved.lines
    # without MOVE: a copy, \Deleted, and only that one goes (RFC 4315 2.1)
    copied = await client.command('uid copy 2 "Trash"')
    assert re.match(rb"OK \[COPYUID \d+ 2 2\]", copied.tagged)
    await client.ok("uid store 1 +Flags (\\Deleted)")
    await client.ok("uid store 2 +Flags (\\Deleted \\Seen)")
    assert b"* 2 EXPUNGE" in await client.ok("UID EXPUNGE 2")
    assert sorted(fetched(await client.ok("UID fetch 1:* (FLAGS)"))) == [1, 4, 5]
    await client.ok("noop")
    await client.ok("close")
    [status] = await client.ok('STATUS "Trash" (MESSAGES UNSEEN)')
    assert status == b"* STATUS Trash (MESSAGES 2 UNSEEN 2)"
    assert (await client.ok("logout"))[0].startswith(b"* BYE")


async def test_apple_mail(rig: Rig) -> None:
    await rig.deliver(*(message(f"letter {number}") for number in range(3)))
    client, _ = await greeted(rig)
    capability = await authenticate(client)
    assert {"IDLE", "UIDPLUS", "MOVE", "CONDSTORE", "ENABLE", "SPECIAL-USE", "ESEARCH"} <= capability
    await client.ok(
        'ID ("name" "Mac OS X Mail" "version" "16.0 (3774.600.62)" "os" "Mac OS X" "os-version" "14.4 (23E214)"'
        ' "vendor" "Apple Inc.")'
    )
    assert await client.ok("ENABLE CONDSTORE") == [b"* ENABLED CONDSTORE"]
    assert (await client.ok('LIST "" ""'))[0].split()[3] == b'"/"'
    for name in ("Sent Messages", "Deleted Messages", "Drafts"):
        await client.ok(f'CREATE "{name}"')
    listed = await client.ok('LIST "" "*" RETURN (SPECIAL-USE)')
    assert {line.split(b'"/" ')[1].strip(b'"') for line in listed} == {
        b"INBOX",
        b"Sent Messages",
        b"Deleted Messages",
        b"Drafts",
    }
    [status] = await client.ok("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")
    assert re.match(
        rb"\* STATUS INBOX \(MESSAGES 3 UIDNEXT 4 UIDVALIDITY \d+ UNSEEN 3 HIGHESTMODSEQ \d+\)$", status
    )
    opened = await client.ok("SELECT INBOX (CONDSTORE)")
    modseq = code(opened, "HIGHESTMODSEQ")
    assert sorted(fetched(await client.ok("FETCH 1:3 (FLAGS UID)"))) == [1, 2, 3]
    heads = fetched(
        await client.ok(
            f"UID FETCH 1:3 (INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({APPLE_FIELDS})])"
        )
    )
    for uid, line in heads.items():
        assert b"Subject: letter %d\r\n" % (uid - 1) in line
        assert re.search(rb'INTERNALDATE "[ \d]\d-\w{3}-\d{4} \d\d:\d\d:\d\d [+-]\d{4}"', line)
    [parts] = fetched(await client.ok("UID FETCH 2 (BODYSTRUCTURE BODY.PEEK[])")).values()
    assert message("letter 1") in parts
    assert b'BODYSTRUCTURE ("TEXT" "PLAIN"' in parts.upper()
    silent = await client.command("UID STORE 2 +FLAGS.SILENT (\\Seen)")
    # the new MODSEQ all the same (RFC 7162 3.1.3), or it would ask again
    assert all(re.search(rb"UID 2 MODSEQ \(\d+\)", line) for line in silent.lines)
    assert len(silent.lines) == 1
    changed = fetched(await client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})"))
    assert list(changed) == [2]
    assert b"MODSEQ (" in changed[2]
    [found] = await client.ok("UID SEARCH RETURN (ALL) UNSEEN NOT DELETED")
    assert found.endswith(b"UID ALL 1,3")
    await idle(rig, client)
    draft = await append(client, "Drafts", "\\Seen \\Draft", message("draft"))
    moved = await client.command('UID MOVE 1 "Deleted Messages"')
    assert b"COPYUID" in b"".join([*moved.lines, moved.tagged])
    await client.ok("SELECT Drafts (CONDSTORE)")
    await client.ok(f"UID STORE {draft} +FLAGS.SILENT (\\Deleted)")
    gone = await client.ok(f"UID EXPUNGE {draft}")
    assert b"* 1 EXPUNGE" in gone
    await client.ok("CLOSE")


async def test_outlook(rig: Rig) -> None:
    await rig.deliver(*(message(f"letter {number}") for number in range(3)))
    client, _ = await greeted(rig)
    await client.ok(f'LOGIN "{USER}" "{PASSWORD}"')
    await client.ok('ID ("name" "Microsoft Outlook" "version" "16.0" "os" "windows")')
    assert len(await client.ok('LIST "" ""')) == 1
    for name in ("Sent Items", "Deleted Items", "Drafts", "Junk Email"):
        await client.ok(f'CREATE "{name}"')
        await client.ok(f'SUBSCRIBE "{name}"')
    assert len(await client.ok('LIST "" "*"')) == 5
    assert len(await client.ok('LSUB "" "*"')) == 4
    opened = await client.ok('SELECT "INBOX"')
    assert {b"* 3 EXISTS", b"* 0 RECENT"} <= set(opened)
    assert any(line.startswith(b"* FLAGS (") for line in opened)
    assert code(opened, "UIDVALIDITY")
    assert await client.ok("UID SEARCH 1:* NOT DELETED") == [b"* SEARCH 1 2 3"]
    known = fetched(await client.ok("UID FETCH 1:* (UID FLAGS)"))
    assert sorted(known) == [1, 2, 3]
    [line] = fetched(await client.ok("UID FETCH 3 (UID FLAGS RFC822.SIZE BODY.PEEK[] INTERNALDATE)")).values()
    assert message("letter 2") in line
    assert b"\\Seen" not in line
    await client.ok("UID STORE 3 +FLAGS.SILENT (\\Seen)")
    await idle(rig, client)
    # `*` names the last one even where nothing is new (RFC 3501 6.4.8)
    assert sorted(fetched(await client.ok("UID FETCH 4:* (UID FLAGS)"))) == [4]
    assert sorted(fetched(await client.ok("UID FETCH 5:* (UID FLAGS)"))) == [4]
    await append(client, "Sent Items", "\\Seen", message("sent"))
    assert (await client.command('UID COPY 1 "Deleted Items"')).tagged.startswith(b"OK [COPYUID ")
    [flags] = fetched(await client.ok("UID STORE 1 +FLAGS (\\Deleted \\Seen)")).values()
    assert b"\\Deleted" in flags
    assert b"* 1 EXPUNGE" in await client.ok("EXPUNGE")
    assert (await client.ok("LOGOUT"))[0].startswith(b"* BYE")


async def test_k9(rig: Rig) -> None:
    """Thunderbird for Android is the same program."""
    await rig.deliver(*(message(f"letter {number}", "x" * 40_000 + "\r\n") for number in range(3)))
    client, capability = await greeted(rig)
    assert {"AUTH=PLAIN", "SASL-IR"} <= capability
    await client.ok(f"AUTHENTICATE PLAIN {INITIAL}")
    [line] = await client.ok("CAPABILITY")
    assert {"NAMESPACE", "ID", "SPECIAL-USE", "IDLE", "UIDPLUS", "MOVE"} <= set(line.decode().split())
    await client.ok('ID ("name" "K-9 Mail" "version" "6.804")')
    assert (await client.ok("NAMESPACE"))[0].startswith(b'* NAMESPACE (("" "/"))')
    await client.ok("CREATE Trash")
    await client.ok("CREATE Drafts (USE (\\Drafts))")
    listed = await client.ok('LIST "" "*" RETURN (SPECIAL-USE)')
    assert [line for line in listed if b"\\Drafts" in line and line.endswith(b"Drafts")]
    assert len(await client.ok('LIST (SPECIAL-USE) "" "*"')) == 1
    opened = await client.ok('SELECT "INBOX"')
    assert b"* 3 EXISTS" in opened
    assert await client.ok("UID SEARCH 1:3 NOT DELETED") == [b"* SEARCH 1 2 3"]
    assert await client.ok("UID SEARCH 1:3 SINCE 1-Jan-2020 NOT DELETED") == [b"* SEARCH 1 2 3"]
    heads = fetched(
        await client.ok(
            f"UID FETCH 1:3 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({K9_FIELDS})])"
        )
    )
    assert sorted(heads) == [1, 2, 3]
    [structure] = fetched(await client.ok("UID FETCH 2 (UID BODYSTRUCTURE)")).values()
    assert b"BODYSTRUCTURE (" in structure
    # the beginning of a text, and of a whole message
    [text] = fetched(await client.ok("UID FETCH 2 (UID BODY.PEEK[TEXT]<0.32768>)")).values()
    assert b"BODY[TEXT]<0> {32768}\r\n" in text
    [begin] = fetched(await client.ok("UID FETCH 2 (UID BODY.PEEK[]<0.128000>)")).values()
    assert b"BODY[]<0> {%d}\r\n" % len(message("letter 1", "x" * 40_000 + "\r\n")) in begin
    await client.ok("UID STORE 2 +FLAGS.SILENT (\\Seen)")
    assert await client.ok('UID SEARCH HEADER MESSAGE-ID "<letter 2@example.test>"') == [b"* SEARCH 3"]
    moved = await client.command('UID MOVE 1 "Trash"')
    assert b"COPYUID" in b"".join([*moved.lines, moved.tagged])
    await idle(rig, client)
    await client.ok("UID STORE 2:3 +FLAGS.SILENT (\\Deleted)")
    await client.ok("UID EXPUNGE 2:3")
    assert await client.ok("UID SEARCH 1:* NOT DELETED") == [b"* SEARCH 4"]
    await client.ok("CLOSE")
