"""wire/smtp/address.py: RFC 5321 4.1.2 and RFC 6531 3.3, and nothing beyond."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.errors import InvalidInput
from mailplat.wire.smtp.address import (
    MAX_PATH,
    format_mailbox,
    format_path,
    needs_utf8,
    parse_address,
    parse_domain,
    parse_path,
)

ACCEPTED = [
    (b"<a@x.org>", "a", "x.org"),
    (b"<First.Last+tag@EXAMPLE.Org>", "First.Last+tag", "example.org"),
    (b"<!#$%&'*+-/=?^_`{|}~@x.org>", "!#$%&'*+-/=?^_`{|}~", "x.org"),
    (b'<"a b"@x.org>', "a b", "x.org"),
    (b'<"a@b"@x.org>', "a@b", "x.org"),
    (b'<"a\\"\\\\b"@x.org>', 'a"\\b', "x.org"),
    (b'<"plain"@x.org>', "plain", "x.org"),
    (b"<a@localhost>", "a", "localhost"),
    (b"<a@3com.example>", "a", "3com.example"),
    (b"<a@x--y.org>", "a", "x--y.org"),
    (b"<a@[192.0.2.1]>", "a", "[192.0.2.1]"),
    (b"<a@[IPv6:2001:DB8:0:0::1]>", "a", "[IPv6:2001:db8::1]"),
    (b"<a@[ipv6:::1]>", "a", "[IPv6:::1]"),
    (b"<@one.example,@two.example:a@x.org>", "a", "x.org"),
    (b"<@[192.0.2.1]:a@x.org>", "a", "x.org"),
    (b"<a@XN--BCHER-KVA.example>", "a", "xn--bcher-kva.example"),
    # Not decoded: aiosmtpd made x@y.org of it.
    (b"<=?utf-8?q?x?=@y.org>", "=?utf-8?q?x?=", "y.org"),
]

REFUSED = [
    b"",
    b"<",
    b"<>",  # no forward-path
    b">",
    b"a@x.org",
    b"<a@x.org",
    b"a@x.org>",
    b"<a>",
    b"<a@>",
    b"<@x.org>",
    b"<@one.example,two.example:a@x.org>",
    b"<@one.example,:a@x.org>",
    b"<@:a@x.org>",
    b"<.a@x.org>",
    b"<a.@x.org>",
    b"<a..b@x.org>",
    b"<a b@x.org>",
    b"<a@b@x.org>",
    b"< a@x.org>",
    b"<a@x.org >",
    b"<(comment)a@x.org>",
    b"<a(comment)@x.org>",
    b"<a@x.org(comment)>",
    b"<Name <a@x.org>>",
    b"<a@x.org\rRCPT>",
    b"<a@x.org\n>",
    b"<a\0@x.org>",
    b"<a@x\0.org>",
    b'<"a\rb"@x.org>',
    b'<"a\nb"@x.org>',
    b'<"a\0b"@x.org>',
    b'<"a\\\rb"@x.org>',
    b'<"a\x7fb"@x.org>',
    b'<"a@x.org>',
    b'<""@x.org>',
    b'<"a"b@x.org>',
    b'<a"b"@x.org>',
    b"<a@.x.org>",
    b"<a@x.org.>",
    b"<a@x..org>",
    b"<a@-x.org>",
    b"<a@x-.org>",
    b"<a@x_y.org>",
    b"<a@x.org/../y>",
    b"<a@[]>",
    b"<a@[192.0.2]>",
    b"<a@[192.0.2.256]>",
    b"<a@[192.0.2.01]>",
    b"<a@[2001:db8::1]>",
    b"<a@[IPv6:fe80::1%eth0]>",
    b"<a@[IPv6:192.0.2.1]>",
    b"<a@[tag:content]>",
    b"<a@[192.0.2.1>",
    b"<a@x.org>SIZE=3",
    b"<a@x.org>>",
    b"<\xff@x.org>",
    b"<\xc3\xbc@x.org>",
]


@pytest.mark.parametrize(("text", "local", "domain"), ACCEPTED)
def test_accepted(text: bytes, local: str, domain: str) -> None:
    assert parse_path(text, utf8=False, null_ok=False) == (Address(local, domain), b"")
    assert parse_path(text + b" SIZE=1", utf8=True, null_ok=True) == (Address(local, domain), b" SIZE=1")


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_path(text, utf8=False, null_ok=False)


def test_the_null_path_is_for_senders_only() -> None:
    assert parse_path(b"<> SIZE=5", utf8=False, null_ok=True) == (NULL_SENDER, b" SIZE=5")
    with pytest.raises(InvalidInput):
        parse_path(b"<>", utf8=False, null_ok=False)


def test_bare_postmaster_is_for_recipients_only() -> None:
    assert parse_path(b"<PostMaster>", utf8=False, null_ok=False) == (Address("postmaster", ""), b"")
    with pytest.raises(InvalidInput):
        parse_path(b"<postmaster>", utf8=False, null_ok=True)


def test_limits_in_octets() -> None:
    label = "d" * 63
    longest = f"{label}.{label}.{label}"
    parse_path(b"<" + b"l" * 64 + b"@x.org>", utf8=False, null_ok=False)
    with pytest.raises(InvalidInput, match="64"):
        parse_path(b"<" + b"l" * 65 + b"@x.org>", utf8=False, null_ok=False)
    with pytest.raises(InvalidInput, match="64"):  # 33 characters, 66 octets
        parse_path(f"<{'ü' * 33}@x.org>".encode(), utf8=True, null_ok=False)
    with pytest.raises(InvalidInput, match="63"):
        parse_path(f"<a@d{label}.org>".encode(), utf8=False, null_ok=False)
    local = "l" * (MAX_PATH - len(longest) - 3)
    parse_path(f"<{local}@{longest}>".encode(), utf8=False, null_ok=False)
    with pytest.raises(InvalidInput):
        parse_path(f"<l{local}@{longest}>".encode(), utf8=False, null_ok=False)
    route = ",".join(["@hop.example"] * 30)
    with pytest.raises(InvalidInput):
        parse_path(f"<{route}:a@x.org>".encode(), utf8=False, null_ok=False)


def test_utf8_only_where_it_is_allowed() -> None:
    text = "<用户@例え.テスト>".encode()
    assert parse_path(text, utf8=True, null_ok=False)[0] == Address("用户", "xn--r8jz45g.xn--zckzah")
    with pytest.raises(InvalidInput, match="SMTPUTF8"):
        parse_path(text, utf8=False, null_ok=False)
    assert parse_path("<a@BÜCHER.example>".encode(), utf8=True, null_ok=False)[0].domain == (
        "xn--bcher-kva.example"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"<\xc3@x.org>",  # half a character
        b"<\xed\xa0\x80@x.org>",  # a surrogate
        b"<\xc0\xae@x.org>",  # an overlong dot
        "<a\u0085b@x.org>".encode(),  # NEL, a C1 control
        '<"a\u2028b"@x.org>'.encode(),
        "<a@x\u2028.org>".encode(),
        "<a@☃\u0000.org>".encode(),
        "<a@\u200b.org>".encode(),
    ],
)
def test_utf8_that_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_path(text, utf8=True, null_ok=False)


def test_a_huge_path_costs_only_its_window() -> None:
    for text in (b"<" + b"(" * 1_000_000, b"<" + b'"' + b"a" * 1_000_000, b"<a@" + b"x." * 500_000):
        with pytest.raises(InvalidInput):
            parse_path(text, utf8=True, null_ok=True)


def test_what_was_sent_is_not_repeated_in_the_error() -> None:
    for text in REFUSED:
        with pytest.raises(InvalidInput) as caught:
            parse_path(text, utf8=False, null_ok=False)
        assert str(caught.value).isprintable()
        assert "x.org" not in str(caught.value)


@given(st.binary(max_size=300), st.booleans(), st.booleans())
@example(b'<"\\', True, True)
@example("<a@\u0130.org>".encode(), True, False)
def test_only_invalid_input_is_raised(octets: bytes, utf8: bool, null_ok: bool) -> None:
    for text in (octets, b"<" + octets, b"<" + octets + b">", b"<a@" + octets + b">"):
        try:
            address, rest = parse_path(text, utf8=utf8, null_ok=null_ok)
        except InvalidInput:
            continue
        assert text.endswith(rest)
        assert str(address).isprintable() or not str(address).isascii()
        assert not any(ord(character) < 32 or ord(character) == 127 for character in str(address))
        assert address.domain.isascii()


@given(st.text(max_size=80))
def test_addresses_of_people_raise_only_invalid_input(text: str) -> None:
    for candidate in (text, f"{text}@x.org", f"a@{text}"):
        try:
            address = parse_address(candidate)
        except InvalidInput:
            continue
        again = parse_path(format_path(address).encode(), utf8=True, null_ok=False)
        assert again == (address, b"")


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30),
    st.sampled_from(["x.org", "[192.0.2.1]", "xn--bcher-kva.example"]),
)
def test_what_is_formatted_reads_back(local: str, domain: str) -> None:
    address = Address(local, domain)
    assert parse_path(format_path(address).encode(), utf8=False, null_ok=False) == (address, b"")


def test_formatting() -> None:
    assert format_path(NULL_SENDER) == "<>"
    assert format_mailbox(Address("a.b", "x.org")) == "a.b@x.org"
    assert format_mailbox(Address("a b", "x.org")) == '"a b"@x.org'
    assert format_mailbox(Address('a"\\', "x.org")) == '"a\\"\\\\"@x.org'
    assert format_path(Address("postmaster", "")) == "<postmaster>"
    assert needs_utf8(Address("ü", "x.org"))
    assert not needs_utf8(Address("u", "xn--bcher-kva.example"))


def test_domains() -> None:
    assert parse_domain("Example.ORG") == "example.org"
    assert parse_domain("Bücher.Example") == "xn--bcher-kva.example"
    for text in ("", ".", "a..b", "-a", "a_b", "a b", "[192.0.2.1]", "x" * 64, "ü" * 300, "a.\ud800"):
        with pytest.raises(InvalidInput):
            parse_domain(text)
    assert parse_address("a b@x.org".replace(" ", ".")) == Address("a.b", "x.org")
    for text in ("a", "a@", "@x", "a@x.org ", "a@x.org\n", "<a@x.org>", "a\ud800@x.org"):
        with pytest.raises(InvalidInput):
            parse_address(text)
