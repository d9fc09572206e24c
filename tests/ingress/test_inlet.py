"""ingress/inlet.py: lines and chunks, however the network cuts them."""

import asyncio
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.ingress.inlet import EndOfInput, Inlet, LineRefused

STREAM = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a", b"bc", b"\0", b"x" * 30])).map(b"".join)
LIMIT = 20


async def read_all(chunks: list[bytes]) -> list[bytes | None]:
    """Lines; None for each that was refused."""
    reader = asyncio.StreamReader()
    inlet = Inlet(reader)
    lines: list[bytes | None] = []

    async def read() -> None:
        while True:
            try:
                lines.append(await inlet.line(LIMIT))
            except LineRefused:
                lines.append(None)
            except EndOfInput:
                return

    task = asyncio.create_task(read())
    for chunk in chunks:
        reader.feed_data(chunk)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    reader.feed_eof()
    await task
    return lines


def expected(octets: bytes) -> list[bytes | None]:
    """One answer for each CRLF line, but one for each bare LF in it where there is any."""
    answers: list[bytes | None] = []
    *lines, rest = octets.split(b"\r\n")
    for line in lines:
        bare = line.count(b"\n")
        if bare or len(line) + 2 > LIMIT or b"\r" in line:
            answers += [None] * max(bare, 1)
        else:
            answers.append(line)
    return answers + [None] * rest.count(b"\n")


@settings(max_examples=300, deadline=None)
@given(STREAM, st.lists(st.integers(0, 60), max_size=6))
def test_only_whole_clean_lines_are_obeyed(octets: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    chunks = [octets[a:b] for a, b in itertools.pairwise(edges) if b > a]
    assert asyncio.run(read_all(chunks)) == expected(octets)


def test_the_reference_itself() -> None:
    assert expected(b"a\r\nb\nc\r\nd\r\n") == [b"a", None, b"d"]
    assert re.fullmatch(rb"[^\r\n]*", b"a")


async def test_memory_is_bounded_by_the_limit() -> None:
    reader = asyncio.StreamReader()
    inlet = Inlet(reader)
    task = asyncio.create_task(inlet.line(LIMIT))
    for _ in range(100):
        reader.feed_data(b"x" * 10_000)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(inlet._pending) <= 10_001
    reader.feed_data(b"\r\nNOOP\r\n")
    with pytest.raises(LineRefused, match="longer than 20"):
        await task
    assert await inlet.line(LIMIT) == b"NOOP"


async def test_chunks_and_lines_share_what_is_pending() -> None:
    reader = asyncio.StreamReader()
    inlet = Inlet(reader)
    reader.feed_data(b"DATA\r\nbody\r\n.\r\nQUIT\r\n")
    assert await inlet.line(LIMIT) == b"DATA"
    assert inlet.pending
    assert await inlet.chunk() == b"body\r\n.\r\nQUIT\r\n"
    inlet.push_back(b"QUIT\r\n")
    assert await inlet.line(LIMIT) == b"QUIT"
    assert not inlet.pending
    reader.feed_eof()
    with pytest.raises(EndOfInput):
        await inlet.chunk()
