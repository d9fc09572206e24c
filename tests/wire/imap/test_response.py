import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.imap import response
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.spelling import Spelling
from mailplat.wire.imap.strings import QUOTED_LIMIT, astring, nstring, string
from tests.wire.imap.replies import read_line, read_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", b'""'),
        (b"plain", b'"plain"'),
        (b'a "b" \\', b'"a \\"b\\" \\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"gr\xfcn", b"{4}\r\ngr\xfcn"),
        (b"a\0b", b"{2}\r\nab"),
    ],
)
def test_strings(value: bytes, expected: bytes) -> None:
    assert string(value) == expected
    assert nstring(value) == expected


def test_nil_and_atoms() -> None:
    assert nstring(None) == b"NIL"
    assert astring(b"INBOX") == b"INBOX"
    assert astring(b"NIL") == b'"NIL"'
    assert astring(b"a]") == b'"a]"'
    assert astring(b"") == b'""'
    assert string(b"x" * (QUOTED_LIMIT + 1)).startswith(b"{1001}\r\n")


def test_tagged_replies() -> None:
    assert response.tagged("a1", "OK", "done") == b"a1 OK done\r\n"
    assert response.tagged("a1", "NO", "no room", "OVERQUOTA") == b"a1 NO [OVERQUOTA] no room\r\n"
    assert response.untagged_status("OK", "", "UIDNEXT 5") == b"* OK [UIDNEXT 5] done\r\n"
    assert response.untagged(b"3 EXISTS") == b"* 3 EXISTS\r\n"


@given(st.text(max_size=50))
def test_no_text_ends_a_line(text: str) -> None:
    reply = response.tagged("a", "NO", text)
    assert reply.endswith(b"\r\n")
    assert b"\r" not in reply[:-2]
    assert b"\n" not in reply[:-2]
    assert b"\0" not in reply


@pytest.mark.parametrize(
    ("seconds", "zone", "expected"),
    [
        (0, 0, b'" 1-Jan-1970 00:00:00 +0000"'),
        (1_782_955_800.9, -120, b'" 1-Jul-2026 23:30:00 -0200"'),
        (-1, 330, b'" 1-Jan-1970 05:29:59 +0530"'),
        (10**15, 0, None),
        (-(10**15), 0, None),
    ],
)
def test_internal_dates(seconds: float, zone: int, expected: bytes | None) -> None:
    rendered = response.internal_date(seconds, zone)
    moment, minutes = Arguments(rendered).date_time()
    assert minutes == zone
    if expected is not None:
        assert rendered == expected
        assert moment == int(seconds)


@given(st.integers(-(10**9), 10**11), st.integers(-12 * 60, 14 * 60))
def test_internal_dates_round_trip(seconds: int, zone: int) -> None:
    assert Arguments(response.internal_date(seconds, zone)).date_time() == (seconds, zone)


def test_fetch_lines() -> None:
    line = response.fetch_line(
        3, [(b"UID", b"7"), (b"FLAGS", response.flag_list(("\\Seen",))), (b"BODY[]", b"{2}\r\nhi")]
    )
    assert line == b"* 3 FETCH (UID 7 FLAGS (\\Seen) BODY[] {2}\r\nhi)\r\n"
    assert read_line(b"* 3 FETCH (UID 7 BODY[HEADER] {2}\r\nhi)\r\n") == [
        3,
        "FETCH",
        ["UID", 7, "BODY[HEADER]", b"hi"],
    ]


def test_flags_of_many_messages() -> None:
    """Each form is what fetch_line makes of every message by itself."""
    count = 10_000
    numbers, uids = range(1, count + 1), range(101, count + 101)
    flags = [(), ("\\Seen",), ("\\Seen", "$Junk")]
    chosen = [number % 3 for number in numbers]
    modseqs = [number * 7 for number in numbers]

    def singly(with_uid: bool, with_modseq: bool) -> bytes:
        lines = []
        for number, uid, index, modseq in zip(numbers, uids, chosen, modseqs, strict=True):
            items = [(b"UID", b"%d" % uid)] if with_uid else []
            items.append((b"FLAGS", response.flag_list(flags[index])))
            items += [(b"MODSEQ", b"(%d)" % modseq)] if with_modseq else []
            lines.append(response.fetch_line(number, items))
        return b"".join(lines)

    assert response.flags_lines(numbers, chosen, flags) == singly(False, False)
    assert response.flags_lines(numbers, chosen, flags, uids) == singly(True, False)
    assert response.flags_lines(numbers, chosen, flags, None, modseqs) == singly(False, True)
    assert response.flags_lines(numbers, chosen, flags, uids, modseqs) == singly(True, True)


def test_list_lines() -> None:
    assert response.list_line("INBOX", ("\\HasNoChildren",)) == b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
    assert response.list_line("Entwürfe/a b", (), command="LSUB") == b'* LSUB () "/" "Entw&APw-rfe/a b"\r\n'
    assert response.list_line("", ("\\Noselect",)) == b'* LIST (\\Noselect) "/" ""\r\n'
    assert response.list_line("grün", (), spelling=Spelling(utf8=True)) == '* LIST () "/" "grün"\r\n'.encode()
    assert response.list_line("a", ("\\NonExistent",), child_info=("SUBSCRIBED",)) == (
        b'* LIST (\\NonExistent) "/" a ("CHILDINFO" ("SUBSCRIBED"))\r\n'
    )


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
def test_every_mailbox_name_comes_back(name: str) -> None:
    rendered = response.mailbox(name)
    assert rendered.isascii()
    arguments = Arguments(rendered)
    first = name.partition("/")[0]
    expected = "INBOX" + name[len(first) :] if first.upper() == "INBOX" else name
    assert arguments.mailbox() == expected


def test_status_and_search_lines() -> None:
    assert (
        response.status_line("a b", {"MESSAGES": 1, "UNSEEN": 0})
        == b'* STATUS "a b" (MESSAGES 1 UNSEEN 0)\r\n'
    )
    assert response.search_line([1, 5]) == b"* SEARCH 1 5\r\n"
    assert response.search_line([]) == b"* SEARCH\r\n"
    assert response.search_line([1], modseq=9) == b"* SEARCH 1 (MODSEQ 9)\r\n"
    assert response.search_line([], modseq=9) == b"* SEARCH\r\n"


def test_codes() -> None:
    assert response.appenduid(38505, [3955]) == b"APPENDUID 38505 3955"
    assert response.copyuid(1, [304, 319, 320], [3956, 3957, 3958]) == b"COPYUID 1 304,319:320 3956:3958"
    assert response.copyuid(1, [5, 3], [8, 9]) == b"COPYUID 1 5,3 8:9"
    assert response.modified([7, 9]) == b"MODIFIED 7,9"
    assert response.permanent_flags(("\\Seen",)) == b"PERMANENTFLAGS (\\Seen \\*)"


def test_rendered_lines_are_values() -> None:
    line = response.list_line("x", ("\\Marked",), child_info=("SUBSCRIBED",))
    assert read_value(b"(" + line[line.index(b'"/"') : -2] + b")") == [
        b"/",
        "x",
        [b"CHILDINFO", [b"SUBSCRIBED"]],
    ]
