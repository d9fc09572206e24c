import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.listing import ListProgram, Matcher, parse_list, parse_lsub


def listing(text: bytes) -> ListProgram:
    return parse_list(Arguments(b" " + text))


def test_plain_list() -> None:
    assert listing(b'"" *') == ListProgram("", ("*",))
    assert listing(b'inbox/ "Entw&APw-rfe%"') == ListProgram("INBOX/", ("Entwürfe%",))
    assert listing(b'"" ""').asks_delimiter
    assert not listing(b'"" ("")').asks_delimiter
    assert parse_lsub(Arguments(b' "" *')) == ListProgram("", ("*",), frozenset(("SUBSCRIBED",)))


def test_extended_list() -> None:
    text = b'(SUBSCRIBED recursivematch) "" ("a" b*) RETURN (CHILDREN STATUS (MESSAGES UNSEEN))'
    assert listing(text) == ListProgram(
        "",
        ("a", "b*"),
        frozenset(("SUBSCRIBED", "RECURSIVEMATCH")),
        frozenset(("CHILDREN", "STATUS")),
        ("MESSAGES", "UNSEEN"),
        extended=True,
    )
    assert listing(b'"" % RETURN ()').extended
    assert listing(b'() "" %').extended


@pytest.mark.parametrize(
    "text",
    [
        b"", b'""', b'"" ', b'(FOO) "" *', b'(RECURSIVEMATCH) "" *', b'"" ()', b'"" * RETURN', b'"" * RETURN (FOO)',
        b'"" * FOO', b'"" * RETURN (STATUS)', b'"" * RETURN (STATUS (FOO))', b'"" * *', b'"" "a & b"',
        b'"" ' + b"x" * 1001,
        b'"" (' + b"x " * 200 + b"x)",
    ],
)  # fmt: skip
def test_what_is_no_list(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        listing(text)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "a/b", "INBOX"], []),
        ("%", ["a", "INBOX"], ["a/b"]),
        ("a/%", ["a/b", "a/"], ["a", "a/b/c", "b/a"]),
        ("a*b", ["ab", "a/x/b", "aabb"], ["a", "ba", "abc"]),
        ("%/%", ["a/b"], ["a", "a/b/c"]),
        ("*%*%*", ["", "a/b"], []),
        ("a%b*c", ["abc", "axbyzc", "abx/yc"], ["ax/bc"]),
        ("inbox", ["INBOX"], ["inbox"]),
        ("inb*", ["INBOX"], ["INBOX/a", "other"]),
        ("INBOX*", ["INBOX", "INBOX/a"], ["inbox2"]),
        ("inbox/%", ["INBOX/a"], ["INBOX"]),
        ("Grün.[a-z]%", ["Grün.[a-z]x"], ["Grün.ax"]),
        ("", [""], ["a"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    matcher = Matcher("", [pattern])
    assert [name for name in matching if not matcher.matches(name)] == []
    assert [name for name in others if matcher.matches(name)] == []


def test_reference_and_several_patterns() -> None:
    matcher = Matcher("work/", ["a%", "b"])
    assert [name for name in ("work/ax", "work/b", "work/bx", "ax", "work/a/x") if matcher.matches(name)] == [
        "work/ax",
        "work/b",
    ]


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=10))
def test_patterns_as_regular_expressions(pattern: str, name: str) -> None:
    expression = "".join({"*": ".*", "%": "[^/]*"}.get(character, character) for character in pattern)
    assert Matcher("", [pattern]).matches(name) == bool(re.fullmatch(expression, name))


@pytest.mark.timeout(20)
def test_a_hostile_pattern_takes_one_pass() -> None:
    matcher = Matcher("", ["*a%b" * 249 + "c"])
    assert not matcher.matches("ab" * 500)
    for _ in range(100):
        assert not matcher.matches("a" * 1000)
