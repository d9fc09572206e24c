"""The octets between DATA's 354 and the final dot (RFC 5321 4.1.1.4, 4.5.2), and those of BDAT.

Only CRLF "." CRLF ends a message: every other mixture of CR, LF and dot is content, is remembered as `bare`,
and the message is then refused as a whole (SMTP smuggling, CVE-2023-51764 and its kin). Works on chunks cut
anywhere, with a few passes of C code over each octet and at most four octets kept from one chunk to the next.
"""

_END = b"\r\n.\r\n"


class DataDecoder:
    """Fed with chunks, gives back content: CRLF lines, without dot-stuffing, with the final CRLF.

    `max_size` counts decoded octets (RFC 1870 3: without doubled dots), 0 for no limit. Beyond it `too_large`
    is set and content is no longer given out, while the end is still looked for: the session can go on.
    """

    __slots__ = ("_fresh", "_held", "bare", "finished", "max_size", "nul", "rest", "size", "too_large")

    def __init__(self, max_size: int = 0) -> None:
        self.max_size = max_size
        self.size = 0  # decoded octets so far
        self.finished = False
        self.bare = False  # saw a CR without LF or an LF without CR
        self.nul = False  # saw a NUL (RFC 5322 4: obsolete, must not be generated)
        self.too_large = False
        self.rest = b""  # once finished: what followed the final dot, the next commands
        # The line before the first one ended with CRLF too: that of the DATA command. Not given out.
        self._held = b"\r\n"
        self._fresh = True

    def feed(self, chunk: bytes) -> bytes:
        """The content that is certain after this chunk, perhaps none. After `finished` the chunk only grows
        `rest`."""
        if self.finished:
            self.rest += chunk
            return b""
        octets = self._held + chunk
        end = octets.find(_END)
        if end >= 0:
            self.finished = True
            self.rest = octets[end + len(_END) :]
            self._held = b""
            return self._decode(octets[: end + 2])
        keep = _overlap(octets)
        self._held = octets[len(octets) - keep :]
        return self._decode(octets[: len(octets) - keep])

    def _decode(self, octets: bytes) -> bytes:
        if not octets:
            return b""
        # What is held back begins with CR, so a CRLF is never cut here and counting is exact.
        lines = octets.count(b"\r\n")
        if octets.count(b"\n") != lines or octets.count(b"\r") != lines:
            self.bare = True
        if b"\0" in octets:
            self.nul = True
        content = octets.replace(b"\r\n.", b"\r\n")
        if self._fresh:
            self._fresh = False
            content = content[2:]
        self.size += len(content)
        if self.max_size and self.size > self.max_size:
            self.too_large = True
        return b"" if self.too_large else content


class ChunkDecoder:
    """The octets of BDAT (RFC 3030 2), which come as they are: what is looked at is what DataDecoder looks at.
    `binary`: no line is a line (RFC 3030 3), so that none has a wrong end."""

    __slots__ = ("_cr", "bare", "binary", "max_size", "nul", "size", "too_large")

    def __init__(self, max_size: int = 0, *, binary: bool = False) -> None:
        self.max_size = max_size
        self.binary = binary
        self.size = 0
        self.bare = False
        self.nul = False
        self.too_large = False
        self._cr = False  # the last octet was a CR, and the LF may be in the next chunk

    def feed(self, octets: bytes) -> bytes:
        """What is to be kept of it: all, or nothing once it is too much."""
        text = b"\r" + octets if self._cr else octets
        self._cr = text.endswith(b"\r")
        lines = text.count(b"\r\n")
        if not self.binary and (text.count(b"\n") != lines or text.count(b"\r") - self._cr != lines):
            self.bare = True
        if b"\0" in octets:
            self.nul = True
        self.size += len(octets)
        if self.max_size and self.size > self.max_size:
            self.too_large = True
        return b"" if self.too_large else octets

    def end(self) -> None:
        """Behind the last chunk: a CR that nothing followed is a bare one."""
        if self._cr and not self.binary:
            self.bare = True


def _overlap(octets: bytes) -> int:
    """How many octets at the end may be the beginning of the end."""
    for length in range(min(len(_END) - 1, len(octets)), 0, -1):
        if octets.endswith(_END[:length]):
            return length
    return 0


def stuff(octets: bytes) -> bytes:
    """Dot-stuff whole content for sending (RFC 5321 4.5.2); the content ends with CRLF or is empty. The final
    dot is the caller's."""
    stuffed = octets.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if octets.startswith(b".") else stuffed
