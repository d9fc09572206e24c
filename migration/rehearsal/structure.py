"""BODYSTRUCTURE (RFC 3501 7.4.2), so that two of them can be compared in three degrees of detail."""

from dataclasses import dataclass

from migration.errors import Misbehaviour
from migration.sources.replies import Token

# Parts within parts. Beyond it two structures are compared as they were said.
MAX_PARTS_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Structure:
    """`shape`: which parts of which type, what a client draws. `sizes`: octets and lines of each. `all`: every field,
    what is not case-sensitive in lower case."""

    shape: object
    sizes: object
    all: object


def parse_structure(value: Token, depth: int = 0) -> Structure:
    """Raises Misbehaviour for what is none."""
    if not isinstance(value, list) or not value or depth > MAX_PARTS_DEPTH:
        raise Misbehaviour(f"a BODYSTRUCTURE with {value!r:.120}")
    if isinstance(value[0], list):
        return _parse_multipart(value, depth)
    if len(value) < 7:
        raise Misbehaviour(f"a part with {len(value)} fields: {value!r:.120}")
    kind = f"{_low(value[0])}/{_low(value[1])}"
    known = [_low(value[0]), _low(value[1]), _parameters(value[2]), value[3], value[4], _low(value[5])]
    rest = value[7:]
    if kind == "message/rfc822" and len(rest) >= 3:
        inner = parse_structure(rest[1], depth + 1)
        return Structure(
            (kind, inner.shape),
            (value[6], rest[2], inner.sizes),
            (known, value[6], rest[0], inner.all, rest[2], _stripped(rest[3:])),
        )
    lines = rest[:1] if kind.startswith("text/") else []
    return Structure(kind, (value[6], lines), (known, value[6], lines, _stripped(rest[len(lines) :])))


def _parse_multipart(value: list[Token], depth: int) -> Structure:
    count = next((at for at, each in enumerate(value) if not isinstance(each, list)), len(value))
    if count == len(value):
        raise Misbehaviour(f"a multipart without a subtype: {value!r:.120}")
    parts = [parse_structure(each, depth + 1) for each in value[:count]]
    kind = f"multipart/{_low(value[count])}"
    extension = value[count + 1 :]
    parameters = [_parameters(extension[0])] if extension else []
    return Structure(
        (kind, [each.shape for each in parts]),
        [each.sizes for each in parts],
        (kind, [each.all for each in parts], parameters, _stripped(extension[1:])),
    )


def _low(value: Token) -> str:
    """Types, subtypes and encodings are not case-sensitive (RFC 2045 2, 5.1, 6.1)."""
    return value.decode("utf-8", "backslashreplace").lower() if isinstance(value, bytes) else repr(value)


def _parameters(value: Token) -> object:
    """Names are not case-sensitive, and their order says nothing (RFC 2045 5.1)."""
    if not isinstance(value, list):
        return value
    return sorted((_low(name), repr(each)) for name, each in zip(value[::2], value[1::2], strict=False))


def _stripped(extension: list[Token]) -> list[object]:
    """Fields that a server need not send (RFC 3501 7.4.2) and that say nothing are as good as not sent. A disposition
    is its type and its parameters."""
    found: list[object] = []
    for each in extension:
        if isinstance(each, list) and len(each) == 2 and isinstance(each[1], list):
            found.append((_low(each[0]), _parameters(each[1])))
        else:
            found.append(each)
    while found and isinstance(found[-1], bytes) and found[-1].upper() == b"NIL":
        found.pop()
    return found
