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
        if octets and (everything or digest(octets).startswith("00")):
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
    if ours is None:
        # RFC 3501 7.4.2: what is not there is NIL; Dovecot sends an empty string, and for BODY[1.1] of a part that
        # has no parts the part.
        return theirs == b"" or bool(re.fullmatch(r"BODY\[[\d.]*\.1\]", item))
    if b"HEADER.FIELDS" in item.encode() and b"\r\n\r\n" not in octets:
        return bool(
            ours == b"" and theirs == b"\r\n"
        )  # RFC 3501 6.4.5: no empty line of a message that has none
    # RFC 2046 5.1.1: the line end before a delimiter belongs to the delimiter, also behind the last delimiter of a
    # multipart inside; Dovecot counts it there, and not where a header ends at it.
    return bool(ours.rstrip(b"\r\n") == theirs.rstrip(b"\r\n"))


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


# Broken messages, by digest, that both servers understand in their own ways, and why that may be.
_REASONS = {
    "RFC 5322 3.4: no address list; we show what is there, Dovecot stops or guesses": (
        "0eeb5947b59c 1ab8366a2068 217533dbe459 44ae0209367f 5476e5b9d6e6 6d59fc29b28e 6e9d8e407660 856f584bbfc5"
        " 8bd91790f6d8 d2c15bc0fffd d61f779c8599 e03d014cbfe6 e1f6365827b9"
    ),
    "RFC 5322 3.6: a field that must be there once is there twice; Dovecot takes the last, we the first": (
        "3fe1247de295 b06cb26f42e2"
    ),
    "RFC 2045 5.2: a Content-Type that is none means text/plain; Dovecot says neither type nor subtype": (
        "04650d7946a1 064caacbff8a 2f2ac174ba56 3e3970f0d6a0 d596b4475611 fa7df6721f25"
    ),
    "RFC 2046 5.1.1: a multipart without a delimiter is none; Dovecot gives it an empty part": (
        "1262ecaa442d 40f1bd8ca653 5c0fd1896b33 6320050c58a7 9f901f004c4c c4cea6e049aa dd78b0a4b4ab e498a9dc78db"
        " f2e775d49747 ff2b0db8cea0"
    ),
    "RFC 2046 5.1.1: a boundary is compared whole, Dovecot takes one that begins with it": (
        "58dcc5f716b0 5cf6af44cf92 6c5eed53a632 794208eb2891 be14b74c5163"
    ),
    "RFC 2045 5.1: a value that should be in quotes; Dovecot ends it at the first character that needs them": (
        "3bfd8e2458e0 8bd22e5290dd 9e05566cb5df a9294ff24d61 da3526720bc0"
    ),
    "RFC 2045 6.1: an encoding that is none, or that stands beside no MIME-Version; Dovecot says 7bit": (
        "0507c10235dc c721a15c2b92 429df0532b4f 90e5e275ed74 aea96cb76905 f337119ea355"
    ),
    "RFC 2183 2: a disposition that is none": "7541b3e491c6 fa50e059de85",
    "RFC 2046 5.1.1: the line end before a delimiter is not the inner multipart's, in its size neither": (
        "4bbc233af832 57523c492928"
    ),
    "RFC 5322 2.2: a header that a delimiter or a stray line ends": "4a2d54a91ce9 7db5bd603dcc",
}
DIFFERENT = {each for digests in _REASONS.values() for each in digests.split()}
