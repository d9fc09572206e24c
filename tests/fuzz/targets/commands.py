"""The arguments of IMAP's commands: BadSyntax and its like, or a value that can be worked with."""

from collections.abc import Callable
from typing import Any

from mailplat.core.limits.imap import BOUNDS
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadCharset, BadSyntax
from mailplat.wire.imap.esearch import parse_returns
from mailplat.wire.imap.fetch import FetchProgram, Section, parse_fetch
from mailplat.wire.imap.listing import ListProgram, Matcher, parse_list, parse_lsub
from mailplat.wire.imap.metadata import parse_get, parse_set
from mailplat.wire.imap.multisearch import check, parse_sources
from mailplat.wire.imap.search import Query, bind, parse_query
from mailplat.wire.imap.sequence import SequenceSet
from mailplat.wire.imap.sorting import parse_sort, parse_thread
from mailplat.wire.imap.spelling import Spelling
from mailplat.wire.imap.storing import (
    AppendProgram,
    SelectProgram,
    parse_append,
    parse_replace,
    parse_select,
    parse_store,
    status_items,
)

MODULES = ("mailplat/wire/imap/",)
LONGEST = 4000
UIDS = (3, 4, 5, 9, 10, 2**32 - 1)


def _esearch(arguments: Arguments) -> object:
    sources = parse_sources(arguments)
    returns = parse_returns(arguments)
    query = parse_query(arguments)
    if returns is not None:
        check(sources, returns, query.key)
        returns.kept(UIDS)
    return query


def _search(arguments: Arguments) -> object:
    parse_returns(arguments)
    return parse_query(arguments)


def _sort(arguments: Arguments) -> object:
    parse_returns(arguments)
    return parse_sort(arguments).query


def _set(arguments: Arguments) -> object:
    return arguments.sequence_set()


def _id(arguments: Arguments) -> object:
    return arguments.items(arguments.nstring, limit=arguments.bounds.id_strings)


PARSERS: tuple[Callable[[Arguments], Any], ...] = (
    _search,
    parse_fetch,
    parse_list,
    parse_store,
    parse_append,
    parse_select,
    _sort,
    parse_thread,
    _esearch,
    parse_get,
    parse_set,
    parse_lsub,
    parse_replace,
    status_items,
    _set,
    _id,
)

WORDS = (
    b" ",
    b"(",
    b")",
    b"[",
    b"]",
    b"<0.10>",
    b'"',
    b'"a b"',
    b"{1+}\r\nx",
    b"{3}\r\nabc",
    b"~{2+}\r\n\0x",
    b"NIL",
    b"1:*",
    b"$",
    b"*:4294967295",
    b"RETURN (MIN MAX ALL COUNT SAVE) ",
    b"PARTIAL 1:100",
    b"CHARSET UTF-8 ",
    b"NOT ",
    b"OR ",
    b"ALL",
    b"SEEN",
    b"HEADER a b",
    b"MODSEQ ",
    b'"/flags/x" all 1',
    b"UID ",
    b"KEYWORD x",
    b"BEFORE 1-Feb-2026",
    b"OLDER 1",
    b"EMAILID x",
    b"TEXT x",
    b"FLAGS",
    b"FLAGS.SILENT ",
    b"BODY",
    b"BODY.PEEK[",
    b"BINARY.SIZE[1]",
    b"HEADER.FIELDS.NOT (a b)",
    b"1.2.MIME]",
    b"PREVIEW (LAZY)",
    b"(CHANGEDSINCE 1 VANISHED)",
    b"(UNCHANGEDSINCE 1) ",
    b"\\Seen",
    b"\\*",
    b"%",
    b"*",
    b"&AOQ-",
    b"\xc3\xa4",
    b"STATUS (MESSAGES)",
    b"METADATA (/private/a)",
    b"SUBSCRIBED RECURSIVEMATCH",
    b"(QRESYNC (1 2 3 (4 5)))",
    b"CONDSTORE",
    b'" 1-Feb-2026 10:00:00 +0100"',
    b"REVERSE DATE",
    b"REFERENCES UTF-8 ",
    b"IN (SUBTREE (a b) MAILBOXES c) ",
    b"DEPTH INFINITY",
    b"MAXSIZE 1",
    b"/private/x",
)
SEEDS = (
    b"\x00 RETURN (COUNT) CHARSET UTF-8 OR (SEEN NOT KEYWORD x) "
    b'HEADER a "b" UID 1:3 MODSEQ 4 SUBJECT {3+}\r\nabc',
    b"\x01 1:* (UID FLAGS BODY.PEEK[1.2.HEADER.FIELDS (From To)]<0.10> BINARY.SIZE[1] PREVIEW (LAZY)) "
    b"(CHANGEDSINCE 3)",
    b'\x02 (SUBSCRIBED) "" (INBOX "%" a*) RETURN (CHILDREN STATUS (MESSAGES UNSEEN) METADATA (/private/a))',
    b"\x03 1,3:5 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Seen x)",
    b'\x04 "box" (\\Seen \\Draft) " 1-Feb-2026 10:00:00 +0100"',
    b"\x05 INBOX (CONDSTORE QRESYNC (1 2 3:4 (1:2 3:4)))",
    b"\x06 RETURN (PARTIAL 1:10) (REVERSE DATE SUBJECT) UTF-8 ALL",
    b"\x07 REFERENCES US-ASCII SINCE 1-Feb-2026",
    b"\x08IN (inboxes SUBTREE (a b)) RETURN (ALL) UID 1:*",
    b"\x09 (MAXSIZE 10 DEPTH 1) INBOX (/private/a /shared/b)",
    b'\x0a INBOX (/private/a "x" /private/b NIL /private/c ~{2+}\r\n\0x)',
    b'\x0b "" *',
    b"\x0c 3 box (\\Seen)",
    b"\x0d(MESSAGES UIDNEXT SIZE)",
    b"\x0e1,2:*,*:4294967295,9",
    b'\x0f("a" NIL)',
)


def run(octets: bytes) -> None:
    choice, octets = octets[0] if octets else 0, octets[1:]
    arguments = Arguments(
        octets,
        bounds=BOUNDS,
        spelling=Spelling(bool(choice & 16), "/."[choice >> 7]),
        uid_only=bool(choice & 32),
        no_charset=bool(choice & 64),
    )
    try:
        value = PARSERS[choice & 15](arguments)
        _work(value)
    except (BadSyntax, BadCharset) as error:
        said = str(error)
        assert said.isascii(), said
        assert said.isprintable(), said


def _work(value: object) -> None:
    match value:
        case Query():
            bind(value.key, UIDS)
        case FetchProgram():
            value.numbers.uids(UIDS)
            for item in value.items:
                if isinstance(item, Section):
                    assert item.label
                    assert item.length is None or item.length > 0
        case ListProgram():
            matcher = Matcher(value.reference, value.patterns)
            for name in ("INBOX", "a/b", "ä", "x" * 300):
                matcher.matches(name)
        case SequenceSet():
            merged = value.merged(10)
            assert all(low <= high for low, high in merged)
            assert merged == sorted(merged)
            value.uids(UIDS)
            value.numbers(6)
        case AppendProgram():
            assert "\\Recent" not in value.flags
        case SelectProgram():
            if value.resync is not None:
                next(value.resync.matches(), None)
