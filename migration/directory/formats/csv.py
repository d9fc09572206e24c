"""Comma-separated values (RFC 4180) with a header: the columns of one kind of cells.py, in any order."""

import csv
from collections.abc import Iterator
from pathlib import Path

from mailplat.core.errors import InvalidInput
from migration.directory import cells
from migration.directory.entries import Entries, Remark
from migration.directory.lines import physical
from migration.directory.options import FileOptions


class Options(FileOptions):
    scheme: str = "CRYPT"  # of hashes without a tag
    delimiter: str = ","
    null: str = ""  # a cell that says no more than an empty one: "NULL", as `mysql -B` prints it


class _Spoilt(Exception):
    def __init__(self, remark: Remark) -> None:
        super().__init__(remark.text)
        self.remark = remark


def read(options: Options, folder: Path) -> Entries:
    """A line that is not UTF-8 ends it: which field the next line belongs to cannot be known. Raises InvalidInput."""
    path = options.path(folder)
    if len(options.delimiter) != 1:
        raise InvalidInput(f"{path}: delimiter is one character")
    reader = csv.reader(_lines(path), delimiter=options.delimiter, strict=True)
    try:
        header = [name.strip().lower().removeprefix("\ufeff") for name in next(reader, [])]
        kind = _kind(header, path)
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if not any(row):
                continue
            if len(row) != len(header):
                yield Remark(place, f"has {len(row)} columns, the header {len(header)}")
                continue
            cell = dict(zip(header, ("" if each == options.null else each for each in row), strict=True))
            yield from cells.entries(kind, cell, place, options.scheme)
    except csv.Error as error:
        raise InvalidInput(f"{path}:{reader.line_num}: {error}") from error
    except _Spoilt as spoilt:
        raise InvalidInput(f"{spoilt.remark.place}: {spoilt.remark.text}") from spoilt


def _lines(path: Path) -> Iterator[str]:
    for line in physical(path):
        if isinstance(line, Remark):
            raise _Spoilt(line)
        yield line.text + "\n"


def _kind(header: list[str], path: Path) -> str:
    """Raises InvalidInput."""
    for name in header:
        if header.count(name) > 1:
            raise InvalidInput(f"{path}:1: column {name[:40]!r} is there twice")
    for kind, (needed, more) in sorted(cells.KINDS.items()):
        if set(needed) <= set(header):
            for name in header:
                if name not in (*needed, *more):
                    known = ", ".join((*needed, *more))
                    raise InvalidInput(f"{path}:1: {name[:40]!r} is no column of {kind}; known: {known}")
            return kind
    wanted = " or ".join(" and ".join(needed) for _, (needed, _) in sorted(cells.KINDS.items()))
    raise InvalidInput(f"{path}:1: the header needs {wanted}")
