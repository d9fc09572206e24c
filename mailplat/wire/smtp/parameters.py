"""ESMTP parameters of MAIL and RCPT (RFC 5321 4.1.2), extended by RFC 6531 3.3 to UTF-8 values.

Keywords are case-insensitive and come back in upper case; values keep their case (ENVID and ORCPT depend on
it). Nothing is ignored: an unknown keyword, a doubled one or a malformed one is an error of its own.
"""

import re
from collections.abc import Collection

from mailplat.core.errors import InvalidInput

# RFC 1870 3: "1*20DIGIT".
_SIZE = re.compile(r"[0-9]{1,20}")
# RFC 3030 2: "1*DIGIT"; 18 of them are more than any disk has.
_CHUNK = re.compile(rb"([0-9]{1,18})(?: +(LAST))?", re.IGNORECASE)
_KEYWORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(rb"[!-<>-~\x80-\xff]+")


class UnknownParameter(InvalidInput):
    """A keyword that we do not implement: SMTP 555 5.5.4 (RFC 5321 4.1.1.11)."""


def parse_parameters(text: bytes, known: Collection[str]) -> dict[str, str | None]:
    """`text` is what follows the path. A keyword without "=" has the value None. Raises UnknownParameter for
    a keyword that is not in `known`, InvalidInput for everything else that is wrong."""
    parameters: dict[str, str | None] = {}
    for word in text.split(b" "):
        if not word:
            continue
        name, equals, value = word.partition(b"=")
        if not _KEYWORD.fullmatch(name):
            raise InvalidInput("a parameter begins with a keyword of letters, digits and hyphens")
        keyword = name.decode().upper()
        if keyword not in known:
            raise UnknownParameter("a parameter is not known here")
        if keyword in parameters:
            raise InvalidInput(f"{keyword} is given twice")
        parameters[keyword] = _value(keyword, value) if equals else None
    return parameters


def parse_size(value: str | None) -> int:
    """The octets that SIZE= declares (RFC 1870 3). Raises InvalidInput."""
    if value is None or not _SIZE.fullmatch(value):
        raise InvalidInput("SIZE is a number of octets")
    return int(value)


def parse_chunk(argument: bytes) -> tuple[int, bool]:
    """What follows BDAT: octets of the chunk, and whether it is the last (RFC 3030 2). Raises InvalidInput."""
    found = _CHUNK.fullmatch(argument)
    if found is None:
        raise InvalidInput("BDAT takes a number of octets, and LAST")
    return int(found[1]), found[2] is not None


def _value(keyword: str, value: bytes) -> str:
    if not _VALUE.fullmatch(value):
        raise InvalidInput(f"{keyword} has a value that is empty or not printable")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{keyword} is not valid UTF-8") from None
