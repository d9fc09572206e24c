"""The manifest of a point: which object each message of its index needs. Text, so that it can be read without us.

    {"format": 1, "shard": ..., "taken": Unix time, "index": {"size": ..., "sha256": ...}, "directory": the same}
    a ID ADDRESS                          an account and its address as the directory had it
    m MAILBOX UID SIZE DIGEST UNIQUE      a row of the index; DIGEST "-": gone, expunged while the point was taken;
                                          UNIQUE "-": a name that another program gave
    v 0 ID SIZE DIGEST UNIQUE             the same of a row of the vault, by its number
    end MESSAGES VAULT GONE OCTETS SHA256 of every octet above. A manifest without this line was cut off

Fields are separated by tabs, lines end with LF; messages stand in the order of mailbox and UID, and what is in the
vault behind them.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mailplat.core import disk
from mailplat.core.errors import Unavailable

NAME = "manifest"
FORMAT = 1
GONE = "-"

# Octets of a file hashed or copied at once.
CHUNK = 1 << 20


class Entry(NamedTuple):
    mailbox_id: int  # 0: the vault
    uid: int  # in the vault: the number of the row
    size: int
    digest: str  # GONE: no object
    unique: str  # "-": not ours


@dataclass(slots=True)
class Totals:
    messages: int = 0
    vault: int = 0
    gone: int = 0
    octets: int = 0


class ManifestError(Unavailable):
    """The manifest or the index of a point is not what was written."""


def write(
    path: Path, head: dict[str, Any], addresses: Iterable[tuple[int, str]], entries: Iterable[Entry]
) -> Totals:
    """A new file, on disk when this returns. Step: backup.manifest."""
    totals = Totals()
    digest = hashlib.sha256()
    with disk.failures(path), open(path, "xb") as file:

        def put(line: str) -> None:
            octets = line.encode() + b"\n"
            digest.update(octets)
            file.write(octets)

        put(json.dumps({"format": FORMAT, **head}))
        for account_id, address in addresses:
            put(f"a\t{account_id}\t{address}")
        for entry in entries:
            put("\t".join(("m" if entry.mailbox_id else "v", *map(str, entry))))
            if entry.mailbox_id:
                totals.messages += 1
            else:
                totals.vault += 1
            if entry.digest == GONE:
                totals.gone += 1
            else:
                totals.octets += entry.size
        numbers = f"{totals.messages}\t{totals.vault}\t{totals.gone}\t{totals.octets}"
        file.write(f"end\t{numbers}\t{digest.hexdigest()}\n".encode())
        file.flush()
        disk.fsync(file.fileno(), "backup.manifest")
    return totals


class Manifest:
    """A manifest that was read through once, and is whole. Raises ManifestError when it is not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.addresses: dict[str, int] = {}
        self.head, self.totals = self._check()

    def entries(self) -> Iterator[Entry]:
        with disk.failures(self.path), open(self.path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(("m\t", "v\t")):
                    _, mailbox_id, uid, size, digest, unique = line.rstrip("\n").split("\t")
                    yield Entry(int(mailbox_id), int(uid), int(size), digest, unique)

    def _check(self) -> tuple[dict[str, Any], Totals]:
        digest = hashlib.sha256()
        head: dict[str, Any] = {}
        totals = Totals()
        line = previous = b""
        try:
            with disk.failures(self.path), open(self.path, "rb") as file:
                head = json.loads(file.readline())
                file.seek(0)
                for line in file:
                    digest.update(previous)
                    previous = line
                    if line.startswith(b"a\t"):
                        _, account_id, address = line.decode().rstrip("\n").split("\t")
                        self.addresses[address] = int(account_id)
            word, *numbers, told = line.decode().split()
            totals = Totals(*map(int, numbers))
            if word != "end" or not line.endswith(b"\n"):
                raise ManifestError(f"{self.path}: cut off")
        except (ValueError, TypeError, FileNotFoundError) as error:
            raise ManifestError(f"{self.path}: missing, cut off or damaged") from error
        if told != digest.hexdigest():
            raise ManifestError(f"{self.path}: damaged, its digest is not the one it ends with")
        if head.get("format") != FORMAT:
            raise ManifestError(f"{self.path}: format {head.get('format')}; this release knows {FORMAT}")
        return head, totals


def open_point(manifest: Path, index: Path, directory: Path) -> Manifest:
    """The manifest of a point that is whole, what lies beside it too. Raises ManifestError."""
    opened = Manifest(manifest)
    for name, path in (("index", index), ("directory", directory)):
        try:
            if digest_file(path) != opened.head[name]["sha256"]:
                raise ManifestError(f"{path}: damaged, its digest is not the manifest's")
        except FileNotFoundError as error:
            raise ManifestError(f"{path}: missing") from error
        except (KeyError, TypeError) as error:
            raise ManifestError(f"{manifest}: says nothing of {path.name}") from error
    return opened


def digest_file(path: Path) -> str:
    """Raises FileNotFoundError, Unavailable."""
    with disk.failures(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(path: Path) -> dict[str, Any]:
    """What the head says of a file beside the manifest."""
    return {"size": os.path.getsize(path), "sha256": digest_file(path)}
