"""Each limit of IMAP: at it a command works, past it comes a clear refusal, and the connection goes on.

`CASES` has the limits that a command meets; `ELSEWHERE` says which test has the others. Together they are all that
there are.
"""

import asyncio
import base64
import dataclasses
import importlib
import ssl
from dataclasses import dataclass
from typing import Any

import pytest
import trustme

from mailplat.access.imap import ImapLimits, bodies
from mailplat.access.stream import Stream
from mailplat.access.throttle import Throttle, ThrottleLimits
from mailplat.core.limits.imap import Bounds
from mailplat.core.limits.store import StoreLimits
from mailplat.core.route import Residence
from mailplat.store.types import Appended, NewMessage
from mailplat.wire.imap.fetch import Section
from mailplat.wire.mime import Part
from tests.access.imap.client import Client
from tests.access.imap.conftest import DOMAIN, PASSWORD, MakeRig, Rig, message
from tests.until import until


@dataclass(frozen=True)
class Case:
    limits: ImapLimits | Bounds | StoreLimits
    at: bytes | tuple[bytes, ...]  # commands that are answered OK, or as `answer` says
    past: bytes  # the command of one more
    refusal: bytes  # what its answer begins with
    answer: bytes = b"OK"
    logged_in: bool = True


def some(count: int, one: bytes = b"k%d", between: bytes = b" ") -> bytes:
    return between.join(one % n if b"%d" in one else one for n in range(count))


def literal(octets: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(octets), octets)


def nested(depth: int) -> bytes:
    return b"SEARCH " + b"NOT (" * ((depth - 1) // 2) + b"ALL" + b")" * ((depth - 1) // 2)


LINE = ImapLimits(line=1000, literal=500, command=3000)
EARLY = ImapLimits(line_before_login=1000, literal_before_login=500, command_before_login=2000)


def cached(count: int) -> bytes:
    """So many lines of 500 octets, one command."""
    return b"ID (" + b" ".join(literal(b"x" * 490) for _ in range(count)) + b")"


CASES: dict[str, Case] = {
    # Octets, in the framer: "t1 NOOP", spaces, CR.
    "line": Case(
        LINE, b"NOOP" + b" " * (1000 - 8), b"NOOP" + b" " * (1000 - 7), b"BAD a line of more than 1000"
    ),
    "literal": Case(
        LINE,
        b"STATUS %b (MESSAGES)" % literal(b"x" * 500),
        b"STATUS %b (MESSAGES)" % literal(b"x" * 501),
        b"BAD [TOOBIG] a literal of more than 500 octets",
        answer=b"NO [NONEXISTENT]",
    ),
    "command": Case(LINE, cached(5), cached(7), b"BAD [TOOBIG]"),
    "line_before_login": Case(
        EARLY,
        b"NOOP" + b" " * (1000 - 8),
        b"NOOP" + b" " * (1000 - 7),
        b"BAD a line of more than 1000",
        logged_in=False,
    ),
    "literal_before_login": Case(
        EARLY,
        b"LOGIN x " + literal(b"x" * 500),
        b"LOGIN x " + literal(b"x" * 501),
        b"BAD [TOOBIG] a literal of more than 500",
        answer=b"NO [AUTHENTICATIONFAILED]",
        logged_in=False,
    ),
    "command_before_login": Case(EARLY, cached(3), cached(5), b"BAD [TOOBIG]", logged_in=False),
    "message_size": Case(
        ImapLimits(message_size=100),
        b"APPEND INBOX " + literal(b"x" * 100),
        b"APPEND INBOX " + literal(b"x" * 101),
        b"NO [TOOBIG] a message of more than 100 octets",
    ),
    # What a command holds.
    "flags": Case(
        Bounds(flags=3),
        b"STORE 1 FLAGS (%b)" % some(3),
        b"STORE 1 FLAGS (%b)" % some(4),
        b"BAD a list of more than 3",
    ),
    "keyword": Case(
        Bounds(keyword=9),
        b"STORE 1 FLAGS (123456789)",
        b"STORE 1 FLAGS (1234567890)",
        b"BAD a keyword of more than 9",
    ),
    "items": Case(
        Bounds(items=3),
        b"FETCH 1 BODY.PEEK[HEADER.FIELDS (%b)]" % some(3),
        b"FETCH 1 BODY.PEEK[HEADER.FIELDS (%b)]" % some(4),
        b"BAD a list of more than 3",
    ),
    "ranges": Case(
        Bounds(ranges=3),
        b"FETCH 1,1,1 UID",
        b"FETCH 1,1,1,1 UID",
        b"BAD a sequence set of more than 3 ranges",
    ),
    "search_keys": Case(
        Bounds(search_keys=3),
        b"SEARCH ALL ALL ALL",
        b"SEARCH ALL ALL ALL ALL",
        b"BAD a search of more than 3 keys",
    ),
    "search_nesting": Case(
        Bounds(search_nesting=5), nested(5), nested(7), b"BAD a search nested more than 5 deep"
    ),
    "search_text": Case(
        Bounds(search_text=3),
        b"SEARCH SUBJECT abc",
        b"SEARCH SUBJECT abcd",
        b"BAD a search text of more than 3",
    ),
    "search_sources": Case(
        Bounds(search_sources=2),
        b"ESEARCH IN (inboxes personal) ALL",
        b"ESEARCH IN (inboxes personal subscribed) ALL",
        b"BAD a list of more than 2",
    ),
    "search_names": Case(
        Bounds(search_names=2),
        b"ESEARCH IN (mailboxes (INBOX a)) ALL",
        b"ESEARCH IN (mailboxes (INBOX a b)) ALL",
        b"BAD a list of more than 2",
    ),
    "notify_groups": Case(
        Bounds(notify_groups=2),
        b"NOTIFY SET (inboxes NONE) (personal NONE)",
        b"NOTIFY SET (inboxes NONE) (personal NONE) (subscribed NONE)",
        b"BAD more than 2 groups of events",
    ),
    "notify_events": Case(
        Bounds(notify_events=2),
        b"NOTIFY SET (personal (MailboxName SubscriptionChange))",
        b"NOTIFY SET (personal (MailboxName SubscriptionChange MailboxMetadataChange))",
        b"BAD a list of more than 2",
    ),
    "notify_names": Case(
        Bounds(notify_names=2),
        b"NOTIFY SET (mailboxes INBOX NONE) (subtree a NONE)",
        b"NOTIFY SET (mailboxes INBOX NONE) (subtree (a b) NONE)",
        b"BAD more than 20 groups of events, or 2 names",
    ),
    "sort_criteria": Case(
        Bounds(sort_criteria=2),
        b"SORT (DATE SIZE) UTF-8 ALL",
        b"SORT (DATE SIZE FROM) UTF-8 ALL",
        b"BAD a list of more than 2",
    ),
    "fetch_items": Case(
        Bounds(fetch_items=2),
        b"FETCH 1 (UID FLAGS)",
        b"FETCH 1 (UID FLAGS MODSEQ)",
        b"BAD a list of more than 2",
    ),
    "part_readings": Case(
        Bounds(part_readings=2),
        b"FETCH 1 (BINARY.PEEK[1]<0.1> BINARY.SIZE[1] BINARY.PEEK[2] BODY.PEEK[1]<1.1> BODY.PEEK[1]<2.1>)",
        b"FETCH 1 (BINARY.PEEK[1]<0.1> BINARY.SIZE[1] BINARY.PEEK[1]<1.1>)",
        b"BAD more than 2 BINARY sections of one part",
    ),
    "part_readings_of_headers": Case(
        Bounds(part_readings=2),
        b"FETCH 1 (BODY.PEEK[HEADER.FIELDS (A)] BODY.PEEK[HEADER.FIELDS.NOT (B)] BODY.PEEK[1.HEADER.FIELDS (C)])",
        b"FETCH 1 (BODY.PEEK[HEADER.FIELDS (A)] BODY.PEEK[HEADER.FIELDS.NOT (B)] BODY.PEEK[HEADER.FIELDS (C)])",
        b"BAD more than 2 HEADER.FIELDS sections of one header",
    ),
    "part_levels": Case(
        Bounds(part_levels=2),
        b"FETCH 1 BODY.PEEK[1.1]",
        b"FETCH 1 BODY.PEEK[1.1.1]",
        b"BAD a part number of more than 2 levels",
    ),
    "list_patterns": Case(
        Bounds(list_patterns=2), b'LIST "" (a b)', b'LIST "" (a b c)', b"BAD a list of more than 2"
    ),
    "pattern": Case(Bounds(pattern=3), b'LIST "" abc', b'LIST "" abcd', b"BAD a pattern of more than 3"),
    "entry_name": Case(
        Bounds(entry_name=10),
        b"GETMETADATA INBOX /private/a",
        b"GETMETADATA INBOX /private/ab",
        b"BAD the name of an entry expected: /private/... or /shared/..., up to 10 octets",
    ),
    "entries": Case(
        Bounds(entries=2),
        b"GETMETADATA INBOX (/private/a /private/b)",
        b"GETMETADATA INBOX (/private/a /private/b /private/c)",
        b"BAD a list of more than 2",
    ),
    "id_strings": Case(
        Bounds(id_strings=2),
        b'ID ("a" "b")',
        b'ID ("a" "b" "c")',
        b"BAD a list of more than 2",
        logged_in=False,
    ),
    # What a shard holds.
    "mailboxes": Case(StoreLimits(mailboxes=3), (b"CREATE a", b"CREATE b"), b"CREATE c", b"NO [LIMIT]"),
    "name": Case(StoreLimits(name=9), b"CREATE a/b/c/d/e", b"CREATE a/b/c/d/ef", b"NO [LIMIT]"),
    "level": Case(StoreLimits(level=3), b"CREATE abc/def", b"CREATE abc/defg", b"NO [LIMIT]"),
    "depth": Case(StoreLimits(depth=3), b"CREATE a/b/c", b"CREATE a/b/c/d", b"NO [LIMIT]"),
    "keywords": Case(StoreLimits(keywords=2), b"STORE 1 FLAGS (a b)", b"STORE 1 FLAGS (c)", b"NO [LIMIT]"),
    "keyword_of_store": Case(
        StoreLimits(keyword=3), b"STORE 1 FLAGS (abc)", b"STORE 1 FLAGS (abcd)", b"NO [LIMIT]"
    ),
    "annotations": Case(
        StoreLimits(annotations=2),
        b'SETMETADATA INBOX (/private/a "1" /private/b "2")',
        b'SETMETADATA INBOX (/private/c "3")',
        b"NO [METADATA TOOMANY]",
    ),
    "annotation": Case(
        StoreLimits(annotation=3),
        b'SETMETADATA INBOX (/private/a "123")',
        b'SETMETADATA INBOX (/private/a "1234")',
        b"NO [METADATA MAXSIZE 3]",
    ),
    "subscriptions": Case(
        StoreLimits(subscriptions=2), (b"SUBSCRIBE a", b"SUBSCRIBE b"), b"SUBSCRIBE c", b"NO [LIMIT]"
    ),
}

ELSEWHERE = {
    "swallow": "tests.access.imap.test_limits:test_what_is_refused_is_swallowed_up_to_a_limit",
    "autologout": "tests.access.imap.test_idle:test_keepalive_and_autologout",
    "preauth": "tests.access.imap.test_login:test_dripping_octets_does_not_buy_time",
    "write_stall": "tests.access.imap.test_bad_input:test_client_that_does_not_read",
    "handshake": "tests.access.imap.test_limits:test_a_handshake_that_does_not_come",
    "progress": "tests.access.imap.test_fetch:test_a_long_fetch_says_how_far_it_is",
    "keepalive": "tests.access.imap.test_idle:test_keepalive_and_autologout",
    "idle_poll": "tests.access.imap.test_idle:test_a_lost_hint_only_delays",
    "view_lease": "tests.access.imap.test_limits:test_a_lost_hint_delays_a_look",
    "stop_grace": "tests.access.imap.test_limits:test_a_client_that_does_not_read_holds_nobody_up",
    "connections": "tests.access.imap.test_login:test_connections_of_the_process",
    "connections_per_account": "tests.access.imap.test_login:test_connections_per_account",
    "login_failures": "tests.access.imap.test_login:test_too_many_failures_end_the_connection",
    "bad_commands": "tests.access.imap.test_bad_input:test_another_protocol",
    "write_batch": "tests.access.imap.test_limits:test_what_a_connection_holds",
    "write_buffer": "tests.access.imap.test_limits:test_what_a_connection_holds",
    "read_size": "tests.access.imap.test_limits:test_what_a_connection_holds",
    "rows": "tests.access.imap.test_fetch:test_many_messages_in_pieces",
    "bodies": "tests.access.imap.test_fetch:test_many_messages_in_pieces",
    "large_message": "tests.access.imap.test_fetch:test_large_messages_are_streamed",
    "large_messages": "tests.access.imap.test_limits:test_large_headers_wait_for_each_other",
    "append_batch": "tests.access.imap.test_limits:test_appends_are_committed_in_batches",
    "append_octets": "tests.access.imap.test_limits:test_appends_are_committed_in_batches",
    "inflate_ratio": "tests.access.imap.test_compress:test_a_bomb_at_and_past_the_limit",
    "inflate_allowance": "tests.access.imap.test_compress:test_a_bomb_at_and_past_the_limit",
    "notify_mailboxes": "tests.access.imap.test_notify:test_overflow",
    "carry_wait": "tests.access.proxy.test_parking:test_a_session_that_does_not_come_to_rest",
    "carry_messages": "tests.access.proxy.test_parking:test_a_mailbox_that_is_too_large",
    "notify_burst": "tests.access.imap.test_notify:test_overflow",
    "message_limit": "tests.access.imap.test_messagelimit:test_fetch",
    "save_limit": "tests.access.imap.test_messagelimit:test_all_or_nothing",
    "foreign_copy": "tests.access.imap.test_shared:test_a_copy_that_finds_no_room_leaves_nothing",
    "keywords_shown": "tests.access.imap.test_limits:test_flags_of_select_are_not_endless",
}


def test_each_limit_has_its_test() -> None:
    names = {field.name for limits in (ImapLimits, Bounds) for field in dataclasses.fields(limits)} - {
        "bounds"
    }
    tested = CASES.keys() | ELSEWHERE.keys()
    assert names - tested == set()
    assert ELSEWHERE.keys() - names == set()
    for place in ELSEWHERE.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), place


async def prepared(rigs: MakeRig, case: Case) -> tuple[Rig, Client]:
    limits = case.limits
    if isinstance(limits, Bounds):
        limits = ImapLimits(bounds=limits)
    rig = await rigs(limits=limits if isinstance(limits, ImapLimits) else None)
    if isinstance(limits, StoreLimits):
        rig.shard.site.limits = limits
    if not case.logged_in:
        return rig, await rig.connect()
    await rig.deliver(message())
    return rig, await rig.login("INBOX")


@pytest.mark.parametrize("name", CASES)
async def test_at_and_past(rigs: MakeRig, name: str) -> None:
    case = CASES[name]
    _, client = await prepared(rigs, case)
    for command in (case.at,) if isinstance(case.at, bytes) else case.at:
        answer = await client.command(command)
        assert answer.tagged.startswith(case.answer), answer
    answer = await client.command(case.past)
    assert answer.tagged.startswith(case.refusal), answer
    # Nothing of the refused command is left over, and the same connection does what it could do before.
    assert (await client.command("NOOP")).tagged == b"OK NOOP completed"
    command = case.at if isinstance(case.at, bytes) else b"CAPABILITY"
    answer = await client.command(command)
    assert answer.tagged.startswith((case.answer, b"NO [ALREADYEXISTS]")), answer


@pytest.mark.parametrize(
    "command",
    [
        nested(149),
        b"SEARCH " + b"OR SEEN " * 149 + b"ALL",
        b"SEARCH " + b"NOT " * 149 + b"SUBJECT x",
        b"SEARCH " + some(500, b"SUBJECT x"),
        b"SEARCH " + b"OR SUBJECT x " * 149 + b"SUBJECT y",
        b"SEARCH " + some(500, b"KEYWORD k%d"),
        b"SEARCH " + some(250, b"NOT UNKEYWORD k%d"),
        b"SORT (SUBJECT FROM) UTF-8 " + b"NOT " * 149 + b"BODY x",
        b"FETCH %b UID" % some(9_000, b"1", b","),
        b"UID SEARCH UID " + some(7_000, b"1%d:*", b","),
    ],
    ids=range(10),
)
async def test_the_largest_that_settings_allow(rigs: MakeRig, command: bytes) -> None:
    """No recursion, parameter list or expression of ours ends before the limit does."""
    rig = await rigs(limits=ImapLimits(bounds=Bounds(search_nesting=150)))
    await rig.deliver(message())
    client = await rig.login("INBOX")
    assert (await client.command(command)).status == b"OK"


async def test_what_is_refused_is_swallowed_up_to_a_limit(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(swallow=1000, message_size=100))
    client = await rig.login()
    client.send(b"a APPEND INBOX {999+}\r\n" + b"b NOOPS\r\n" * 111 + b"\r\nc NOOP\r\n")
    assert (await client.line()).startswith(b"a NO [TOOBIG]")
    assert await client.line() == b"c OK NOOP completed"
    client.send(b"d APPEND INBOX {1001+}\r\n")
    assert (await client.line()).startswith(b"d NO [TOOBIG]")
    assert (await client.line()).startswith(b"* BYE [TOOBIG] more than 1000 octets that were refused")


async def test_a_handshake_that_does_not_come(rigs: MakeRig, authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("imap.example.test").configure_cert(context)
    rig = await rigs(limits=ImapLimits(handshake=0.05), tls=context)
    client = await rig.connect()
    await client.ok("STARTTLS")
    await until(lambda: len(rig.server.sessions) == 0)


@pytest.mark.parametrize(("lease", "lines"), [(0.0, 1), (3600.0, 0)])
async def test_a_lost_hint_delays_a_look(rigs: MakeRig, lease: float, lines: int) -> None:
    rig = await rigs(limits=ImapLimits(view_lease=lease))
    await rig.deliver(message())
    client = await rig.login("INBOX")
    rig.bus.publish = lambda hint: None  # type: ignore[method-assign]
    await rig.deliver(message())
    assert len((await client.command("CAPABILITY")).having(b"* 2 EXISTS")) == lines


async def test_a_client_that_does_not_read_holds_nobody_up(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(stop_grace=0.05, write_buffer=1000))
    await rig.deliver(message(text="x" * 2_000_000))
    client = await rig.login("INBOX")
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(b"a FETCH 1 BODY.PEEK[]\r\n" * 20)
    [session] = rig.server.sessions._all
    await until(lambda: session.stream._writing)
    async with asyncio.timeout(10):
        await rig.server.close()
    assert len(rig.server.sessions) == 0


async def test_what_a_connection_holds(rigs: MakeRig) -> None:
    """Who sends commands and reads nothing is not read any more: what he sent ahead is his and the network's."""
    limits = ImapLimits(write_batch=2000, write_buffer=10_000, read_size=4096)
    rig = await rigs(limits=limits)
    await rig.deliver(message(text="x" * 5000))
    client = await rig.login("INBOX")
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    reply = 6000
    for _ in range(100):
        client.send(b"a FETCH 1 BODY.PEEK[]\r\n" * 5000)
    [session] = rig.server.sessions._all
    stream = session.stream
    await until(lambda: stream._writing)
    read = session.framer.buffered + len(stream.reader._buffer)  # type: ignore[attr-defined]
    # asyncio stops reading at twice the limit of its reader, and may be one read beyond it.
    assert read <= limits.read_size + 2 * 64 * 1024 + 256 * 1024
    assert stream._size <= limits.write_batch + reply
    written = stream.writer.transport.get_write_buffer_size()
    assert written <= limits.write_buffer + limits.write_batch + reply
    client.writer.transport.abort()


async def test_many_sections_of_one_message_are_not_held_together(
    rigs: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred times the text of a small message would be a hundred megabytes in one piece."""
    limits = ImapLimits(large_message=10_000, bodies=20_000)
    rig = await rigs(limits=limits)
    text = message(text="x" * 9000 + "\r\n")
    await rig.deliver(text, text)
    client = await rig.login("INBOX")
    largest = 0
    write = Stream.write

    def watched(stream: Stream, octets: bytes) -> None:
        nonlocal largest
        largest = max(largest, len(octets))
        write(stream, octets)

    monkeypatch.setattr(Stream, "write", watched)
    items = b" ".join(b"BODY.PEEK[]<%d.20000>" % n for n in range(200))
    lines = await client.ok(b"FETCH 1:2 (%b)" % items)
    for line in lines:
        assert len(line) > 200 * 9000 - 200 * 200
        assert text[199:] in line
    assert largest <= 8 * limits.large_message


async def test_a_part_is_decoded_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = base64.encodebytes(bytes(range(200))).replace(b"\n", b"\r\n")
    await rig.deliver(b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded)
    client = await rig.login("INBOX")
    decoded = []
    extract = bodies.extract

    def counted(octets: bytes, root: Part, section: Section) -> bytes | None:
        decoded.append(section.path)
        return extract(octets, root, section)

    monkeypatch.setattr(bodies, "extract", counted)
    windows = b" ".join(b"BINARY.PEEK[1]<%d.3>" % n for n in range(195, 203))
    [line] = await client.ok(b"FETCH 1 (%b BINARY.SIZE[1])" % windows)
    assert b"BINARY[1]<195> {3}\r\n\xc3\xc4\xc5 BINARY[1]<196> {3}\r\n\xc4\xc5\xc6" in line
    assert b"BINARY[1]<199> {1}\r\n\xc7 BINARY[1]<200> {0}\r\n BINARY[1]<201> {0}\r\n" in line
    assert line.endswith(b" BINARY.SIZE[1] 200)")
    assert decoded == [(1,)]


async def test_large_headers_wait_for_each_other(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(large_message=1000, large_messages=1))
    await rig.deliver(message(text="x" * 2000))
    one, other = await rig.login("INBOX"), await rig.login("INBOX")
    large = rig.server._services.large
    async with large:
        tags = [client.start(b"FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]") for client in (one, other)]
        await until(lambda: len(large._waiters or ()) == 2)
    for client, tag in zip((one, other), tags, strict=True):
        assert b"Subject: Hello" in (await client.answer(tag)).lines[0]


@pytest.mark.parametrize("limits", [ImapLimits(append_batch=2), ImapLimits(append_octets=2 * len(message()))])
async def test_appends_are_committed_in_batches(
    rigs: MakeRig, limits: ImapLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await rigs(limits=limits)
    client = await rig.login()
    sizes = []
    append = rig.store.append

    async def counted(
        residence: Residence, mailbox: str, messages: list[NewMessage], **rest: Any
    ) -> list[Appended]:
        sizes.append(len(messages))
        return await append(residence, mailbox, messages, **rest)

    monkeypatch.setattr(rig.store, "append", counted)
    client.send(b"".join(b"a%d APPEND INBOX %b\r\n" % (n, literal(message())) for n in range(9)))
    for n in range(9):
        assert (await client.line()).startswith(b"a%d OK" % n)
    assert sum(sizes) == 9
    assert max(sizes) == 2


async def test_flags_of_select_are_not_endless(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(keywords_shown=2))
    await rig.deliver(message(), flags=("k1", "k2", "k3"))
    client = await rig.login()
    [line] = [line for line in await client.ok("SELECT INBOX") if line.startswith(b"* FLAGS")]
    assert sum(word.startswith(b"k") for word in line.strip(b"()").split()) == 2


async def test_connections_that_have_not_logged_in(rigs: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit there is a greeting; past it the door is shut until one of them is gone."""
    rig = await rigs()
    rig.login_service.throttle = Throttle(rig.bus, ThrottleLimits(waiting=2))
    first, second = await rig.connect(), await rig.connect()
    assert first.greeting.startswith(b"* OK")
    assert second.greeting.startswith(b"* OK")
    third = await rig.connect()
    assert third.greeting == b"* BYE [UNAVAILABLE] Too many connections, try again later"
    await first.ok(f"LOGIN user@{DOMAIN} {PASSWORD}")
    fourth = await rig.connect()
    assert fourth.greeting.startswith(b"* OK")
