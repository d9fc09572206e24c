"""PREVIEW: the first words of a message, for a list of messages (RFC 8970).

Of text/plain, or of HTML without its tags; quotations, signatures and rows of signs left out, white space made one
space. Made once, when a message is appended: octets and structure are at hand then, and the list of a mailbox is what
clients ask for most. It never changes, as RFC 8970 3.2 wants it.
"""

import html
import re
from collections.abc import Iterator

from mailplat.wire.mime.headers import first_token
from mailplat.wire.mime.scanner import Part
from mailplat.wire.mime.text import decode_part

# RFC 8970 3.2: preview text SHOULD be limited to 200 characters, and MUST be to 256.
MAX_PREVIEW = 200

# Octets of a part, as it is stored, that are looked at: first so many, and where they do not fill a preview, more.
# Style sheets stand in front of what HTML says.
_FIRST = {b"plain": 2 * 1024, b"html": 16 * 1024}
_MORE = {b"plain": 16 * 1024, b"html": 64 * 1024}

# Characters of HTML's text, white space not counted, behind which nothing comes into the preview any more: entities
# are undone later, and filling of a kind that nobody sees is taken out.
_ENOUGH = 4 * MAX_PREVIEW

# Parts that are tried until one of them says something.
_MAX_PARTS = 8

_TAG = re.compile(r"</?([a-z][a-z0-9]*)", re.IGNORECASE)
# Elements whose content nobody reads.
_SILENT = {
    name: re.compile(rf"</{name}\b", re.IGNORECASE)
    for name in ("style", "script", "title", "template", "select")
}
# Elements in the midst of a word; all others end it.
_INLINE = frozenset(
    (
        "a",
        "abbr",
        "b",
        "big",
        "em",
        "font",
        "i",
        "mark",
        "s",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "u",
    )
)

# Filling that newsletters put behind their first sentence: soft hyphens, joiners, marks without a letter.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# Rows of signs that stand for a line or a frame.
_ROWS = [sign * 4 for sign in "-=_*~#+.<>|"]
_SIGNS = re.compile(r"([-=_*~#+.<>|])\1{3,}")


def preview(octets: bytes, root: Part) -> str:
    """At most MAX_PREVIEW characters; empty where a message has no text, or its text is encrypted."""
    for _, part in zip(range(_MAX_PARTS), _texts(root), strict=False):
        said = _say(octets, part, _FIRST[part.subtype])
        if len(said) < MAX_PREVIEW and part.size > _FIRST[part.subtype]:
            said = _say(octets, part, _MORE[part.subtype])
        if said:
            return said
    return ""


def _say(octets: bytes, part: Part, limit: int) -> str:
    text = decode_part(octets, part, min(part.end, part.body + limit))
    return _tidy(_without_tags(text) if _is_html(part) else _without_quotations(text))


def _texts(part: Part) -> Iterator[Part]:
    """Text parts in the order in which they are shown; of alternatives the plain one first."""
    if first_token(part.first(b"content-disposition") or b"").lower() == b"attachment":
        return
    if part.subtype == b"alternative" and part.is_multipart:
        yield from sorted((text for child in part.children for text in _texts(child)), key=_is_html)
    elif part.children:
        for child in part.children:
            yield from _texts(child)
    elif part.type == b"text" and part.subtype in (b"plain", b"html"):
        yield part


def _is_html(part: Part) -> bool:
    return part.subtype == b"html"


def _without_quotations(text: str) -> str:
    """Without what is quoted and the line that says of whom, and up to the signature (RFC 3676 4.3). A message that
    only quotes is shown as what it quotes."""
    kept: list[str] = []
    lines = text.splitlines()
    for line in lines:
        if line.startswith(">"):
            while kept and not kept[-1].strip():
                kept.pop()
            if kept and kept[-1].rstrip().endswith(":"):
                kept.pop()
        elif line in ("-- ", "--"):
            break
        else:
            kept.append(line)
    own = "\n".join(kept)
    return own if own.strip() else "\n".join(line.lstrip("> ") for line in lines)


def _without_tags(text: str) -> str:
    """The text of HTML; a tag or a comment that does not end takes the rest with it. One pass, forwards."""
    pieces: list[str] = []
    seen = at = 0
    while seen < _ENOUGH:
        opening = text.find("<", at)
        piece = text[at:] if opening < 0 else text[at:opening]
        pieces.append(piece)
        seen += len(piece.strip())
        if opening < 0:
            break
        if text.startswith("<!--", opening):
            end = text.find("-->", opening + 4)
            if end < 0:
                break
            at = end + 3
            continue
        tag = _TAG.match(text, opening)
        if tag is None and not text.startswith(("<!", "<?", "</"), opening):
            pieces.append("<")
            at = opening + 1
            continue
        end = text.find(">", opening)
        if end < 0:
            break
        at = end + 1
        name = tag[1].lower() if tag else ""
        if name not in _INLINE:
            pieces.append(" ")
        if name in _SILENT and text[opening + 1] != "/":
            closing = _SILENT[name].search(text, at)
            if closing is None:
                break
            at = closing.start()
    return html.unescape("".join(pieces))


def _tidy(text: str) -> str:
    if not text.isascii():
        text = _UNSEEN.sub("", text)
    text = " ".join(text.split())
    if not text.isprintable():
        text = " ".join(_CONTROLS.sub(" ", text).split())
    if any(row in text for row in _ROWS):
        text = " ".join(_SIGNS.sub(" ", text).split())
    text = text[:MAX_PREVIEW].rstrip()
    return text.encode("utf-8", "replace").decode("utf-8")  # some decoders make lone surrogates


__all__ = ["MAX_PREVIEW", "preview"]
