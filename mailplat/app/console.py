"""What the commands share on the terminal: the options of every command, tables, JSON, passwords."""

import argparse
import getpass
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO, TextIO

from mailplat.core.errors import InvalidInput
from mailplat.core.visible import visible, visible_lines

Subparsers = Any  # argparse._SubParsersAction[argparse.ArgumentParser], which has no public name

# What a column of a database takes.
LARGEST = 2**63 - 1

SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="default: $MAILPLAT_CONFIG, ./mailplat.toml, /etc/mailplat/mailplat.toml",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> int:
    """Print rows as a table or as a JSON list; exit status 3 when there are none."""
    found = list(rows)
    if as_json:
        print(to_json(found))
    elif found:
        cells = [[name.upper().replace("_", " ") for name in columns]]
        cells += [["" if row[name] is None else visible(str(row[name])) for name in columns] for row in found]
        widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
        for row in cells:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0 if found else 3


def to_json(content: object, *, indent: int | None = 2) -> str:
    """For programs and for people: letters are shown, what controls a terminal is escaped."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, default=str)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


class Terminal(io.TextIOBase):
    """Standard output or error where it is a terminal: whatever a command prints, nothing of it controls that."""

    def __init__(self, inner: TextIO) -> None:
        self.inner = inner

    @property
    def buffer(self) -> BinaryIO:
        return self.inner.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.inner.encoding

    def write(self, text: str) -> int:
        self.inner.write(visible_lines(text))
        return len(text)

    def flush(self) -> None:
        self.inner.flush()

    def fileno(self) -> int:
        return self.inner.fileno()

    def isatty(self) -> bool:
        return self.inner.isatty()

    def close(self) -> None:
        self.inner.close()


def guard_terminal() -> None:
    """Once, when a command begins. What goes into files and pipes goes there as it is."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream.isatty() and not isinstance(stream, Terminal):
            setattr(sys, name, Terminal(stream))


def parse_size(text: str) -> int:
    """`10G` -> octets; units K M G T are powers of 1024; `0` is no limit. Raises InvalidInput."""
    number, unit = (text[:-1], text[-1:].upper()) if text[-1:].isalpha() else (text, "")
    if unit not in SIZES or not number.isdecimal() or len(number) > len(str(LARGEST)):
        raise InvalidInput(
            f"{text!r} is not a size; write octets, or a number with K, M, G or T, such as 10G"
        )
    octets = int(number) * SIZES[unit]
    if octets > LARGEST:
        raise InvalidInput(f"{text!r}: a size is at most {LARGEST >> 40}T")
    return octets


def read_password(*, stdin: bool) -> str:
    """One line of standard input, or typed twice at the terminal. Raises InvalidInput when empty or different."""
    if stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        if not sys.stdin.isatty():
            raise InvalidInput("no terminal to ask for a password; give it with --password-stdin")
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise InvalidInput("the two passwords differ")
    if not password:
        raise InvalidInput("a password may not be empty")
    return password
