"""Against a server that says what we want: no sizes in STATUS, names that become one, limits."""

import re
from pathlib import Path

import pytest

from mailplat.core.errors import Unavailable
from mailplat.core.limits.census import CensusLimits
from migration.census.reading import read
from migration.errors import Misbehaviour, Throttled
from tests.migration.test_imap import Server, serving

MESSAGES = {b'"INBOX"': 400, b'"INBOX/a/b"': 0, b'"INBOX/x"': 100, b'"inbox/x"': 3}


async def answer(server: Server, tag: bytes, rest: bytes) -> None:
    """A mailbox's n-th message has n octets."""
    name = rest.split(b" ")[0]
    if name == b"LIST":
        for each in MESSAGES:
            server.writer.write(b'* LIST () "/" %b\r\n' % each)
        server.writer.write(b'* LIST (\\Noselect) "/" "INBOX/a"\r\n')
    elif name == b"STATUS":
        mailbox = rest.split(b" ")[1]
        assert b"SIZE" not in rest
        server.writer.write(
            b"* STATUS %b (MESSAGES %d UIDNEXT 9 UNSEEN 1)\r\n" % (mailbox, MESSAGES[mailbox])
        )
    elif name == b"EXAMINE":
        count = MESSAGES[rest.split(b" ")[1]]
        server.writer.write(b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n" % count)
    elif name == b"FETCH":
        numbers = [int(each) for each in rest.split(b" ")[1].split(b",")]
        assert len(numbers) <= 100
        for number in numbers:
            server.writer.write(b"* %d FETCH (RFC822.SIZE %d)\r\n" % (number, number))
    server.writer.write(b"%b OK done\r\n" % tag)


async def test_sizes_are_estimated_from_a_sample(tmp_path: Path) -> None:
    limits = CensusLimits(sampled_mailboxes=2, sampled=50)
    async with serving(answer) as server:
        facts = await read(server.backend(), "ada@x.test", tmp_path, limits)
    right = sum(count * (count + 1) // 2 for count in MESSAGES.values())
    assert facts.estimated
    assert facts.octets == pytest.approx(right, rel=0.05)
    assert (facts.messages, facts.fullest, facts.mailboxes, facts.condstore) == (503, 400, 4, False)
    assert sum(line.partition(b" ")[2].startswith(b"FETCH") for line in server.said) == 2
    assert not any(re.search(rb" (SELECT|STORE|APPEND|DELETE|UID) ", line) for line in server.said)


async def test_names_that_would_be_one_are_found_and_do_not_end_it(tmp_path: Path) -> None:
    async with serving(answer) as server:
        facts = await read(server.backend(), "ada@x.test", tmp_path, CensusLimits())
    assert facts.collisions == ("INBOX/x and inbox/x",)


async def test_no_more_mailboxes_are_asked_for_than_the_limit(tmp_path: Path) -> None:
    async with serving(answer) as server:
        facts = await read(server.backend(), "ada@x.test", tmp_path, CensusLimits(mailboxes=1))
    assert (facts.mailboxes, facts.uncounted, facts.messages) == (4, 3, 400)


@pytest.mark.parametrize(
    ("said", "raised"),
    [(b"NO [LIMIT] later", Throttled), (b"BAD what", Misbehaviour)],
)
async def test_what_the_platform_refuses(said: bytes, raised: type[Exception], tmp_path: Path) -> None:
    async def refuse(server: Server, tag: bytes, rest: bytes) -> None:
        if rest.startswith(b"STATUS"):
            server.writer.write(b"%b %b\r\n" % (tag, said))
        else:
            await answer(server, tag, rest)

    async with serving(refuse) as server:
        with pytest.raises(raised):
            await read(server.backend(), "ada@x.test", tmp_path, CensusLimits())


async def test_one_that_hangs_is_left(tmp_path: Path) -> None:
    async def hang(server: Server, tag: bytes, rest: bytes) -> None:
        if not rest.startswith(b"STATUS"):
            await answer(server, tag, rest)

    async with serving(hang) as server:
        with pytest.raises(Unavailable, match="more than 1 s"):
            await read(server.backend(), "ada@x.test", tmp_path, CensusLimits(patience=1.0))
