"""SORT by every criterion and THREAD by both algorithms, beside Dovecot 2.3, over real mail and threads made up."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.spool import Body
from mailplat.store.types import NewMessage
from tests.access.imap.client import Client
from tests.access.imap.conftest import Rig
from tests.dovecot import Dovecot
from tests.shared import shared

ANN = "ann@example.test"
COUNT = 250
ARRIVED = 1_107_252_000  # 1 February 2005, 10:00 UTC

# What is read in another way, and why that stays: messages that have such a field are left out.
BROKEN_ADDRESS = (
    rb"^(?:from|to|cc):(?:"
    rb" *@"  # no local part: Dovecot calls it MISSING_MAILBOX
    rb"|[^\r\n]*\"\" [^<\r\n]+ \""  # `"" Angles " Puglisi" <a@x>`: Dovecot takes the last quoted string, we all of it
    rb"|[^\r\n]*<(?:undisclosed[ -]recipients?|C:`|>)"  # no address within < >: Dovecot finds none, we what is there
    rb")"
)
DIFFERENT = {
    "DATE": rb"^date:[^\r\n]*\+-",  # RFC 5256 2.2: an unknown zone is UTC; Dovecot takes INTERNALDATE
    "SUBJECT": rb"^subject:[^\r\n]*[\x80-\xff]",  # octets of no named charset: we decode, Dovecot has "?"
    "FROM": BROKEN_ADDRESS,
    "TO": BROKEN_ADDRESS,
    "CC": BROKEN_ADDRESS,
    "DISPLAYFROM": BROKEN_ADDRESS,
    "DISPLAYTO": BROKEN_ADDRESS,
    "ARRIVAL": rb"(?!)",
    "SIZE": rb"(?!)",
}


def real() -> Iterator[bytes]:
    with tarfile.open(shared("corpus/real-mail.tar.xz")) as archive:
        taken = 0
        for member in archive:
            if member.name.endswith(".eml") and member.size < 20_000:
                file = archive.extractfile(member)
                assert file is not None
                yield file.read()
                taken += 1
                if taken == COUNT:
                    return


def made_up() -> Iterator[bytes]:
    """ID, subject, references, In-Reply-To."""
    rows = (
        ("a2", "Re: made up A", "a1", ""),  # before what it answers
        ("a1", "made up A", "", ""),
        ("a4", "[x] RE: made up A", "a1 a3", ""),  # a3 is not there
        ("a5", "Re: made up A", "", "a4"),
        ("b2", "Re: made up B", "b1", ""),  # b1 is not there
        ("b3", "Re: made up B", "b1", ""),
        ("b4", "made up B", "", ""),  # joins them by its subject
        ("c1", "made up C", "", ""),
        ("c2", "made up C", "", ""),
        ("c3", "Fwd: made up C (fwd)", "", ""),
        ("d1", "", "", ""),
        ("d2", "", "", ""),
        ("e1", "[fwd: Re: made up C]", "", ""),
        ("f1", "made up F", "", ""),
        ("f1", "made up G", "", ""),  # the same ID
        ("f2", "Re: made up G", "f1", ""),
        ("g1", "made up loop", "g2", ""),
        ("g2", "made up loop", "g1", ""),
        ("h3", "h", "h1 h2", ""),
        ("h4", "i", "h1 h2 h3", ""),
        ("h5", "j", "h1", ""),
        ("k1", "Re: made up K", "", ""),
        ("k2", "made up K", "", ""),
        ("k3", "Re: made up K", "", ""),
    )
    for n, (own, subject, references, answered) in enumerate(rows):
        lines = [
            f"From: =?utf-8?q?=C3=84?= {own} <{own}@x>",
            f"Subject: {subject}",
            f"Message-ID: <{own}@made.up>",
        ]
        lines += [f"References: {' '.join(f'<{each}@made.up>' for each in references.split())}"] * bool(
            references
        )
        lines += [f"In-Reply-To: <{answered}@made.up>"] * bool(answered)
        lines += [f"Date: Sun, 4 Jan 2004 10:{n * 7 % 60:02}:00 +0{n % 10}00", "", "text", ""]
        yield "\r\n".join(lines).encode()


@pytest.mark.interop
async def test_beside_dovecot(rig: Rig, tmp_path: Path) -> None:
    messages = [*real(), *made_up()]
    (tmp_path / "dovecot").mkdir()
    server = Dovecot(tmp_path / "dovecot", [(ANN, "pass")])
    try:
        theirs = await Client.connect(server.imap_port)
        await theirs.ok(f"LOGIN {ANN} pass")
        dated = (
            b' "01-Feb-2005 10:%02d:%02d +0000" {%d+}\r\n%b' % (*divmod(n, 60), len(octets), octets)
            for n, octets in enumerate(messages)
        )
        await theirs.ok(b"APPEND INBOX" + b"".join(dated))
        await theirs.ok("SELECT INBOX")
        new = [NewMessage(Body.of(octets), internaldate=ARRIVED + n) for n, octets in enumerate(messages)]
        for start in range(0, len(new), 100):
            await rig.store.append(rig.residence, "INBOX", new[start : start + 100])
        ours = await rig.login("INBOX")
        heads = [octets.partition(b"\r\n\r\n")[0] for octets in messages]

        def comparable(*criteria: str) -> str:
            patterns = [re.compile(DIFFERENT[criterion], re.I | re.M) for criterion in criteria]
            return ",".join(
                str(n)
                for n, head in enumerate(heads, 1)
                if not any(pattern.search(head) for pattern in patterns)
            )

        for criterion in DIFFERENT:
            for order in (criterion, f"REVERSE {criterion}", f"{criterion} REVERSE ARRIVAL"):
                numbers = comparable(criterion, "SUBJECT", "DATE")
                command = f"SORT ({order}) UTF-8 {numbers}"
                assert await ours.ok(command) == await theirs.ok(command), order
        for algorithm in ("ORDEREDSUBJECT", "REFERENCES"):
            command = f"THREAD {algorithm} UTF-8 {comparable('SUBJECT', 'DATE')}"
            assert await ours.ok(command) == await theirs.ok(command)
        await theirs.close()
    finally:
        server.stop()
