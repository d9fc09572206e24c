"""FETCH beside a real Dovecot 2.3: the same messages, the same questions, the same answers, or a reason why not.

Real mail and the odd mail of other projects' tests; each run takes those whose digest begins with a zero, and all of
them with MAILPLAT_ALL_SAMPLES=1 (two minutes).
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mailplat.wire.mime import Part, scan
from tests.access.imap.client import Client
from tests.access.imap.conftest import Rig
from tests.dovecot import Dovecot
from tests.wire.imap.replies import read_value
from tests.wire.mime.samples import corpus, vectors

ALL = "MAILPLAT_ALL_SAMPLES"

# What both servers are asked of every message, whatever it is.
ITEMS = (
    "RFC822.SIZE",
    "ENVELOPE",
    "BODY",
    "BODYSTRUCTURE",
    "BODY[HEADER]",
    "BODY[TEXT]",
    "BODY[HEADER.FIELDS (FROM To subject Received X-Nothing)]",
    "BODY[HEADER.FIELDS.NOT (Received From)]<0.100>",
    "BODY[TEXT]<20.50>",
    "BODY[]<5.70>",
    "BODY[]<99999999.10>",
    "BODY[99]",
)

# Parts of one message that are asked for.
PARTS = 12


def samples() -> Iterator[bytes]:
    """Each once. Not those that an IMAP server with files of LF cannot keep as they are: NUL, bare CR and LF."""
    found = dict.fromkeys([*corpus(), *(octets for _, octets in vectors())])
    everything = os.environ.get(ALL) == "1"
    for octets in found:
        if b"\0" in octets or not octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r"):
            continue
        if octets and (everything or digest(octets) in DIFFERENT or digest(octets).startswith("00")):
            yield octets


def digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()[:12]


def paths(part: Part, prefix: str = "") -> Iterator[str]:
    """Numbers of parts (RFC 3501 6.4.5)."""
    for number, child in enumerate(part.children if part.is_multipart else [part], 1):
        path = f"{prefix}{number}"
        yield path
        if child.is_multipart and child is not part:
            yield from paths(child, f"{path}.")
        elif child.holds_message:
            yield from paths(child.children[0], f"{path}.")


def items_of(octets: bytes) -> list[str]:
    wanted = list(ITEMS)
    for path, _ in zip(paths(scan(octets)), range(PARTS), strict=False):
        inside = (
            path,
            f"{path}.MIME",
            f"{path}.HEADER",
            f"{path}.TEXT",
            f"{path}.HEADER.FIELDS (Subject From)",
        )
        wanted += [f"BODY[{section}]" for section in inside]
        wanted.append(f"BODY[{path}]<10.20>")
    return wanted


async def ask(client: Client, number: int, items: Sequence[str]) -> dict[str, Any]:
    wanted = " ".join(item.replace("BODY[", "BODY.PEEK[") for item in items)
    [line] = (line for line in await client.ok(f"FETCH {number} ({wanted})") if b" FETCH (" in line[:30])
    values = read_value(line[line.index(b"(") :])
    return {str(key).upper(): value for key, value in zip(values[::2], values[1::2], strict=True)}


async def test_the_answers_of_both(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "dovecot").mkdir()
    server = Dovecot(tmp_path / "dovecot", [("ann@example.test", "pass")])
    try:
        ours, theirs = await rig.login("INBOX"), await Client.connect(server.imap_port)
        await theirs.ok("LOGIN ann@example.test pass")
        await theirs.ok("SELECT INBOX")
        unexplained: list[str] = []
        for number, octets in enumerate(samples(), 1):
            await asyncio.gather(ours.append(octets), theirs.append(octets))
            wanted = items_of(octets)
            answers = await asyncio.gather(*(ask(each, number, wanted) for each in (ours, theirs)))
            unexplained += compare(octets, *answers)
    finally:
        server.stop()
    assert not unexplained, "\n".join(unexplained)


def compare(octets: bytes, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    assert ours.keys() == theirs.keys()
    return [
        f"{digest(octets)} {item}: {ours[item]!r:.300} and not {theirs[item]!r:.300}"
        for item in ours
        if not agree(octets, item, ours[item], theirs[item])
    ]


def agree(octets: bytes, item: str, ours: Any, theirs: Any) -> bool:
    if ours == theirs or digest(octets) in DIFFERENT:
        return True
    if item == "ENVELOPE":
        return canonical(strip_broken(ours, theirs)) == canonical(strip_broken(theirs, theirs))
    if item in ("BODY", "BODYSTRUCTURE"):
        return canonical(ours) == canonical(theirs)
    # RFC 3501 7.4.2: what is not there is NIL; Dovecot sends an empty string, and for BODY[1.1] of a part that has
    # no parts the part.
    return ours is None and (theirs == b"" or bool(re.fullmatch(r"BODY\[[\d.]*\.1\]", item)))


def canonical(value: Any) -> Any:
    """What stays different matters. Unfolding takes line ends out and leaves white space (RFC 5322 2.2.3): Dovecot
    makes it one space. Dovecot shows the default charset in lower case, whichever the mail has (RFC 2045 5.1: no
    matter), and an encoding as it is, as we do."""
    if isinstance(value, list):
        return [canonical(each) for each in value]
    return b" ".join(value.split()).lower() if isinstance(value, bytes) else value


def strip_broken(envelope: list[Any], theirs: list[Any]) -> list[Any]:
    """Without the address lists in which Dovecot met what RFC 5322 3.4 does not allow: it says so in words of its
    own, we show what is there."""
    broken = [bool(re.search(rb"MISSING_|SYNTAX_ERROR", repr(each).encode())) for each in theirs]
    return [None if wrong else value for value, wrong in zip(envelope, broken, strict=True)]


# Messages that both servers may understand in their own ways, and why.
DIFFERENT: dict[str, str] = {}
