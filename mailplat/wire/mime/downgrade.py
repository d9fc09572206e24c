"""A message with header fields in raw UTF-8 (RFC 6532) as one that a reader without it can take: a surrogate
(RFC 6855 7), in the simple manner of RFC 6858.

Of every header block, those of parts and of messages within the message too: addresses that cannot be said in ASCII
become names beside an address that nobody has (RFC 6858 2.1), parameters go as RFC 2231 has them, identifiers and
trace fields in which there is more than ASCII are left out, all other values become encoded words (RFC 2047). Fields
in ASCII and all bodies stay octet by octet, and so does what is not UTF-8: no rule says what it should be.

Works in pieces: what is held back is a header block, or the beginning of a line that may be a boundary.
"""

import re
from base64 import b64encode

from mailplat.wire.mime import addresses
from mailplat.wire.mime.headers import MAX_HEADER, collect, disposition, first_token, media_type
from mailplat.wire.mime.scanner import MAX_DEPTH
from mailplat.wire.mime.words import decode_words

# RFC 6858 2.1: an address that must not be used, at a domain that there never will be (RFC 2606).
NOBODY = b"invalid@internationalized-address.invalid"

_ADDRESSES = frozenset(
    b"from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc".split()
)
_PARAMETERS = frozenset(b"content-type content-disposition".split())
# Encoded words have no place in these, and half of one is worse than none.
_LEFT_OUT = frozenset(
    b"message-id in-reply-to references resent-message-id content-id received return-path dkim-signature"
    b" arc-seal arc-message-signature arc-authentication-results authentication-results received-spf date"
    b" resent-date mime-version content-transfer-encoding".split()
)

_BLOCK_END = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"[^\n]*\n(?:[ \t][^\n]*\n)*")
_FOLDED = re.compile(rb"\r?\n(?=[ \t])")
_PLAIN_PARAMETER = re.compile(rb"[A-Za-z0-9!#$&+.^_`{|}~-]+").fullmatch

# Octets of one encoded word's text: 60 characters of base64 and the 12 around them stay below 75 (RFC 2047 2).
_WORD = 45

# A boundary has 70 characters at most (RFC 2046 5.1.1); a line that is longer than this is none.
_LINE = 200


class Downgrader:
    """Feed a message, take what may be sent, and the rest from `finish`."""

    def __init__(self) -> None:
        self._held = b""
        self._at = 0  # what stands before this in _held has been given out
        self._in_header = True
        self._searched = 0  # no end of the header block before this
        self._line_start = True  # _at is the beginning of a line
        self._boundaries: list[bytes] = []  # of the multiparts around, the innermost last

    def feed(self, chunk: bytes) -> bytes:
        self._held = self._held[self._at :] + chunk
        self._searched = max(0, self._searched - self._at)
        self._at = 0
        out: list[bytes] = []
        while self._at < len(self._held) and (self._header(out) if self._in_header else self._body(out)):
            pass
        return b"".join(out)

    def finish(self) -> bytes:
        rest = self._take(len(self._held))
        return rewrite(rest) if self._in_header else rest

    def _header(self, out: list[bytes]) -> bool:
        """Whether to go on."""
        end = self._block_end()
        if not end:
            self._searched = max(self._at, len(self._held) - 2)
            if len(self._held) - self._at <= MAX_HEADER:
                return False
            # No message of anybody's has such a header: what there is of it is taken as it is.
            out.append(self._take(len(self._held)))
            self._in_header = False
            return False
        block = self._take(end)
        out.append(rewrite(block))
        self._enter(block)
        return True

    def _block_end(self) -> int:
        """Behind the empty line; 0 where it has not come yet."""
        for empty in (b"\r\n", b"\n"):
            if self._held.startswith(empty, self._at):
                return self._at + len(empty)
        found = _BLOCK_END.search(self._held, max(self._at, self._searched))
        return found.end() if found else 0

    def _take(self, end: int) -> bytes:
        taken, self._at = self._held[self._at : end], end
        if taken:
            self._line_start = taken.endswith(b"\n")
        self._searched = 0
        return taken

    def _enter(self, block: bytes) -> None:
        """What comes behind a header block."""
        fields = collect(block, 0, len(block), (b"content-type", b"content-transfer-encoding"))
        kind = media_type(fields.get(b"content-type", [b""])[0])
        encoding = first_token(fields.get(b"content-transfer-encoding", [b""])[0]).lower()
        self._in_header = False
        if kind is None:
            return
        if kind[0] == b"message" and kind[1] in (b"rfc822", b"global"):
            self._in_header = encoding not in (b"base64", b"quoted-printable")
        elif kind[0] == b"multipart" and len(self._boundaries) < MAX_DEPTH:
            boundary = dict(kind[2]).get(b"boundary", b"")
            if boundary:
                self._boundaries.append(boundary)

    def _body(self, out: list[bytes]) -> bool:
        if not self._boundaries:
            out.append(self._take(len(self._held)))
            return False
        if not (self._line_start and self._held.startswith(b"--", self._at)):
            start = self._held.find(b"\n--", self._at) + 1
            out.append(self._take(start or self._whole()))
            return bool(start)
        end = self._held.find(b"\n", self._at) + 1
        if not end and len(self._held) - self._at <= _LINE:
            return False
        line = self._take(end or len(self._held))
        out.append(line)
        self._delimit(line.strip())
        return True

    def _whole(self) -> int:
        """Where no boundary begins: to the end, but for a hyphen that may be the first of one."""
        before = len(self._held) - 1
        starts = self._held[before - 1 : before] == b"\n" if before > self._at else self._line_start
        return before if starts and self._held.endswith(b"-") else len(self._held)

    def _delimit(self, line: bytes) -> None:
        for depth, boundary in enumerate(self._boundaries):
            if line == b"--" + boundary:
                del self._boundaries[depth + 1 :]
                self._in_header = True
                return
            if line == b"--" + boundary + b"--":
                del self._boundaries[depth:]
                return


def rewrite(block: bytes) -> bytes:
    """A header block without anything that is not ASCII."""
    if block.isascii():
        return block
    at, fields = 0, []
    for match in _FIELD.finditer(block):
        fields.append(_field(match[0]))
        at = match.end()
    return b"".join(fields) + block[at:]


def _field(field: bytes) -> bytes:
    if field.isascii():
        return field
    try:
        field.decode("utf-8")
    except UnicodeDecodeError:
        return field
    name, colon, value = field.partition(b":")
    key = name.strip().lower()
    if not colon or not name.isascii():
        return b""
    value = _FOLDED.sub(b"", value).strip()
    if key in _LEFT_OUT:
        return b""
    if key in _ADDRESSES:
        shown = _addresses(value)
    elif key in _PARAMETERS:
        shown = _with_parameters(key, value)
    else:
        shown = _words(decode_words(value, len(value)))
    return b"%b: %b\r\n" % (name, shown)


def _addresses(value: bytes) -> bytes:
    """Groups lose their names: who is in them is what counts."""
    shown = []
    for name, _, mailbox, host in addresses.parse(value):
        if not host or not mailbox:
            continue
        address = b"%b@%b" % (mailbox, host)
        text = decode_words(name, len(name)) if name else ""
        if not address.isascii() or b" " in mailbox:
            text = f"{text} <{address.decode('utf-8', 'replace')}>".strip()
            address = NOBODY
        shown.append(b"%b <%b>" % (_words(text), address) if text else b"<%b>" % address)
    # RFC 5322 3.6.2: a field without an address is none.
    return b",\r\n ".join(shown) or b"<%b>" % NOBODY


def _words(text: str) -> bytes:
    """RFC 2047: encoded words on lines of their own, no character in two of them."""
    words: list[bytes] = []
    piece = b""
    for character in text:
        octets = character.encode("utf-8")
        if len(piece) + len(octets) > _WORD:
            words.append(piece)
            piece = b""
        piece += octets
    words.append(piece)
    return b"\r\n ".join(b"=?utf-8?b?%b?=" % b64encode(word) for word in words)


def _with_parameters(key: bytes, value: bytes) -> bytes:
    """RFC 2231 4: name*=utf-8''%C3%BC."""
    if key == b"content-type":
        kind = media_type(value)
        first, parameters = (b"%b/%b" % kind[:2], kind[2]) if kind else (b"text/plain", ())
    else:
        shown = disposition(value)
        first, parameters = shown if shown else (b"attachment", ())
    parts = [first if first.isascii() else b"attachment"]
    for name, octets in parameters:
        if not name.isascii():
            continue
        if not octets.isascii():
            octets = b"utf-8''" + b"".join(
                b"%c" % octet if _PLAIN_PARAMETER(b"%c" % octet) else b"%%%02X" % octet for octet in octets
            )
            name = name.rstrip(b"*") + b"*"
        elif not _PLAIN_PARAMETER(octets) and not name.endswith(b"*"):
            octets = b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        parts.append(b"%b=%b" % (name, octets))
    return b";\r\n ".join(parts)
