"""DATA on its way out (RFC 5321 4.5.2): dots stuffed, the last line ended, no bare CR or LF."""

import re

# A CR without LF or an LF without CR would let the next server see line ends that we did not see (SMTP
# smuggling, CVE-2023-51764): each becomes a space, which no parser takes for a line end.
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")

END = b".\r\n"


class DataEncoder:
    """Feed the message in pieces of any size; `finish` ends it with the final dot. Holds back at most the one
    octet that needs its successor."""

    def __init__(self) -> None:
        self._held = b""
        self._line_start = True

    def feed(self, octets: bytes) -> bytes:
        chunk = self._held + octets
        self._held = chunk[-1:] if chunk.endswith(b"\r") else b""
        return self._encode(chunk[: len(chunk) - len(self._held)])

    def finish(self) -> bytes:
        rest = self._encode(self._held)
        self._held = b""
        return rest + (END if self._line_start else b"\r\n" + END)

    def _encode(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        clean = _BARE.sub(b" ", chunk)
        dotted = clean.replace(b"\r\n.", b"\r\n..")
        if self._line_start and clean.startswith(b"."):
            dotted = b"." + dotted
        self._line_start = clean.endswith(b"\r\n")
        return dotted
