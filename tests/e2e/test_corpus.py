"""4,030 real messages in over SMTP come back identical over IMAP and POP3, and each has an ENVELOPE."""

import imaplib
import itertools
import re

import pytest

from tests.demo.ledger import is_trace
from tests.e2e import corpus
from tests.e2e.conftest import ACCOUNTS, PASSWORD
from tests.rig import Rig


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> list[corpus.Letter]:
    return corpus.unpack(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def sent(platform: Rig, letters: list[corpus.Letter]) -> dict[str, list[corpus.Letter]]:
    """What was sent to each account."""
    pairs = list(zip(itertools.cycle(ACCOUNTS), letters, strict=False))
    corpus.send(platform.ports["smtp"], pairs)
    owed: dict[str, list[corpus.Letter]] = {account: [] for account in ACCOUNTS}
    for account, letter in pairs:
        owed[account].append(letter)
    return owed


def strip_trace(stored: bytes, owed: list[corpus.Letter]) -> str:
    """The name of the letter that this is, octet for octet below the trace fields."""
    letter = corpus.original(stored, owed)
    assert letter is not None, f"came back changed: {stored[:300]!r}"
    assert is_trace(stored[: len(stored) - len(letter.octets)]), letter.name
    return letter.name


def test_each_message_comes_back_identical_over_imap(
    platform: Rig, sent: dict[str, list[corpus.Letter]]
) -> None:
    for account, owed in sent.items():
        found = corpus.read_imap(platform.ports["imap"], account, PASSWORD)
        assert len(found) == len(owed), account
        contents = {letter.octets for letter in owed}
        names = sorted(strip_trace(stored, owed) for stored in found.values())
        if len(contents) == len(owed):
            assert names == sorted(letter.name for letter in owed)


def test_each_message_comes_back_identical_over_pop3(
    platform: Rig, sent: dict[str, list[corpus.Letter]]
) -> None:
    for account, owed in sent.items():
        by_imap = corpus.read_imap(platform.ports["imap"], account, PASSWORD)
        assert corpus.read_pop3(platform.ports["pop3"], account, PASSWORD) == list(by_imap.values())
        assert len(by_imap) == len(owed)


@pytest.mark.parametrize("item", ["ENVELOPE", "BODYSTRUCTURE", "BODY", "RFC822.HEADER", "FULL"])
def test_each_message_has(platform: Rig, sent: dict[str, list[corpus.Letter]], item: str) -> None:
    for account, owed in sent.items():
        with imaplib.IMAP4("127.0.0.1", platform.ports["imap"], timeout=60) as imap:
            imap.login(account, PASSWORD)
            imap.select("INBOX", readonly=True)
            status, answer = imap.uid("FETCH", "1:*", f"({item})" if item != "FULL" else "FULL")
        assert status == "OK"
        text = b"".join(part if isinstance(part, bytes) else part[0] for part in answer)
        assert len(re.findall(rb"UID \d+", text)) == len(owed), account


def test_the_shards_agree_with_their_files(platform: Rig, sent: dict[str, list[corpus.Letter]]) -> None:
    rows = platform.query("shard", "verify")
    assert sum(row["messages"] for row in rows) == sum(map(len, sent.values()))
    assert [row["problems"] for row in rows] == [0, 0]
