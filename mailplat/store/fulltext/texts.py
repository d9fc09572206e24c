"""The text of one message as it is kept: folded, UTF-8, the pieces of searchable_text one after the other."""

from collections.abc import Callable, Iterable, Sequence

from mailplat.wire.imap import search as keys
from mailplat.wire.mime import scan
from mailplat.wire.mime.rendering import SEARCHABLE_CHARACTERS
from mailplat.wire.mime.text import MAX_OCTETS, field_texts, fold, searchable_text

# Parts of what is kept, see the room's page.
HEADINGS, CONTENT = 1, 2

# Kinds of text. The numbers are on disk.
SUBJECT, FROM, TO, CC, BCC, HEADER, BODY = range(7)
KINDS = {HEADINGS: (SUBJECT, FROM, TO, CC, BCC), CONTENT: (HEADER, BODY)}
FIELDS = {"subject": SUBJECT, "from": FROM, "to": TO, "cc": CC, "bcc": BCC}

# Columns of `rendering` in the order of the kinds of HEADINGS.
COLUMNS = "r.subject, r.sender, r.recipient, r.cc, r.bcc"

# No octet of UTF-8: nothing that is searched for matches across it.
SEPARATOR = b"\xff"

# A kept field of at least this length may have been cut; a decoded one a little before its limit.
CUT = SEARCHABLE_CHARACTERS - 8

# Octets of text that are kept of one message; of a longer one nothing is, and a search reads its file. A novel has
# half of that; what is longer is a log, and someone who sends many must not fill the disk twice.
MOST = 1024 * 1024


def octets_of(text: str) -> bytes:
    """UTF-8, also of what some charsets decode to and UTF-8 has no octets for: equal text, equal octets."""
    return text.encode("utf-8", "surrogatepass")


def kinds_of(key: keys.Key) -> tuple[int, tuple[int, ...], bytes] | None:
    """(part, kinds, octets) to look for; None for a key that this room cannot answer. Empty text asks whether there
    is anything to look at at all, which is not kept."""
    found: tuple[int, tuple[int, ...], bytes] | None
    match key:
        case keys.Header(field, text):
            kind = FIELDS.get(field.strip().lower())
            found = None if kind is None else (HEADINGS, (kind,), octets_of(fold(text)))
        case keys.Text(text):
            found = CONTENT, (HEADER, BODY), octets_of(fold(text))
        case keys.Body(text):
            found = CONTENT, (BODY,), octets_of(fold(text))
        case _:
            found = None
    return found if found is not None and found[2] else None


def headings(kept: Sequence[str], read: Callable[[], bytes | None]) -> list[bytes] | None:
    """Of HEADINGS, in the order of its kinds; None where it is too much. `kept`: COLUMNS; `read` gives the message,
    where a field may be longer than its column."""
    found: list[bytes] = []
    octets: bytes | None = None
    for name, value in zip(FIELDS, kept, strict=True):
        pieces = [fold(value)]
        if len(value) >= CUT:
            octets = read() if octets is None else octets
            if octets is None:
                return None
            pieces += field_texts(octets, scan(octets), name)
        found.append(_join(pieces))
    return _bounded(found)


def content(octets: bytes) -> list[bytes] | None:
    """Of CONTENT, in the order of its kinds; None where it is too much, or more than a search looks at."""
    root = scan(octets)
    header, *body = searchable_text(octets, root, headers=True)
    # Beyond MAX_OCTETS a search for TEXT sees less of the body than one for BODY: the header took its share.
    if len(octets) > MAX_OCTETS and list(searchable_text(octets, root, headers=False)) != body:
        return None
    return _bounded([octets_of(header), _join(body)])


def _join(pieces: Iterable[str]) -> bytes:
    return SEPARATOR.join(map(octets_of, pieces))


def _bounded(texts: list[bytes]) -> list[bytes] | None:
    return texts if sum(map(len, texts)) <= MOST else None
