"""Every message, however odd, is rendered, and every rendering follows the grammar of IMAP."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.wire.mime import Part, Rendering, render, scan
from tests.wire.imap.replies import check_body, check_envelope, read_value
from tests.wire.mime.samples import corpus, vectors


def check(rendering: Rendering) -> None:
    check_envelope(read_value(rendering.envelope))
    check_body(read_value(rendering.body), extensible=False)
    check_body(read_value(rendering.bodystructure), extensible=True)
    for text in (rendering.subject, rendering.from_, rendering.to, rendering.cc, rendering.bcc):
        assert len(text) <= 1000


def check_offsets(part: Part, low: int, high: int) -> None:
    """Parts lie inside their parent, one behind the other."""
    assert low <= part.start <= part.body <= part.end <= high
    assert part.lines >= 0
    at = part.body
    for child in part.children:
        check_offsets(child, at, part.end)
        at = child.end


def test_real_mail() -> None:
    messages = corpus()
    assert len(messages) == 4030
    for octets in messages:
        check(render(octets))
        check_offsets(scan(octets), 0, len(octets))


def test_odd_mail_of_other_projects() -> None:
    count = 0
    for _, octets in vectors():
        check(render(octets))
        check_offsets(scan(octets), 0, len(octets))
        count += 1
    assert count > 600


def test_whole_rendering() -> None:
    octets = (
        b"Date: Wed, 1 Jul 2026 23:30:00 -0200\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        b'From: "Doe, Jane" <jane@example.org>\r\n'
        b"To: a@example.org,\r\n b@example.org\r\n"
        b"Message-ID: <1@example.org>\r\n"
        b"\r\n"
        b"one\r\ntwo\r\n"
    )
    rendering = render(octets)
    assert rendering == Rendering(
        envelope=(
            b'("Wed, 1 Jul 2026 23:30:00 -0200" "=?utf-8?q?Gr=C3=BC=C3=9Fe?=" '
            b'(("Doe, Jane" NIL "jane" "example.org")) (("Doe, Jane" NIL "jane" "example.org")) '
            b'(("Doe, Jane" NIL "jane" "example.org")) '
            b'((NIL NIL "a" "example.org")(NIL NIL "b" "example.org")) NIL NIL NIL "<1@example.org>")'
        ),
        body=b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2)',
        bodystructure=b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2 NIL NIL NIL NIL)',
        header_size=len(octets) - 10,
        subject="Grüße",
        from_='"Doe, Jane" <jane@example.org>',
        to="a@example.org, b@example.org",
        cc="",
        bcc="",
        message_id="<1@example.org>",
        sent=1_782_955_800,
        sent_day=date(2026, 7, 1).toordinal(),
        preview="one two",
        email_id="Mfhglerau3jrnxk2aucimqfh4oj3pkk6e",
    )


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\r\n",
        b"\n\n\n",
        b"no header at all",
        b"From me@example.org Thu Jan  1 00:00:00 1970\r\nSubject: mbox\r\n\r\nbody",
        b"Subject: \xff\xfe\x00\r\n\r\n\x00\x00",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a--",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\r\nx\r\n----",
        b"Content-Type: message/rfc822\r\n\r\n",
        b'Content-Type: "/"; "="; =;;\r\n\r\n',
        b"From: <<<@>>>,;:;:,\r\n\r\n",
        b"Content-Language: ,,,\r\nContent-Disposition: ;\r\n\r\n",
    ],
)
def test_degenerate_messages(octets: bytes) -> None:
    check(render(octets))
    check_offsets(scan(octets), 0, len(octets))


def test_mbox_line_does_not_hide_the_header() -> None:
    octets = b"From me@example.org Thu Jan  1 00:00:00 1970\r\nSubject: mbox\r\n\r\nbody"
    assert render(octets).subject == "mbox"


# Pieces that mean something to the scanner, so that random mail is mail.
PIECES = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"--a", b"--a--", b"--b", b" ", b"\t", b"(", b")", b'"', b"\\", b"<",
        b">", b"@", b",", b";", b":", b"=", b"\0", b"\xff", b"=?utf-8?b?w7w=?=", b"=?x?q?=", b"text", b"/",
        b"Content-Type: multipart/mixed; boundary=a\r\n", b"Content-Type: multipart/digest; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n", b"From: ", b"To: group: a@b, c;\r\n", b"Date: ", b"1 Jul 2026 1:2:3 +1",
        b"Content-Disposition: attachment; filename=", b"Content-Transfer-Encoding: base64\r\n",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=60).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_any_octets(octets: bytes) -> None:
    check(render(octets))
    check_offsets(scan(octets), 0, len(octets))
