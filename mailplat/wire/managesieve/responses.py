"""What a server answers: lines of values, and the one that ends them (RFC 5804 1.2, 1.3, 2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.wire.managesieve.lines import Atom, BadLine, Value

ENDS = ("OK", "NO", "BYE")


@dataclass(frozen=True, slots=True)
class Completion:
    """How a command ended. `code` is the response code in upper case, such as QUOTA/MAXSIZE, "" for none."""

    kind: str  # of ENDS
    code: str
    arguments: tuple[Value, ...]
    text: str


def completion(values: Sequence[Value]) -> Completion | None:
    """None for a line that ends nothing. Raises BadLine for one that begins as an end and is none."""
    if not values or not isinstance(values[0], Atom) or values[0].upper() not in ENDS:
        return None
    kind, rest = values[0].upper(), list(values[1:])
    code, arguments = "", tuple[Value, ...]()
    if rest and isinstance(rest[0], tuple):
        inside = rest.pop(0)
        assert isinstance(inside, tuple)
        if not inside or not isinstance(inside[0], Atom):
            raise BadLine("a response code without a name")
        code, arguments = inside[0].upper(), inside[1:]
    text = rest.pop(0) if rest else b""
    if rest or not isinstance(text, bytes):
        raise BadLine(f"unreadable behind {kind}")
    return Completion(kind, code, arguments, text.decode("utf-8", "replace"))


def listed(values: Sequence[Value]) -> tuple[str, bool]:
    """(name, whether it is the active one) of a line of LISTSCRIPTS (RFC 5804 2.7). Raises BadLine."""
    if not values or not isinstance(values[0], bytes):
        raise BadLine("a line of LISTSCRIPTS without a name")
    try:
        name = values[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLine("a script's name that is not UTF-8") from error
    active = len(values) == 2 and isinstance(values[1], Atom) and values[1].upper() == "ACTIVE"
    if len(values) > 1 and not active:
        raise BadLine("a line of LISTSCRIPTS with something behind the name")
    return name, active


def capabilities(lines: Sequence[Sequence[Value]]) -> dict[str, str]:
    """Of CAPABILITY and of the greeting: names in upper case (RFC 5804 1.7). Raises BadLine."""
    found: dict[str, str] = {}
    for values in lines:
        texts = [each.decode("utf-8", "replace") for each in values if isinstance(each, bytes)]
        if not 1 <= len(texts) == len(values) <= 2:
            raise BadLine("a line of CAPABILITY that is none")
        found[texts[0].upper()] = texts[1] if len(texts) == 2 else ""
    return found
