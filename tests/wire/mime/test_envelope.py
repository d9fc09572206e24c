from mailplat.wire.mime import render_envelope, scan
from mailplat.wire.mime.addresses import MAX_ADDRESSES
from mailplat.wire.mime.envelope import MAX_STRING
from tests.wire.imap.replies import check_envelope, read_value

DATE, SUBJECT, FROM, SENDER, REPLY_TO, TO, CC, BCC, IN_REPLY_TO, MESSAGE_ID = range(10)


def envelope(header: bytes) -> list[object]:
    value = read_value(render_envelope(scan(header + b"\r\n\r\nbody")))
    check_envelope(value)
    return list(value)


def test_nothing_there() -> None:
    assert envelope(b"X: y") == [None] * 10


def test_sender_and_reply_to_default_to_from() -> None:
    """RFC 3501 7.4.2, and empty ones count as absent."""
    value = envelope(b"From: a@x\r\nSender: \r\nReply-To: b@y")
    assert value[SENDER] == value[FROM] == [[None, None, b"a", b"x"]]
    assert value[REPLY_TO] == [[None, None, b"b", b"y"]]


def test_empty_field_is_an_empty_string_and_an_absent_one_nil() -> None:
    value = envelope(b"Subject:\r\nDate: ")
    assert (value[SUBJECT], value[DATE], value[MESSAGE_ID]) == (b"", b"", None)


def test_folded_and_repeated_fields() -> None:
    value = envelope(b"To: a@x,\r\n\tb@y\r\nSubject: one\r\n two\r\nTO : c@z\r\nsubject: second")
    assert value[TO] == [
        [None, None, name, host] for name, host in ((b"a", b"x"), (b"b", b"y"), (b"c", b"z"))
    ]
    assert value[SUBJECT] == b"one two"


def test_octets_that_no_quoted_string_may_hold_go_as_literals() -> None:
    rendered = render_envelope(scan(b'Subject: gr\xfc\xdfe\r\nFrom: "a\rb" <x@y>\r\n\r\n'))
    assert b"{5}\r\ngr\xfc\xdfe" in rendered
    assert b"{3}\r\na\rb" in rendered


def test_nul_is_left_out() -> None:
    assert envelope(b"Subject: a\0b")[SUBJECT] == b"ab"


def test_quotes_and_backslashes_are_escaped() -> None:
    assert b'"say \\"hi\\" \\\\"' in render_envelope(scan(b'Subject: say "hi" \\\r\n\r\n'))


def test_size_is_bounded() -> None:
    subject = envelope(b"Subject: " + b"a" * 1_000_000)[SUBJECT]
    assert subject == b"a" * MAX_STRING
    many = envelope(b"To: " + b",".join(b"u%d@x" % number for number in range(60_000)))[TO]
    assert isinstance(many, list)
    assert len(many) == MAX_ADDRESSES
