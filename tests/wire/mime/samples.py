"""Messages that others made: the corpus of real mail and the vectors of other projects."""

import tarfile
from collections.abc import Iterator
from functools import cache

from tests.shared import shared

FOLDERS = ("mail-parser", "mikel-mail", "mimekit", "cyrus-mime")
_NOT_MAIL = (".json", ".pub", ".md", ".py", ".tinydns", ".bind9", "LICENSE", "SOURCE.txt", "COPYING")


@cache
def corpus() -> tuple[bytes, ...]:
    """All 4,030 messages of real mail, in memory (22 MB)."""
    with tarfile.open(shared("corpus/real-mail.tar.xz")) as archive:
        members = (archive.extractfile(member) for member in archive if member.name.endswith(".eml"))
        return tuple(member.read() for member in members if member)


def vectors() -> Iterator[tuple[str, bytes]]:
    """Odd and broken messages of other projects' tests, each as it is and with CRLF line ends."""
    for folder in FOLDERS:
        root = shared(f"vectors/{folder}")
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.name.endswith(_NOT_MAIL):
                octets = path.read_bytes()
                yield f"{folder}/{path.name}", octets
                yield f"{folder}/{path.name} (CRLF)", octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
