from typing import Any

import pytest

from mailplat.wire.mime import render_bodystructure, scan
from tests.wire.imap.replies import check_body, read_value


def structure(octets: bytes, extensible: bool = True) -> Any:
    value = read_value(render_bodystructure(scan(octets), extensible))
    check_body(value, extensible=extensible)
    return value


def test_every_field() -> None:
    octets = (
        b'Content-Type: TEXT/Html; CharSet="utf-8"; Format=flowed\r\n'
        b"Content-Transfer-Encoding: BASE64 (comment)\r\n"
        b"Content-ID: <id@x>\r\nContent-Description: what it is\r\nContent-MD5: Q2hlY2s=\r\n"
        b"Content-Disposition: ATTACHMENT; filename*0*=utf-8''%c3%bc; filename*1=b.html\r\n"
        b"Content-Language: en, de-AT\r\nContent-Location: http://x/y\r\n\r\nab\r\ncd\r\n"
    )
    basic = [
        b"text",
        b"html",
        [b"charset", b"utf-8", b"format", b"flowed"],
        b"<id@x>",
        b"what it is",
        b"BASE64",
        8,
        2,
    ]
    assert structure(octets, extensible=False) == basic
    assert structure(octets) == [
        *basic,
        b"Q2hlY2s=",
        [b"attachment", [b"filename*", b"utf-8''%c3%bcb.html"]],
        [b"en", b"de-AT"],
        b"http://x/y",
    ]


def test_multipart() -> None:
    octets = (
        b"Content-Type: multipart/alternative; boundary=x\r\n\r\n"
        b"--x\r\n\r\na\r\n--x\r\nContent-Type: image/png\r\n\r\nb\r\n--x--\r\n"
    )
    text = [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 1, 0]
    image = [b"image", b"png", None, None, None, b"7bit", 1]
    assert structure(octets, extensible=False) == [text, image, b"alternative"]
    assert structure(octets) == [
        [*text, None, None, None, None],
        [*image, None, None, None, None],
        b"alternative",
        [b"boundary", b"x"],
        None,
        None,
        None,
    ]


def test_message_in_a_message() -> None:
    octets = b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\na\r\nb\r\n"
    value = structure(octets, extensible=False)
    assert value[:7] == [b"message", b"rfc822", None, None, None, b"7bit", 24]
    assert value[7][1] == b"inner"
    assert value[8] == [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 6, 2]
    assert value[9] == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/plain; charset=us-ascii (Plain text)", [b"charset", b"us-ascii"]),  # RFC 2045 5.1
        (b"text/plain (a (nested) comment); charset=a", [b"charset", b"a"]),
        (b'text/plain; charset=a; name="a;b\\"c"', [b"charset", b"a", b"name", b'a;b"c']),
        (b"text/plain; charset=a; name=My File.txt", [b"charset", b"a", b"name", b"My File.txt"]),
        (b'text/plain; charset=a; name="unfinished', [b"charset", b"a", b"name", b"unfinished"]),
        (b'text/plain; charset=a;;; name = "x" ;', [b"charset", b"a", b"name", b"x"]),
        (b"text/plain; charset=a; nonsense; =y; name=x", [b"charset", b"a", b"name", b"x"]),
        (b'text/plain; charset=a; name="gr\xfcn"', [b"charset", b"a", b"name", b"gr\xfcn"]),
        (b'text/plain; charset=a; name="(not a comment)"', [b"charset", b"a", b"name", b"(not a comment)"]),
    ],
)
def test_parameters(value: bytes, expected: list[bytes]) -> None:
    assert structure(b"Content-Type: " + value + b"\r\n\r\n")[2] == expected


def test_number_of_parameters_is_bounded() -> None:
    header = b"Content-Type: text/plain; charset=x" + b"".join(
        b"; p%d=v" % number for number in range(10_000)
    )
    assert len(structure(header + b"\r\n\r\n")[2]) == 400


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "value",
    [b";" * 1_000_000, b"; " * 500_000, b";a" * 500_000, b";a=" * 300_000, b';a="' * 250_000, b"(" * 1_000_000,
     b'"' * 1_000_001, b";a=\"\\" * 200_000, b" " * 1_000_000 + b"=", b")" * 1_000_000, b"()" * 500_000],
)  # fmt: skip
def test_hostile_values_end(value: bytes) -> None:
    for name in (b"Content-Type: text/plain", b"Content-Disposition: inline", b"Content-Language: "):
        assert structure(name + value + b"\r\n\r\n")[0] == b"text"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"a*0=one; a*1=two; a*2=three", [b"a", b"onetwothree"]),
        # RFC 2231 4.1
        (
            b"title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20;"
            b' title*2="isn\'t it!"',
            [b"title*", b"us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!"],
        ),
        (b"a*1=two; b=x; a*0=one", [b"a", b"onetwo", b"b", b"x"]),
        (b"a*0=one; a*2=three", [b"a", b"one", b"a*2", b"three"]),
        (b"a*1=two", [b"a*1", b"two"]),
        (b"a*=utf-8''%e4", [b"a*", b"utf-8''%e4"]),
        (b"a*0=one; a*0=other; a*00=zero", [b"a", b"one", b"a*00", b"zero"]),
        (b"*0=x; a*0x=y", [b"*0", b"x", b"a*0x", b"y"]),
    ],
)
def test_parameters_in_pieces_are_shown_as_one(sent: bytes, shown: list[bytes]) -> None:
    """RFC 2231 6."""
    structure = render_bodystructure(scan(b"Content-Type: a/b; " + sent + b"\r\n\r\n"), extensible=False)
    assert read_value(structure)[2] == shown


def test_a_boundary_in_pieces() -> None:
    octets = (
        b"Content-Type: multipart/mixed; boundary*0=ab; boundary*1=cd\r\n\r\n--abcd\r\n\r\nx\r\n--abcd--\r\n"
    )
    assert [octets[part.body : part.end] for part in scan(octets).children] == [b"x"]
