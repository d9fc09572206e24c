import pytest

from mailplat.wire.mime.addresses import MAX_ADDRESSES, MailAddress, parse


def address(name: bytes | None, mailbox: bytes, host: bytes) -> MailAddress:
    return MailAddress(name, None, mailbox, host)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"joe@example.org", [address(None, b"joe", b"example.org")]),
        (b"Joe Q <joe@example.org>", [address(b"Joe Q", b"joe", b"example.org")]),
        (b'"Doe, Joe" <joe@example.org>', [address(b"Doe, Joe", b"joe", b"example.org")]),
        (b'"a \\"b\\" c" <joe@example.org>', [address(b'a "b" c', b"joe", b"example.org")]),
        (b"joe@example.org (Joe Doe)", [address(b"Joe Doe", b"joe", b"example.org")]),
        (b"joe@example.org (Joe (the) Doe)", [address(b"Joe (the) Doe", b"joe", b"example.org")]),
        (b"John Q. Public <j@x>", [address(b"John Q. Public", b"j", b"x")]),
        (
            b"=?utf-8?q?J=C3=BC?= =?utf-8?q?rg?= <j@x>",
            [address(b"=?utf-8?q?J=C3=BC?= =?utf-8?q?rg?=", b"j", b"x")],
        ),
        (b'"joe doe"@example.org', [address(None, b"joe doe", b"example.org")]),
        (b"joe . doe @ example . org", [address(None, b"joe.doe", b"example.org")]),
        (b"joe@[192.0.2.1]", [address(None, b"joe", b"[192.0.2.1]")]),
        (
            b"<@a.example,@b.example:joe@c.example>",
            [MailAddress(None, b"@a.example,@b.example", b"joe", b"c.example")],
        ),
        (b"root", [address(None, b"root", b"")]),
        (
            b"a@x, b@y ,,c@z,",
            [address(None, b"a", b"x"), address(None, b"b", b"y"), address(None, b"c", b"z")],
        ),
        (b"", []),
        (b" , ", []),
        (b"<>", []),
    ],
)
def test_addresses(value: bytes, expected: list[MailAddress]) -> None:
    assert parse(value) == expected


def test_groups() -> None:
    """RFC 3501 7.4.2: host NIL, the name in the mailbox's place; then both NIL."""
    assert parse(b"The group: a@x, B <b@y>; c@z") == [
        MailAddress(None, None, b"The group", None),
        address(None, b"a", b"x"),
        address(b"B", b"b", b"y"),
        MailAddress(None, None, None, None),
        address(None, b"c", b"z"),
    ]
    undisclosed = [
        MailAddress(None, None, b"undisclosed-recipients", None),
        MailAddress(None, None, None, None),
    ]
    assert parse(b"undisclosed-recipients:;") == undisclosed
    assert parse(b"undisclosed-recipients:") == undisclosed


def test_a_header_of_many_addresses_is_cut() -> None:
    found = parse(b", ".join(b"user%d@example.org" % number for number in range(60_000)))
    assert len(found) == MAX_ADDRESSES
    assert found[-1].mailbox == b"user%d" % (MAX_ADDRESSES - 1)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "value",
    [b"(" * 1_000_000, b'"' * 1_000_001, b"<" * 1_000_000, b"\\" * 1_000_000, b" " * 1_000_000, b"a " * 500_000,
     b"[" * 1_000_000, b"@" * 1_000_000, b"a:" * 500_000, b'"a\\' * 300_000, b"()" * 500_000],
)  # fmt: skip
def test_hostile_fields_end(value: bytes) -> None:
    assert len(parse(value)) <= MAX_ADDRESSES + 1
