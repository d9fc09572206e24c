"""SASLprep (RFC 4013): one form for passwords that look alike, by the Unicode 3.2 tables of RFC 3454."""

import stringprep
import unicodedata

from mailplat.core.errors import InvalidInput

# RFC 4013 2.3
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """A stored string: code points that Unicode 3.2 does not know are refused too (RFC 4013 2.5). Raises
    InvalidInput, whose text says nothing of the content."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)  # commonly mapped to nothing
    )
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if any(check(char) for char in normal for check in _PROHIBITED):
        raise InvalidInput("a character that SASLprep prohibits")
    if any(stringprep.in_table_a1(char) for char in normal):
        raise InvalidInput("a character that SASLprep does not know")
    # RFC 3454 6: a string with a character of a script from right to left has no other, and begins and ends so.
    if any(map(stringprep.in_table_d1, normal)) and (
        any(map(stringprep.in_table_d2, normal))
        or not (stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1]))
    ):
        raise InvalidInput("scripts of both directions")
    return normal
