"""One pass over a message's octets: where each part's header and body begin and end, and how many lines.

A delimiter is a line "--boundary" (white space behind it allowed) of any multipart that is open, the innermost
first where two share a boundary. It ends every part opened inside. Nothing is copied but header blocks.

Linear: each octet is looked at by a fixed number of searches (delimiter candidates, empty lines, line counts),
all of which only move forward; a candidate costs one dictionary look-up, however many multiparts are open.
"""

import re
from dataclasses import dataclass, field

from mailplat.wire.mime.headers import Fields, Parameters, collect, media_type

# Real mail nests some five deep; forwarded chains perhaps twenty. A part deeper than this is not looked into.
MAX_DEPTH = 100

# Digests of mailing lists have some hundred parts. The part that reaches this limit takes in the rest.
MAX_PARTS = 10_000

# What ENVELOPE and BODYSTRUCTURE need of a header block.
MESSAGE_FIELDS = frozenset(
    b"date subject from sender reply-to to cc bcc in-reply-to message-id".split()
)  # RFC 3501 7.4.2
PART_FIELDS = frozenset(
    b"content-type content-transfer-encoding content-id content-description content-md5"
    b" content-disposition content-language content-location".split()
)
_ALL_FIELDS = MESSAGE_FIELDS | PART_FIELDS

_EMPTY_LINE = re.compile(rb"\n\r?\n")
# A delimiter line longer than this is none (RFC 2046 5.1.1: a boundary has at most 70 octets).
_MAX_DELIMITER = 1000

_Type = tuple[bytes, bytes, Parameters]
_TEXT_PLAIN: _Type = (b"text", b"plain", ())
_MESSAGE: _Type = (b"message", b"rfc822", ())
_OPAQUE: _Type = (b"application", b"octet-stream", ())  # a container that is not looked into
_MESSAGES = frozenset((b"rfc822", b"global"))  # RFC 2046 5.2.1, RFC 6532 3.7


@dataclass(slots=True, eq=False)
class Part:
    """One entity: a message, or a part of one. Offsets are into the octets that were scanned.

    A multipart has at least one child and a message/rfc822 (or global) exactly one: what is neither, though it
    says so, was made text/plain (no boundary, no delimiter: RFC 2045 5.2) or, beyond the limits,
    application/octet-stream.
    """

    start: int  # of the header block
    body: int  # of the body: behind the empty line
    end: int = 0  # of the body; the line end before a delimiter belongs to the delimiter
    lines: int = 0  # LFs in the body
    type: bytes = b"text"
    subtype: bytes = b"plain"
    parameters: Parameters = ()
    fields: Fields = field(default_factory=dict)
    children: list["Part"] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.end - self.body

    @property
    def boundary(self) -> bytes:
        """Empty where there is none."""
        for name, value in self.parameters:
            if name == b"boundary":
                return value.rstrip()
        return b""

    @property
    def is_multipart(self) -> bool:
        return self.type == b"multipart"

    @property
    def holds_message(self) -> bool:
        return self.type == b"message" and bool(self.children)

    def first(self, name: bytes) -> bytes | None:
        values = self.fields.get(name)
        return values[0] if values else None


def scan(octets: bytes, *, max_depth: int = MAX_DEPTH, max_parts: int = MAX_PARTS) -> Part:
    """The message's structure. Never raises, whatever the octets are."""
    return _Scanner(octets, max_depth, max_parts).run()


class _Scanner:
    def __init__(self, octets: bytes, max_depth: int, max_parts: int) -> None:
        self._octets = octets
        self._size = len(octets)
        self._max_depth = max_depth
        self._room = max_parts
        self._open: list[Part] = []  # from the root to the part that we are in
        self._hidden: list[int | None] = []  # per open part: the outer multipart whose boundary it took over
        self._boundaries: dict[bytes, int] = {}  # of the open multiparts -> index in _open
        self._candidate = -1  # start of the first line from here on that begins with "--"
        self._blank = (-1, -1)  # the next empty line: LF before it, octet behind it
        self._position = 0  # the line behind the last header block or delimiter
        self._counted = 0  # LFs are counted up to here
        self._lines = 0

    def run(self) -> Part:
        self._enter(0, _TEXT_PLAIN, _ALL_FIELDS)
        root = self._open[0]
        while self._boundaries:
            found = self._delimiter(self._position, self._size)
            if found is None:
                break
            line, after, index, closing = found
            if closing:
                self._leave(index + 1, line)
                self._forget(index)
                self._position = after
            elif self._room <= 0:
                break  # the part we are in takes in the rest
            else:
                self._leave(index + 1, line)
                digest = self._open[index].subtype == b"digest"  # RFC 2046 5.1.5
                self._enter(after, _MESSAGE if digest else _TEXT_PLAIN, PART_FIELDS)
        self._leave(0, self._size)
        return root

    def _enter(self, start: int, default: _Type, wanted: frozenset[bytes]) -> None:
        """Open the part at `start`; where it holds a message, that message too, and so on."""
        while True:
            part = self._read_header(start, default, wanted)
            if self._open:
                self._open[-1].children.append(part)
            self._open.append(part)
            self._hidden.append(None)
            self._room -= 1
            self._position = part.body
            if part.type == b"multipart":
                self._enter_multipart(part)
                return
            if part.type != b"message" or part.subtype not in _MESSAGES:
                return
            if len(self._open) >= self._max_depth or self._room <= 0:
                part.type, part.subtype, part.parameters = _OPAQUE
                return
            start, default, wanted = part.body, _TEXT_PLAIN, _ALL_FIELDS

    def _enter_multipart(self, part: Part) -> None:
        boundary = part.boundary
        if not boundary:
            part.type, part.subtype, part.parameters = _TEXT_PLAIN
        elif len(self._open) >= self._max_depth or self._room <= 0:
            part.type, part.subtype, part.parameters = _OPAQUE
        else:
            index = len(self._open) - 1
            self._hidden[index] = self._boundaries.get(boundary)
            self._boundaries[boundary] = index

    def _read_header(self, start: int, default: _Type, wanted: frozenset[bytes]) -> Part:
        body = end = self._after_header(start)
        if self._boundaries and (found := self._delimiter(start, body)) is not None:
            body = end = found[0]  # no empty line: the next delimiter ends the header
        fields = collect(self._octets, start, end, wanted)
        part = Part(start, body, fields=fields)
        kind = fields.get(b"content-type")
        if kind is None:
            part.type, part.subtype, part.parameters = default
        else:
            part.type, part.subtype, part.parameters = media_type(kind[0]) or _TEXT_PLAIN
        part.lines = -self._lines_before(body)
        return part

    def _leave(self, index: int, line: int) -> None:
        """End all open parts from `index` on at the delimiter that starts at `line` (or at the end)."""
        end = line
        if line < self._size:
            # RFC 2046 5.1.1: the line end before a delimiter belongs to the delimiter.
            end -= self._octets.endswith(b"\n", 0, end)
            end -= self._octets.endswith(b"\r", 0, end)
        while len(self._open) > index:
            self._forget(len(self._open) - 1)
            part = self._open.pop()
            self._hidden.pop()
            part.end = end = max(end, part.body)
            part.lines += self._lines_before(end)
            if part.type == b"multipart" and not part.children:
                part.type, part.subtype, part.parameters = _TEXT_PLAIN

    def _forget(self, index: int) -> None:
        """The multipart at `index` has no more parts: its boundary means nothing now, or an outer one again."""
        part = self._open[index]
        if part.type != b"multipart" or self._boundaries.get(part.boundary) != index:
            return
        hidden = self._hidden[index]
        if hidden is None:
            del self._boundaries[part.boundary]
        else:
            self._boundaries[part.boundary] = hidden

    def _delimiter(self, at: int, limit: int) -> tuple[int, int, int, bool] | None:
        """The first delimiter line of an open multipart in [at, limit): where it starts, what follows it, the
        index of its multipart, whether it closes it. `at` is the start of a line."""
        octets = self._octets
        while (line := self._next_dashes(at)) < limit:
            end = octets.find(b"\n", line)
            at = self._size if end < 0 else end + 1
            if at - line > _MAX_DELIMITER:
                continue
            name = octets[line + 2 : at].rstrip()
            index = self._boundaries.get(name)
            if index is not None:
                return line, at, index, False
            if name.endswith(b"--") and (index := self._boundaries.get(name[:-2])) is not None:
                return line, at, index, True
        return None

    def _next_dashes(self, at: int) -> int:
        if self._candidate < at:
            if self._octets.startswith(b"--", at):
                self._candidate = at
            else:
                found = self._octets.find(b"\n--", at)
                self._candidate = self._size if found < 0 else found + 1
        return self._candidate

    def _after_header(self, start: int) -> int:
        """Where the body of the header block at `start` begins: behind the first empty line, or at the end."""
        octets = self._octets
        if octets.startswith((b"\r\n", b"\n"), start):
            return octets.index(b"\n", start) + 1
        if self._blank[0] < start:
            match = _EMPTY_LINE.search(octets, start)
            self._blank = match.span() if match else (self._size, self._size)
        return self._blank[1]

    def _lines_before(self, position: int) -> int:
        """LFs before `position`. Positions only grow, but for the line end that a delimiter takes."""
        if position >= self._counted:
            self._lines += self._octets.count(b"\n", self._counted, position)
        else:
            self._lines -= self._octets.count(b"\n", position, self._counted)
        self._counted = position
        return self._lines
