import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.filtering.mailauth.author import MAX_DOMAINS, Author, find_author
from tests.filtering.mail import header


def author(value: bytes) -> Author:
    return find_author(header(b"From: " + value + b"\r\n\r\n"))


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (b"a@b.example", "b.example"),
        (b"<a@b.example>", "b.example"),
        (b"Joe <a@B.Example>", "b.example"),
        (b'"Joe, Inc." <a@b.example>', "b.example"),
        (b"Joe, Inc. <a@b.example>", "b.example"),
        (b'"x@bank.example" <a@b.example>', "b.example"),
        (b"x@bank.example via list <a@b.example>", "b.example"),
        (b"Joe (at a@bank.example) <a@b.example>", "b.example"),
        (b"a@b.example (Joe (nested) \\) x)", "b.example"),
        (b"=?utf-8?q?a=40bank=2Eexample?= <a@b.example>", "b.example"),
        (b"J\xc3\xb6rg <j@m\xc3\xbcnchen.example>", "xn--mnchen-3ya.example"),
        (b"J\xf6rg <j@b.example>", "b.example"),
        (b'<"x@bank.example"@b.example>', "b.example"),
        (b"<@relay.example,@two.example:a@b.example>", "b.example"),
        (b"a@b.example, c@b.example", "b.example"),
        (b"Group: a@b.example, c@b.example;", "b.example"),
        (b"a@b.example.", "b.example"),
        (b"Joe\r\n <a@b.example>", "b.example"),
        (b"<@relay.example:a@b.example>", "b.example"),
    ],
)
def test_sound_fields_name_one_domain(value: bytes, domain: str) -> None:
    assert author(value) == Author((domain,), True)


@pytest.mark.parametrize(
    ("value", "domains"),
    [
        (b"a@b.example, c@bank.example", {"b.example", "bank.example"}),
        (b"<a@b.example> <c@bank.example>", {"b.example", "bank.example"}),
        (b"<<a@bank.example>@b.example>", {"b.example", "bank.example"}),
        (b"<a@bank.example> c@b.example", {"b.example", "bank.example"}),
        (b"a@bank.example <c@b.example", {"b.example", "bank.example"}),
        (b"a@bank.example c@b.example", {"b.example", "bank.example"}),
        (b'"a@bank.example <c@b.example>', {"b.example", "bank.example"}),
        (b"(a@bank.example <c@b.example>", {"b.example", "bank.example"}),
        (b"a@bank.example) <c@b.example>", {"b.example", "bank.example"}),
        (b"<a@bank.example\0.b.example>", {"b.example", "bank.example"}),
        (b"a@bank.example\0@b.example", {"b.example", "bank.example"}),
        (b"<a@bank.example\x01>", {"bank.example"}),
        (b"<a@bank.example\\.b.example>", {"b.example", "bank.example"}),
        (b'<a@b.example"@bank.example>', {"b.example", "bank.example"}),
    ],
)
def test_fields_with_several_readings_name_each(value: bytes, domains: set[str]) -> None:
    found = author(value)
    assert not found.sound
    assert found.reason
    assert set(found.domains) >= domains


@pytest.mark.parametrize(
    "value", [b"", b"<>", b"Joe", b"undisclosed-recipients:;", b"a@[192.0.2.1]", b"a@localhost", b"@"]
)
def test_fields_without_an_author_domain(value: bytes) -> None:
    found = author(value)
    assert found.domains == ()
    assert not found.sound


def test_the_number_of_fields() -> None:
    assert find_author(header(b"To: x\r\n\r\n")) == Author((), False, "no From field")
    two = find_author(header(b"From: a@b.example\r\nFROM : a@bank.example\r\n\r\n"))
    assert two == Author(("b.example", "bank.example"), False, "more than one From field")
    twice = find_author(header(b"From: a@b.example\r\nFrom: c@b.example\r\n\r\n"))
    assert twice == Author(("b.example",), False, "more than one From field")


def test_the_number_of_domains_is_bounded() -> None:
    found = author(b", ".join(b"a@d%d.example" % number for number in range(5000)))
    assert len(found.domains) == MAX_DOMAINS
    assert not found.sound


@given(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"@",
                b"b.example",
                b"<",
                b">",
                b"(",
                b")",
                b'"',
                b"\\",
                b",",
                b":",
                b";",
                b" ",
                b"\0",
                b"\xff",
            ]
        ),
        max_size=25,
    )
)
def test_any_field_is_read_and_a_sound_one_has_one_domain(pieces: list[bytes]) -> None:
    found = author(b"".join(pieces))
    assert found.sound == (not found.reason)
    if found.sound:
        assert len(found.domains) == 1
