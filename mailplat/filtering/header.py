"""The header block of a message, split into fields without changing an octet."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

# What we read at most to find the end of the header block. Postfix cuts at 100 KiB, the largest provider allows
# 500 KiB; the stage `limits` refuses with a lower, settable limit.
HEADER_READ_LIMIT = 512 * 1024

# RFC 5322 2.2: printable ASCII without ":"; 4.5.8 (obsolete) lets white space stand before the colon.
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FIELD_START = re.compile(rb"\r\n(?![ \t])")
_FOLD = re.compile(rb"\r\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Field:
    """`name` lower case, b"" for a line that is no field; `octets` the whole field with its folds and final CRLF;
    `start` where the value begins in it, behind the colon."""

    name: bytes
    octets: bytes
    start: int

    @property
    def raw_name(self) -> bytes:
        """The name as written."""
        return self.octets[: len(self.name)]

    @property
    def raw_value(self) -> bytes:
        """Behind the colon up to and with the final CRLF, folds kept."""
        return self.octets[self.start :]

    @property
    def value(self) -> bytes:
        """Unfolded (RFC 5322 2.2.3), without white space around."""
        return _FOLD.sub(b"", self.octets[self.start :]).strip(b" \t\r\n")


@dataclass(frozen=True)
class Header:
    """`block` is the header block with the empty line that ends it. `complete` is False where the block is longer
    than what was read; `block` then is its beginning."""

    block: bytes
    complete: bool = True

    @classmethod
    def of(cls, head: bytes, whole: bool) -> "Header":
        """From the first octets of a message; `whole` says that there are no more. A message without an empty
        line is all header (RFC 5322 2.1)."""
        if head.startswith(b"\r\n"):
            return cls(b"\r\n")
        end = head.find(b"\r\n\r\n")
        if end >= 0:
            return cls(head[: end + 4])
        return cls(head, whole)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        return tuple(split(self.block))

    def named(self, name: bytes) -> list[Field]:
        """Fields of that (lower case) name, topmost first."""
        return [field for field in self.fields if field.name == name]


def split(block: bytes) -> Iterator[Field]:
    """Fields from the top. A line that is neither a field nor its continuation comes out with an empty name."""
    end = len(block) - 2 if block.endswith(b"\r\n\r\n") else len(block)
    if block == b"\r\n":
        return
    at = 0
    while at < end:
        following = _FIELD_START.search(block, at, end)
        stop = following.start() + 2 if following else end
        octets = block[at:stop]
        match = _NAME.match(octets)
        yield Field(match[1].lower(), octets, match.end()) if match else Field(b"", octets, 0)
        at = stop
