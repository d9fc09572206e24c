"""What the commands share on the terminal: the options of every command, tables, JSON, passwords."""

import argparse
import getpass
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mailplat.core.errors import InvalidInput

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
        print(json.dumps(found, indent=2, default=str))
    elif found:
        cells = [[name.upper().replace("_", " ") for name in columns]]
        cells += [
            ["" if row[name] is None else _visible(str(row[name])) for name in columns] for row in found
        ]
        widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
        for row in cells:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0 if found else 3


def _visible(text: str) -> str:
    """Senders choose subjects: what controls a terminal, or turns a line around, is not shown as it is."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


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
