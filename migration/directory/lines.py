"""Lines of text files, bounded: a file of any size costs the memory of one line."""

import os
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mailplat.core.errors import InvalidInput, Unavailable
from migration.directory.entries import Remark

# Octets of one line, with its continuations: a list of 20,000 addresses.
MAX_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    place: str
    text: str


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Raises InvalidInput where there is no such file, Unavailable where it cannot be read."""
    try:
        with open(path, "rb") as file:
            yield file
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or error}") from error


def physical(path: Path) -> Iterator[Line | Remark]:
    """Without their ends; empty ones too."""
    for line, _ in _numbered(path):
        yield line


def _numbered(path: Path) -> Iterator[tuple[Line | Remark, bool]]:
    """With whether it begins with white space. Raises Unavailable behind the last line of a file that was written
    meanwhile: half a directory is not one in which the others are gone."""
    with opened(path) as file:
        before = _stamp(file)
        number = 0
        while octets := file.readline(MAX_LINE + 1):
            number += 1
            if number == 1:
                octets = octets.removeprefix(BOM_UTF8)  # else a part of the first name, which nobody sees
            yield _line(file, octets, f"{path}:{number}"), octets[:1].isspace()
        if _stamp(file) != before:
            raise Unavailable(f"{path} was written while it was read")


def _stamp(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _line(file: BinaryIO, octets: bytes, place: str) -> Line | Remark:
    if len(octets) > MAX_LINE:
        while octets and not octets.endswith(b"\n"):
            octets = file.readline(MAX_LINE)
        return Remark(place, f"a line has at most {MAX_LINE} octets; shorten it")
    try:
        text = octets.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        return Remark(place, "is not UTF-8; write it anew in UTF-8")
    if "\0" in text:
        return Remark(place, "has a NUL")
    if "\r" in text:  # the next line for who wrote it; to us it would be a part of this one, or of a comment
        return Remark(place, "has a CR that ends no line; write it anew with LF")
    return Line(place, text)


def logical(path: Path) -> Iterator[Line | Remark]:
    """As Postfix reads its tables (postconf(5), readllines): a line that begins with white space continues the one
    before; empty lines and comments are skipped, between the two as well. One of which a part cannot be read is left
    out whole."""
    place, parts, size, spoilt = "", list[str](), 0, True
    for line, continues in _numbered(path):
        stripped = line.text.strip() if isinstance(line, Line) else ""
        if isinstance(line, Line) and (not stripped or stripped.startswith("#")):
            continue
        if not continues:
            if not spoilt:
                yield Line(place, " ".join(parts))
            place, parts, size, spoilt = line.place, [], 0, False
        elif not place:
            yield Remark(line.place, "continues nothing: a line must not begin with white space")
            continue
        if isinstance(line, Remark):
            yield line
            spoilt = True
        elif not spoilt:
            size += len(stripped)
            parts.append(stripped)
        if size > MAX_LINE and not spoilt:
            yield Remark(place, f"a line has at most {MAX_LINE} octets with its continuations; shorten it")
            parts, spoilt = [], True
    if not spoilt:
        yield Line(place, " ".join(parts))
