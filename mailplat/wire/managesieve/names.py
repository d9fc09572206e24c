"""Names of scripts (RFC 5804 1.6)."""

from mailplat.core.errors import InvalidInput, LimitReached


def check_name(name: str, most: int) -> None:
    """`most`: characters. Raises InvalidInput for one that no script may have, LimitReached for one too long."""
    if not name:
        raise InvalidInput("a script needs a name")  # RFC 5804 2.8: the empty one means no script
    if len(name) > most:
        raise LimitReached(f"a script's name has {len(name)} characters; {most} at most")
    bad = next((each for each in name if _forbidden(ord(each))), None)
    if bad is not None:
        raise InvalidInput(f"U+{ord(bad):04X} cannot stand in a script's name")


def _forbidden(point: int) -> bool:
    # RFC 5804 1.6. Surrogates are no characters: UTF-8 has none (RFC 3629 3).
    return point <= 0x1F or 0x7F <= point <= 0x9F or point in (0x2028, 0x2029) or 0xD800 <= point <= 0xDFFF
