"""A strict reader of what a server sends inside a reply (RFC 3501 9), to check renderings with."""

from typing import Any

Value = Any  # bytes (string), int, None (NIL), str (atom), list


class NotImap(AssertionError):
    """The octets do not follow the grammar."""


def read_value(octets: bytes) -> Value:
    """One value that is all of `octets`: a parenthesised list, string, number, NIL or atom."""
    value, at = _value(octets, 0)
    if at != len(octets):
        raise NotImap(f"octets behind the value at {at}: {octets[at : at + 40]!r}")
    return value


def read_line(line: bytes) -> list[Value]:
    """The values of one untagged reply line, behind the star."""
    if not line.startswith(b"* ") or not line.endswith(b"\r\n"):
        raise NotImap(repr(line))
    return read_value(b"(" + line[2:-2] + b")")


def _value(octets: bytes, at: int) -> tuple[Value, int]:
    first = octets[at : at + 1]
    if first == b"(":
        return _list(octets, at + 1)
    if first == b'"':
        return _quoted(octets, at + 1)
    if first == b"{":
        return _literal(octets, at + 1)
    end = at
    while end < len(octets) and octets[end] not in b'() "{':
        if not 0x21 <= octets[end] <= 0x7E:
            raise NotImap(f"octet {octets[end]} in an atom")
        end += 1
        if octets[end - 1] == ord("[") and (close := octets.find(b"]", end)) > 0:
            end = close + 1  # BODY[...]
    atom = octets[at:end].decode("ascii")
    if not atom:
        raise NotImap(f"a value expected at {at}: {octets[at : at + 40]!r}")
    if atom == "NIL":
        return None, end
    return (int(atom) if atom.isdigit() else atom), end


def _list(octets: bytes, at: int) -> tuple[list[Value], int]:
    """Values with one space between them; lists may stand side by side without (addresses, body parts)."""
    values: list[Value] = []
    while octets[at : at + 1] != b")":
        if values:
            if octets[at : at + 1] == b" ":
                at += 1
            elif not (isinstance(values[-1], list) and octets[at : at + 1] == b"("):
                raise NotImap(f"a space expected at {at}: {octets[at : at + 40]!r}")
        value, at = _value(octets, at)
        values.append(value)
    return values, at + 1


def _quoted(octets: bytes, at: int) -> tuple[bytes, int]:
    text = bytearray()
    while True:
        octet = octets[at : at + 1]
        if octet == b'"':
            return bytes(text), at + 1
        if octet == b"\\":
            at += 1
            octet = octets[at : at + 1]
            if octet not in (b"\\", b'"'):
                raise NotImap("a backslash before an ordinary character")
        if not octet or octet in b"\r\n\0" or octet[0] > 0x7F:
            raise NotImap(f"octet {octet!r} in a quoted string")
        text += octet
        at += 1


def _literal(octets: bytes, at: int) -> tuple[bytes, int]:
    end = octets.index(b"}\r\n", at)
    size = int(octets[at:end])
    content = octets[end + 3 : end + 3 + size]
    if len(content) != size or b"\0" in content:
        raise NotImap("a literal that is cut or holds NUL")
    return content, end + 3 + size


def check_envelope(value: Value) -> None:
    assert len(value) == 10
    for index in (0, 1, 8, 9):
        assert value[index] is None or isinstance(value[index], bytes)
    for addresses in value[2:8]:
        assert addresses is None or addresses
        for address in addresses or []:
            assert len(address) == 4
            assert all(part is None or isinstance(part, bytes) for part in address)


def check_body(value: Value, *, extensible: bool) -> None:
    """RFC 3501 9, `body`."""
    if isinstance(value[0], list):
        parts = [part for part in value if isinstance(part, list)]
        count = next(index for index, part in enumerate(value) if not isinstance(part, list))
        for part in parts[:count]:
            check_body(part, extensible=extensible)
        assert isinstance(value[count], bytes)
        rest = value[count + 1 :]
        assert len(rest) == (4 if extensible else 0)
        if extensible:
            _check_parameters(rest[0])
            _check_extension(rest[1:])
        return
    kind, subtype, parameters, *strings, size = value[:7]
    assert isinstance(kind, bytes)
    assert isinstance(subtype, bytes)
    _check_parameters(parameters)
    assert all(part is None or isinstance(part, bytes) for part in strings)
    assert isinstance(strings[2], bytes)
    assert isinstance(size, int)
    rest = value[7:]
    if kind == b"message" and subtype in (b"rfc822", b"global"):
        check_envelope(rest[0])
        check_body(rest[1], extensible=extensible)
        assert isinstance(rest[2], int)
        rest = rest[3:]
    elif kind == b"text":
        assert isinstance(rest[0], int)
        rest = rest[1:]
    assert len(rest) == (4 if extensible else 0)
    if extensible:
        assert rest[0] is None or isinstance(rest[0], bytes)
        _check_extension(rest[1:])


def _check_extension(value: Value) -> None:
    disposition, languages, location = value
    if disposition is not None:
        kind, parameters = disposition
        assert isinstance(kind, bytes)
        _check_parameters(parameters)
    assert languages is None or all(isinstance(tag, bytes) for tag in languages)
    assert location is None or isinstance(location, bytes)


def _check_parameters(value: Value) -> None:
    assert value is None or (value and len(value) % 2 == 0 and all(isinstance(part, bytes) for part in value))
