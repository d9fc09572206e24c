"""Arguments and replies of ACL (RFC 4314 3, 7)."""

import pytest

from mailplat.core.rights import parse
from mailplat.wire.imap import response
from mailplat.wire.imap.acl import MAX_IDENTIFIER, SetAcl, parse_identified, parse_mailbox, parse_setacl
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.spelling import Spelling


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b" Team bob lrs", SetAcl("Team", "bob", "", parse("lrs"))),
        (b' "Team" "bob" +d', SetAcl("Team", "bob", "+", parse("et"))),
        (b" {4}\r\nTeam {3}\r\nbob {2}\r\n-l", SetAcl("Team", "bob", "-", parse("l"))),
        (b' inbox anyone ""', SetAcl("INBOX", "anyone", "", parse(""))),
        (b" Team bob +", SetAcl("Team", "bob", "+", parse(""))),
        (b" B&APw-ro {4}\r\nb\xc3\xb6b l ", SetAcl("Büro", "böb", "", parse("l"))),
        (
            b" Team {5}\r\nb\xc2\xadob l",
            SetAcl("Team", "bob", "", parse("l")),
        ),  # SASLprep drops the soft hyphen
    ],
)
def test_setacl(octets: bytes, expected: SetAcl) -> None:
    assert parse_setacl(Arguments(octets)) == expected


@pytest.mark.parametrize(
    "octets",
    [
        b"", b" Team", b" Team bob", b" Team bob l l", b" Team bob L", b" Team bob lz", b" Team bob l1",
        b" Team bob ++l", b" Team bob +-l", b" Team bob {2}\r\nl\xff", b' Team "" l', b" Team {1}\r\n\xff l",
        b" Team {3}\r\nb\x07b l", b" Team (bob) l", b" Team  bob l", b" Team " + b"b" * (MAX_IDENTIFIER + 1) + b" l",
    ],
)  # fmt: skip
def test_setacl_that_is_none(octets: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_setacl(Arguments(octets))


def test_the_others() -> None:
    assert parse_identified(Arguments(b" Team {5}\r\nb\xc2\xadob")) == ("Team", "bob", "b\xadob")
    assert parse_mailbox(Arguments(b" Team")) == "Team"
    for octets in (b" Team bob l", b" Team"):
        with pytest.raises(BadSyntax):
            parse_identified(Arguments(octets))
    with pytest.raises(BadSyntax):
        parse_mailbox(Arguments(b" Team bob"))


def test_replies() -> None:
    assert response.acl_line("Team", {"ann@x.test": "lr", "böb@x.test": "l"}) == (
        b"* ACL Team ann@x.test lr {11}\r\nb\xc3\xb6b@x.test l\r\n"
    )
    assert response.acl_line("Büro", {}, spelling=Spelling(utf8=True)) == b'* ACL "B\xc3\xbcro"\r\n'
    assert response.listrights_line("A B", "anyone", "", "lr") == b'* LISTRIGHTS "A B" anyone "" l r\r\n'
    assert response.listrights_line("A", "ann", "lr", ()) == b"* LISTRIGHTS A ann lr\r\n"
    assert response.myrights_line("Team", "lr") == b"* MYRIGHTS Team lr\r\n"
