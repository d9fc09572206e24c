"""A shard with messages that are hard to search, and the search through the files as the oracle."""

import random

import pytest

from mailplat.store import Shard
from mailplat.wire.imap import search as keys
from tests import letters
from tests.store.conftest import HOME, Rig, letter

_MIXED = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@x>\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?= =?utf-8?b?77ys?=\r\nBcc: x@y\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"w5xiZXIgZGVuIFdvbGtlbg==\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nwithin\r\n--b\r\n"
    b"Content-Type: application/octet-stream\r\n\r\nneedle\r\n--b--\r\n"
)

HOSTILE = (
    _MIXED,
    b"",
    b"no header at all",
    b"Subject: \xff\xfe\x00nul\r\n\r\n\xff\x00\xff\r\n",
    b"Subject: utf7\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n+2D/cAA-x +2AA-lone\r\n",
    b"Content-Type: image/png\r\n\r\nbytes\r\n",
    letter("x" * 1200 + "END", "long subject\r\n"),
    letter("first", "ab\r\nba\r\n", extra="Subject: second subject\r\n"),
    letter("İstanbul ﬁne ǅ", "K\u212b \ufdfa \U0001f600 a\u0301\r\n"),
    letter("many", "x\r\n", extra="Cc: " + ", ".join(f"p{n}@example.test" for n in range(99)) + "\r\n"),
)


def messages(seed: int, count: int) -> list[bytes]:
    """Letters without attachments, with hostile ones between."""
    chance = random.Random(seed)
    plain = [
        letters.letter(number, "ann@example.test", "bob@example.test", seed=seed)
        for number in range(5 * count)
        if number % 5 in (0, 4)
    ]
    return [chance.choice(HOSTILE) if chance.random() < 0.3 else each for each in plain]


def find(rig: Rig, key: keys.Key, mailbox: int | None = None) -> list[int]:
    return rig.shard.search(HOME, rig.inbox.id if mailbox is None else mailbox, key)


def scanned(shard: Shard, key: keys.Key, mailbox: int) -> list[int]:
    """What the files say."""
    kept = shard.site.fulltext
    mode, kept.mode = kept.mode, "off"
    try:
        return shard.search(HOME, mailbox, key)
    finally:
        kept.mode = mode


def kept_octets(rig: Rig) -> bytes:
    """All that lies on the disk."""
    return b"".join(
        path.read_bytes() for path in sorted(rig.path.glob("fulltext.db*")) if path.suffix != ".db-shm"
    )


def keep(rig: Rig) -> None:
    """As if the inbox had been searched for everything."""
    find(rig, keys.Or((keys.Text("x"), keys.Header("subject", "x"))))
    rig.shard.keep_texts()


@pytest.fixture
def kept(rig: Rig) -> Rig:
    """An inbox with 5 messages whose text is kept."""
    rig.fill(5)
    keep(rig)
    return rig
