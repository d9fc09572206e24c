"""Normal forms: what two servers may write differently is the same, what a client would see is not."""

import pytest

from migration.errors import Misbehaviour
from migration.rehearsal import answers, judgement
from migration.rehearsal.judgement import Notice
from migration.rehearsal.structure import Structure
from migration.sources.replies import Response


def lines(*texts: bytes) -> list[Response]:
    return [[text] for text in texts]


def test_order_case_and_what_belongs_to_a_session() -> None:
    read = answers.listing(b"LIST")
    one = read(lines(b'* LIST (\\HasNoChildren \\Marked) "/" INBOX', b'* LIST (\\Sent) "/" "Sent"'))
    other = read([[b'* LIST (\\sent) "/" {4}', b"Sent", b""], [b'* LIST (\\HASNOCHILDREN) "/" "inbox"']])
    assert one == other
    flags = answers.fetched(answers.flags)
    assert flags(lines(b"* 1 FETCH (UID 7 FLAGS (\\Seen $Work \\Recent))")) == flags(
        lines(b"* 9 FETCH (FLAGS ($Work \\SEEN) UID 7)")
    )
    assert flags(lines(b"* 1 FETCH (FLAGS (\\Seen))")) == {}  # news, and no answer
    assert answers.found_uids(b"SEARCH")(lines(b"* SEARCH 3 1 2")) == answers.found_uids(b"SEARCH")(
        lines(b"* SEARCH 1 2", b"* SEARCH 3")
    )
    assert answers.capability(lines(b"* CAPABILITY IMAP4rev1 Idle")) == answers.capability(
        lines(b"* CAPABILITY IDLE IMAP4REV1")
    )


def test_sections_quoted_and_as_literals() -> None:
    read = answers.fetched(answers.octets)
    literal: Response = [b"* 1 FETCH (UID 7 BODY[TEXT]<0> {4}", b"a\r\nb", b")"]
    fields: Response = [b'* 1 FETCH (UID 7 BODY[HEADER.FIELDS ("FROM" "TO")]<0> {4}', b"a\r\nb", b")"]
    assert read([literal]) == read([fields]) == {"7": b"a\r\nb"}
    assert read(lines(b'* 1 FETCH (BODY[1] "x y" UID 7)')) == {"7": b"x y"}
    assert read(lines(b"* 1 FETCH (UID 7 BODY[1] NIL)")) == read(lines(b'* 1 FETCH (UID 7 BODY[1] "")'))


def test_threads_in_any_order_of_the_roots() -> None:
    assert answers.threads(lines(b"* THREAD (1 2 (3)(4 5))(6)")) == {"1": "(1 2 (3)(4 5))", "6": "(6)"}
    assert answers.threads(lines(b"* THREAD (6)(1 2 (3)(4 5))")) == answers.threads(
        lines(b"* THREAD (1 2 (3)(4 5))(6)")
    )
    assert answers.threads(lines(b"* THREAD ((3)(5))")) == {"3": "((3)(5))"}
    assert answers.threads(lines(b"* THREAD")) == {}


def structure(text: bytes) -> Structure:
    (found,) = answers.fetched(answers.structure)(
        lines(b"* 1 FETCH (UID 7 BODYSTRUCTURE %b)" % text)
    ).values()
    assert isinstance(found, Structure)
    return found


PLAIN = b'("text" "plain" ("charset" "utf-8" "format" "flowed") NIL NIL "7bit" 12 1 NIL NIL NIL NIL)'


@pytest.mark.parametrize(
    ("other", "notice"),
    [
        (b'("TEXT" "PLAIN" ("FORMAT" "flowed" "CHARSET" "utf-8") NIL NIL "7BIT" 12 1)', None),
        (b'("text" "plain" ("charset" "utf-8" "format" "flowed") NIL NIL "7bit" 13 1)', Notice.PERHAPS),
        (b'("text" "plain" ("charset" "latin1") NIL NIL "7bit" 12 1)', Notice.PERHAPS),
        (b'("text" "html" ("charset" "utf-8" "format" "flowed") NIL NIL "7bit" 12 1)', Notice.YES),
        (b'(%b%b "mixed")' % (PLAIN, PLAIN), Notice.YES),
    ],
)
def test_structures_in_three_degrees(other: bytes, notice: Notice | None) -> None:
    one, two = structure(PLAIN), structure(other)
    assert (one == two) is (notice is None)
    if notice is not None:
        assert judgement.structure("7", one, two)[0] is notice


def test_multiparts_and_messages_within() -> None:
    inner = (
        b'("message" "rfc822" NIL NIL NIL "7bit" 40 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) %b 3)' % PLAIN
    )
    whole = b'(%b%b "mixed" ("boundary" "b") NIL NIL NIL)' % (PLAIN, inner)
    short = b'(%b%b "MIXED" ("BOUNDARY" "b"))' % (PLAIN, inner)
    assert structure(whole) == structure(short)
    assert structure(whole).shape == (
        "multipart/mixed",
        ["text/plain", ("message/rfc822", "text/plain")],
    )
    deep = b"(" * 300 + PLAIN + b' "mixed")' * 300
    with pytest.raises(Misbehaviour):
        structure(deep)


@pytest.mark.parametrize(
    ("there", "here", "notice"),
    [
        ({"subject": b"a b"}, {"subject": b"a  b"}, Notice.NO),
        ({"subject": b"NIL"}, {"subject": b""}, Notice.NO),
        ({"subject": b"a"}, {"subject": b"b"}, Notice.YES),
        ({"from": [[b"NIL", b"NIL", b"a", b"x.test"]]}, {"from": b"NIL"}, Notice.YES),
        ({"message-id": b"<a@x>"}, {"message-id": b"NIL"}, Notice.PERHAPS),
        (None, {"subject": b"b"}, Notice.YES),
    ],
)
def test_envelopes(there: object, here: object, notice: Notice) -> None:
    assert judgement.envelope("7", there, here)[0] is notice


@pytest.mark.parametrize(
    ("key", "there", "here", "notice"),
    [
        ("UIDNEXT", 5, 6, Notice.NO),
        ("UIDNEXT", 6, 5, Notice.YES),
        ("HIGHESTMODSEQ", 9, 8, Notice.YES),
        ("HIGHESTMODSEQ", None, 8, Notice.NO),
        ("UIDVALIDITY", 1, 2, Notice.YES),
        ("MESSAGES", 1, 2, Notice.YES),
        ("UNSEEN", 1, None, Notice.NO),
        ("UNSEEN", 1, 2, Notice.YES),
    ],
)
def test_numbers(key: str, there: object, here: object, notice: Notice) -> None:
    assert judgement.numbers(key, there, here)[0] is notice


def test_dates() -> None:
    read = answers.fetched(answers.instant)
    (one,) = read(lines(b'* 1 FETCH (UID 7 INTERNALDATE " 1-Jul-2003 10:52:37 +0200")')).values()
    (two,) = read(lines(b'* 1 FETCH (UID 7 INTERNALDATE "01-Jul-2003 08:52:37 +0000")')).values()
    assert judgement.instant("7", one, two)[0] is Notice.NO
    (later,) = read(lines(b'* 1 FETCH (UID 7 INTERNALDATE "01-Jul-2003 08:52:38 +0000")')).values()
    assert judgement.instant("7", one, later)[0] is Notice.YES


def test_the_order_of_a_sorted_list() -> None:
    assert judgement.order("order", [1, 2], [2, 1])[0] is Notice.PERHAPS
    assert judgement.order("order", [1, 2], [1])[0] is Notice.YES
