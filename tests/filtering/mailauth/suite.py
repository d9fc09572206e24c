"""Reads the test suite of RFC 7208: enough of YAML for its one file, and its scenarios as zone files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_KEY = re.compile(r"""("[^"]*"|'[^']*'|[^\s'"#\[{-][^\s]*?|\S[^:]*?):(?:\s+(.*))?$""")
_ESCAPE = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|(0)|(["\\]))')


@dataclass(frozen=True)
class Case:
    scenario: str
    name: str
    helo: str
    host: str
    mailfrom: str
    results: tuple[str, ...]
    zone: str  # as a zone file


def cases(path: Path) -> list[Case]:
    found = []
    for document in path.read_text("utf-8").split("\n---\n")[1:]:
        content = parse(document)
        zone = zone_file(content.get("zonedata") or {})
        for name, test in content["tests"].items():
            wanted = test["result"]
            results = tuple(wanted) if isinstance(wanted, list) else (wanted,)
            found.append(
                Case(
                    str(content["description"]),
                    name,
                    str(test["helo"] or ""),
                    str(test["host"]),
                    str(test["mailfrom"] or ""),
                    results,
                    zone,
                )
            )
    return found


def zone_file(names: Mapping[str, Any]) -> str:
    """The suite's records. SPF (type 99) stands for TXT where a name has no TXT of its own (its comments say so)."""
    lines = ["$TTL 60"]
    for name, records in names.items():
        pairs = [next(iter(record.items())) for record in records if isinstance(record, dict)]
        explicit = {kind for kind, _ in pairs}
        if "TIMEOUT" in records:
            held = explicit - {"SPF"} if "TXT" not in explicit else {"TXT"} & _present(pairs)
            failing = {"A", "AAAA", "MX", "TXT", "PTR", "CNAME"} - held
            lines.append(f";!servfail {name} {' '.join(sorted(failing))}")
        for kind, value in pairs:
            if value == "NONE":
                continue
            if kind == "SPF":
                if "TXT" in explicit:
                    continue
                kind = "TXT"
            text = _rdata(kind, value)
            if text:
                lines.append(f"{_escape(name)}. IN {kind} {text}")
    return "\n".join(lines) + "\n"


def _present(pairs: list[tuple[str, Any]]) -> set[str]:
    return {kind for kind, value in pairs if value != "NONE"}


def _rdata(kind: str, value: Any) -> str:
    if kind == "TXT":
        pieces = value if isinstance(value, list) else [value]
        strings = [
            piece[at : at + 255] for piece in map(str, pieces) for at in range(0, max(1, len(piece)), 255)
        ]
        return " ".join('"' + "".join(_octet(c) for c in string) + '"' for string in strings)
    if kind == "MX":
        return f"{value[0]} {_escape(str(value[1]))}."
    if kind in ("PTR", "CNAME"):
        return f"{_escape(str(value))}."
    return str(value)


def _octet(character: str) -> str:
    return character if character.isalnum() and character.isascii() else f"\\{ord(character):03d}"


def _escape(name: str) -> str:
    return ".".join(
        "".join(c if c in "-_*" else _octet(c) for c in label) for label in name.rstrip(".").split(".")
    )


def parse(text: str) -> Any:
    """A block mapping at indentation 0."""
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    value, rest = _block(lines, 0)
    assert not rest, rest[:3]
    return value


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    if lines and lines[0].lstrip().startswith("- "):
        items = []
        while lines and _indent(lines[0]) == indent and lines[0].lstrip().startswith("- "):
            inner = [" " * (indent + 2) + lines[0].lstrip()[2:].lstrip(), *lines[1:]]
            if _KEY.match(inner[0].strip()) and inner[0].strip()[0] not in "[\"'":
                value, lines = _block(inner, indent + 2)
            else:
                value, lines = _scalar(inner[0].strip()), lines[1:]
            items.append(value)
        return items, lines
    mapping: dict[str, Any] = {}
    while lines and _indent(lines[0]) == indent:
        match = _KEY.match(lines[0].strip())
        assert match, lines[0]
        mapping[str(_scalar(match[1]))], lines = _value((match[2] or "").strip(), lines[1:], indent)
    return mapping, lines


def _value(first: str, lines: list[str], indent: int) -> tuple[Any, list[str]]:
    deeper = 0
    while deeper < len(lines) and _indent(lines[deeper]) > indent:
        deeper += 1
    inside, rest = lines[:deeper], lines[deeper:]
    if first in (">-", "|", "|-"):
        return ("\n" if first != ">-" else " ").join(line.strip() for line in inside), rest
    if first:
        return _scalar(" ".join([first, *(line.strip() for line in inside)])), rest
    if not inside and rest and rest[0].lstrip().startswith("- ") and _indent(rest[0]) == indent:
        return _block(rest, indent)
    if not inside:
        return None, rest
    value, left = _block(inside, _indent(inside[0]))
    assert not left, left[:3]
    return value, rest


def _scalar(text: str) -> Any:
    if text.startswith("["):
        inner = text[1 : text.rindex("]")].strip()
        pieces = re.findall(r""""[^"]*"|'[^']*'|[^,\s][^,]*""", inner)
        return [_scalar(piece.strip()) for piece in pieces]
    if text.startswith('"'):
        body = text[1 : text.rindex('"')]
        return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else "\0" if m[2] else m[3], body)
    if text.startswith("'"):
        return text[1 : text.rindex("'")].replace("''", "'")
    return re.sub(r"\s+#.*", "", text)
