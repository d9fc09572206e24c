import pytest

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.sequence import SequenceSet
from mailplat.wire.imap.storing import (
    AppendProgram,
    SelectProgram,
    StoreProgram,
    parse_append,
    parse_copy,
    parse_replace,
    parse_select,
    parse_status,
    parse_store,
)

ONE = SequenceSet(((1, 1),))


def arguments(text: bytes) -> Arguments:
    return Arguments(b" " + text)


def test_store() -> None:
    assert parse_store(arguments(b"1 FLAGS (\\seen)")) == StoreProgram(ONE, "set", ("\\Seen",), False, None)
    assert parse_store(arguments(b"1 +flags.silent a b")) == StoreProgram(ONE, "add", ("a", "b"), True, None)
    assert parse_store(arguments(b"1 (UNCHANGEDSINCE 0) -FLAGS ()")) == StoreProgram(
        ONE, "remove", (), False, 0
    )
    for text in (b"1", b"1 FLAGS", b"1 *FLAGS x", b"1 FLAGS.LOUD x", b"1 () FLAGS x", b"1 (UNCHANGEDSINCE) FLAGS x",
                 b"1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 2) FLAGS x", b"1 FLAGS (a) b", b"1 FLAGS (\\Foo)"):  # fmt: skip
        with pytest.raises(BadSyntax):
            parse_store(arguments(text))


def test_append() -> None:
    assert parse_append(arguments(b"box")) == AppendProgram("box", (), None, 0)
    text = b'box (\\Flagged x) " 1-Jan-1970 02:00:00 +0200"'
    assert parse_append(arguments(text)) == AppendProgram("box", ("\\Flagged", "x"), 0, 120)
    assert parse_append(arguments(b'box " 1-Jan-1970 00:00:00 +0000"')).internaldate == 0
    assert parse_append(Arguments(b" (\\Seen)"), first=False) == AppendProgram("", ("\\Seen",), None, 0)
    assert parse_append(Arguments(b""), first=False) == AppendProgram("", (), None, 0)
    for text in (
        b"",
        b"box x",
        b'box "yesterday"',
        b"box (\\Seen",
        b'box " 1-Jan-1970 00:00:00 +0000" (\\Seen)',
    ):
        with pytest.raises(BadSyntax):
            parse_append(arguments(text))


def test_select() -> None:
    assert parse_select(arguments(b"inbox")) == SelectProgram("INBOX", False)
    assert parse_select(arguments(b"a (CONDSTORE)")) == SelectProgram("a", True)
    for text in (b"", b"a b", b"a ()", b"a (QRESYNC (1))", b"a (CONDSTORE"):
        with pytest.raises(BadSyntax):
            parse_select(arguments(text))


def test_status() -> None:
    text = b"inbox (messages UIDNEXT MESSAGES HIGHESTMODSEQ)"
    assert parse_status(arguments(text)) == ("INBOX", ("MESSAGES", "UIDNEXT", "HIGHESTMODSEQ"))
    for text in (b"a", b"a ()", b"a (FOO)", b"a MESSAGES", b"a (MESSAGES) x"):
        with pytest.raises(BadSyntax):
            parse_status(arguments(text))


def test_copy() -> None:
    assert parse_copy(arguments(b'1 "a b"')) == (ONE, "a b")
    for text in (b"1", b"x y", b"1 a b", b"1 "):
        with pytest.raises(BadSyntax):
            parse_copy(arguments(text))


def test_replace() -> None:
    numbers, program = parse_replace(arguments(b"4 Drafts (\\Seen)"))
    assert numbers == SequenceSet(((4, 4),))
    assert program == AppendProgram("Drafts", ("\\Seen",), None, 0)
    for text in (b"", b"4", b"1:2 a", b"1,2 a", b"$ a", b"0 a"):
        with pytest.raises(BadSyntax):
            parse_replace(arguments(text))
