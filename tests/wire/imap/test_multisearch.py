import pytest

from mailplat.core.limits.imap import BOUNDS
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.esearch import Returns
from mailplat.wire.imap.multisearch import SELECTED, Source, check, parse_sources
from mailplat.wire.imap.search import parse_query


def test_sources() -> None:
    assert parse_sources(Arguments(b"ALL")) == SELECTED
    assert parse_sources(Arguments(b"in (selected) ALL")) == SELECTED
    assert parse_sources(
        Arguments(b'IN (inboxes subtree a Subtree-One ("b c" inbox) mailboxes (&APw-)) ALL')
    ) == (
        Source("INBOXES"),
        Source("SUBTREE", ("a",)),
        Source("SUBTREE-ONE", ("b c", "INBOX")),
        Source("MAILBOXES", ("ü",)),
    )


@pytest.mark.parametrize(
    "text",
    [
        b"IN () ALL", b"IN (all) ALL", b"IN (mailboxes) ALL", b"IN (mailboxes ()) ALL", b"IN (personal)",
        b"IN (personal (scope)) ALL", b"IN (personal", b"IN (selected-delayed) ALL",
        b"IN (%b) ALL" % b" ".join([b"personal"] * (BOUNDS.search_sources + 1)),
        b"IN (mailboxes (%b)) ALL" % b" ".join([b"a"] * (BOUNDS.search_names + 1)),
    ],
)  # fmt: skip
def test_what_is_no_source(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_sources(Arguments(text))


def test_limits() -> None:
    text = b"IN (%b) ALL" % b" ".join([b"personal"] * BOUNDS.search_sources)
    assert len(parse_sources(Arguments(text))) == BOUNDS.search_sources
    text = b"IN (mailboxes (%b)) ALL" % b" ".join([b"a"] * BOUNDS.search_names)
    assert len(parse_sources(Arguments(text))[0].names) == BOUNDS.search_names


def test_what_is_of_the_selected_mailbox() -> None:
    plain, saves = Returns(frozenset({"ALL"})), Returns(frozenset({"SAVE"}))
    several = (Source("SELECTED"), Source("INBOXES"))
    for text in (b"1", b"$", b"UID $", b"NOT (OR SEEN 1:*)", b"SEEN (UNSEEN *)"):
        key = parse_query(Arguments(text)).key
        check(SELECTED, saves, key)
        with pytest.raises(BadSyntax):
            check(several, plain, key)
    check(several, plain, parse_query(Arguments(b"NOT (OR SEEN UID 1:*)")).key)
    with pytest.raises(BadSyntax):
        check(several, saves, parse_query(Arguments(b"ALL")).key)
