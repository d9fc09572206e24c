import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.fetch import FetchProgram, Form, Item, Section, Text, parse_fetch
from mailplat.wire.imap.sequence import SequenceSet


def fetch(text: bytes) -> FetchProgram:
    return parse_fetch(Arguments(b" " + text))


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (b"FLAGS", (Item.FLAGS,)),
        (b"(uid flags UID)", (Item.UID, Item.FLAGS)),
        (b"FAST", (Item.FLAGS, Item.INTERNALDATE, Item.SIZE)),
        (b"all", (Item.FLAGS, Item.INTERNALDATE, Item.SIZE, Item.ENVELOPE)),
        (b"FULL", (Item.FLAGS, Item.INTERNALDATE, Item.SIZE, Item.ENVELOPE, Item.BODY)),
        (b"(BODY BODYSTRUCTURE MODSEQ)", (Item.BODY, Item.BODYSTRUCTURE, Item.MODSEQ)),
        (b"BODY[]", (Section((), Text.ALL, label=b"BODY[]"),)),
        (b"body.peek[header]", (Section((), Text.HEADER, peek=True, label=b"BODY[HEADER]"),)),
        (b"BODY[1.2.mime]", (Section((1, 2), Text.MIME, label=b"BODY[1.2.MIME]"),)),
        (b"BODY[1]<5.10>", (Section((1,), Text.ALL, offset=5, length=10, label=b"BODY[1]<5>"),)),
        (
            b'BODY[HEADER.FIELDS (From "To" {2+}\r\ncc)]',
            (Section((), Text.FIELDS, (b"From", b"To", b"cc"), label=b"BODY[HEADER.FIELDS (From To cc)]"),),
        ),
        (
            b"BODY[3.HEADER.FIELDS.NOT (X)]",
            (Section((3,), Text.FIELDS_NOT, (b"X",), label=b"BODY[3.HEADER.FIELDS.NOT (X)]"),),
        ),
        (b"RFC822", (Section((), Text.ALL, label=b"RFC822"),)),
        (b"RFC822.HEADER", (Section((), Text.HEADER, peek=True, label=b"RFC822.HEADER"),)),
        (
            b"(binary[1.2] BINARY.PEEK[]<0.9> BINARY.size[3])",
            (
                Section((1, 2), Text.ALL, label=b"BINARY[1.2]", form=Form.DECODED),
                Section((), Text.ALL, (), 0, 9, True, b"BINARY[]<0>", Form.DECODED),
                Section((3,), Text.ALL, peek=True, label=b"BINARY.SIZE[3]", form=Form.DECODED_SIZE),
            ),
        ),
        (b"(emailid threadid savedate preview)", (Item.EMAILID, Item.THREADID, Item.SAVEDATE, Item.PREVIEW)),
        (b"(RFC822.SIZE RFC822.TEXT)", (Item.SIZE, Section((), Text.TEXT, label=b"RFC822.TEXT"))),
    ],
)
def test_items(text: bytes, items: tuple[Item | Section, ...]) -> None:
    assert fetch(b"1:* " + text) == FetchProgram(SequenceSet(((1, 0),)), items)


def test_seen_is_set_by_what_is_read() -> None:
    assert fetch(b"1 RFC822").sets_seen
    assert fetch(b"1 (FLAGS BODY[1])").sets_seen
    assert not fetch(b"1 (FLAGS BODY.PEEK[1] RFC822.HEADER BODY ENVELOPE)").sets_seen


def test_lazy_belongs_to_preview() -> None:
    """RFC 8970 3.1; what stands behind may be a modifier of the command."""
    assert fetch(b"1 PREVIEW (LAZY)").lazy
    assert fetch(b"1 (UID PREVIEW (lazy) FLAGS)").items == (Item.UID, Item.PREVIEW, Item.FLAGS)
    assert not fetch(b"1 (PREVIEW)").lazy
    program = fetch(b"1 PREVIEW (CHANGEDSINCE 5)")
    assert (program.lazy, program.changed_since) == (False, 5)
    program = fetch(b"1 PREVIEW (LAZY) (CHANGEDSINCE 5)")
    assert (program.lazy, program.changed_since) == (True, 5)


def test_pages() -> None:
    """RFC 9394 4, partial-range."""
    assert fetch(b"1:* UID (PARTIAL 1:100)").partial == (1, 100)
    assert fetch(b"1:* UID (partial 100:1)").partial == (1, 100)
    assert fetch(b"1:* UID (PARTIAL -1:-100)").partial == (-1, -100)
    assert fetch(b"1:* UID (CHANGEDSINCE 2 PARTIAL -100:-1)").partial == (-1, -100)


def test_modifiers() -> None:
    assert fetch(b"1 FLAGS (CHANGEDSINCE 12)").changed_since == 12
    program = fetch(b"1 (FLAGS) (vanished changedsince 18446744073709551)")
    assert program.vanished
    assert program.changed_since == 18446744073709551


@pytest.mark.parametrize(
    "text",
    [
        b"1 BINARY",
        b"1 BINARY[1.MIME]",
        b"1 BINARY[TEXT]",
        b"1 BINARY.SIZE[1]<0.5>",
        b"1 BINARY[1]<0.0>",
        b"1 PREVIEW (FUZZY)",
        b"1 (FLAGS (LAZY))",
        b"1 UID (PARTIAL 1:2 PARTIAL 1:2)",
        b"1 UID (PARTIAL 0:1)",
        b"1 UID (PARTIAL -1:1)",
        b"", b"1", b"1 ", b"x FLAGS", b"1 ()", b"1 FLAG", b"1 (FLAGS", b"1 (FAST)", b"1 FLAGS UID",
        b"1 BODY[", b"1 BODY[X]",
        b"1 BODY[MIME]", b"1 BODY[0]", b"1 BODY[1.]", b"1 BODY[1.0]", b"1 BODY[1..2]", b"1 BODY[HEADER.FIELDS]",
        b"1 BODY[HEADER.FIELDS ()]", b"1 BODY[]<1>", b"1 BODY[]<1.0>", b"1 BODY[]<a.b>", b"1 BODY[]<-1.5>",
        b"1 ENVELOPE[]",
        b"1 FLAGS (CHANGEDSINCE)", b"1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 1)", b"1 FLAGS (VANISHED)", b"1 FLAGS ()",
        b"1 BODY[" + b"1." * 200 + b"1]", b"1 (" + b" ".join(b"BODY[%d]" % n for n in range(1, 300)) + b")",
        b"1 BODY[HEADER.FIELDS (" + b"x " * 501 + b"x)]", b"1  FLAGS",
    ],
)  # fmt: skip
def test_what_is_no_fetch(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        fetch(text)


@given(
    st.lists(
        st.sampled_from(
            [
                b"BODY",
                b"[",
                b"]",
                b"1",
                b".",
                b"(",
                b")",
                b"<",
                b">",
                b"HEADER",
                b" ",
                b".FIELDS",
                b"MIME",
                b"\xff",
                b'"',
            ]
        ),
        max_size=20,
    )
)
def test_only_bad_syntax_is_raised(pieces: list[bytes]) -> None:
    try:
        program = fetch(b"1 " + b"".join(pieces))
    except BadSyntax:
        return
    assert program.items
