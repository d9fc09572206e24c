"""A session between two homes: what its client believes, taken down before the connection to the backend ends.

    step          the client                    the backend                     may write there
    at rest       waits, or idles               has answered everything         the client
    DONE          idles                         ends the IDLE                   nobody: we read no client any more
    counted       idles, has heard of all new   has told UIDs and flags of all  nobody
    closed        idles                         the connection is gone          nobody; the fence may go on

Whatever goes otherwise than expected (a NO, a line that nobody asked for, too long a wait) gives no Parked: the
client gets BYE, as every session of the account did before.
"""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mailplat.access.proxy.upstream import read_line
from mailplat.core.limits.imap import ImapLimits
from mailplat.wire.imap.observer import Observer, Selected

_TAGS = (b"zz-carry-1", b"zz-carry-2")
_UID = re.compile(rb"\* (\d+) FETCH \(UID (\d+)\)\r?\n\Z", re.IGNORECASE)
_REMOVAL = re.compile(rb"\* (?:\d+ EXPUNGE|VANISHED)\b", re.IGNORECASE)
_ITEM = re.compile(rb"(UID|MODSEQ|FLAGS) (?:\(([^()]*)\)|(\d+))", re.IGNORECASE)
_FETCH = re.compile(
    rb"\* (\d+) FETCH \(((?:(?:UID|MODSEQ|FLAGS) (?:\([^()]*\)|\d+) ?)+)\)\r?\n\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Known:
    """One message, as its client knows it."""

    uid: int
    flags: tuple[str, ...]
    modseq: int = 0


@dataclass(frozen=True, slots=True)
class Parked:
    """`idling`: the tag of the client's IDLE, which goes on; "" for a client that is silent between two commands.
    `known`: by sequence number, where a mailbox is selected. `unsent`: what the client sent afterwards; the next home
    gets it."""

    selected: Selected | None
    known: tuple[Known, ...]
    enabled: frozenset[str]
    idling: str
    unsent: bytes = b""


class Otherwise(Exception):
    """The backend says something else than was to be expected."""


async def park(
    observer: Observer, reader: StreamReader, upstream: StreamWriter, writer: StreamWriter, limits: ImapLimits
) -> Parked | None:
    """`reader` and `upstream` are the backend's, `writer` the client's; the observer is at rest, and nobody else
    reads or writes any of the three meanwhile."""
    idling, selected = observer.idling, observer.selected
    try:
        async with asyncio.timeout(limits.carry_wait):
            if idling:
                upstream.write(b"DONE\r\n")
                await until(idling.encode("ascii"), reader, writer, observer)
            known: dict[int, Known] = {}
            if selected is not None and selected.exists:
                if selected.exists > limits.carry_messages:
                    return None
                # What the client has not heard yet of flags is told with the first; FETCH never removes a message
                # (RFC 3501 7.4.1), so the second counts as the client does.
                upstream.write(b"%b FETCH 1:* (UID)\r\n" % _TAGS[0])
                await until(_TAGS[0], reader, writer, observer, lambda line: _UID.match(line) is not None)
                # Others may append meanwhile; what came during the last look is seen by one more, within carry_wait.
                while set(known) != set(range(1, selected.exists + 1)):
                    known = await flags_of_all(reader, upstream, writer, observer)
    except (Otherwise, TimeoutError, OSError, EOFError, ValueError):
        return None
    ordered = tuple(known[number] for number in sorted(known))
    if not ascending(ordered):
        return None
    return Parked(selected, ordered, frozenset(observer.enabled), idling)


def ascending(known: Sequence[Known]) -> bool:
    """RFC 9051 2.3.1.1: UIDs rise strictly, within 32 bits."""
    uids = [0, *(each.uid for each in known), 1 << 32]
    return all(low < high for low, high in pairwise(uids))


async def flags_of_all(
    reader: StreamReader, upstream: StreamWriter, writer: StreamWriter | None, observer: Observer
) -> dict[int, Known]:
    """By sequence number. Lines of another kind are passed to `writer`, where there is one, and so is what a message
    is told of a second time: its flags changed meanwhile (RFC 3501 7.4.2; often without UID). Raises as `until`."""
    found: dict[int, Known] = {}
    flagsets: dict[tuple[str, ...], tuple[str, ...]] = {}  # few, of many messages: each is held once

    def take(line: bytes) -> bool:
        matched = _FETCH.match(line)
        if matched is None:
            return False
        items = {name.upper(): text or number for name, text, number in _ITEM.findall(matched[2])}
        before = found.get(int(matched[1]))
        uid = int(items.get(b"UID") or (before.uid if before else 0))
        if not uid or b"FLAGS" not in items:
            return False
        flags = (flag.decode("ascii", "replace") for flag in items[b"FLAGS"].split())
        kept = tuple(flag for flag in flags if flag.casefold() != "\\recent")
        modseq = int(items.get(b"MODSEQ") or (before.modseq if before else 0))
        found[int(matched[1])] = Known(uid, flagsets.setdefault(kept, kept), modseq)
        return before is None

    more = b" MODSEQ" if "CONDSTORE" in observer.enabled or "QRESYNC" in observer.enabled else b""
    upstream.write(b"%b FETCH 1:* (UID FLAGS%b)\r\n" % (_TAGS[1], more))
    await until(_TAGS[1], reader, writer, observer, take)
    return found


async def until(
    tag: bytes,
    reader: StreamReader,
    writer: StreamWriter | None,
    observer: Observer,
    ours: Callable[[bytes], bool] = lambda line: False,
    *,
    tagged: bool = False,
) -> None:
    """Up to the reply with that tag, which is ours alone; lines that are not `ours` are the client's. `tagged`: the
    observer is to hear of it. Raises Otherwise, OSError, EOFError, ValueError."""
    while not (line := await read_line(reader)).startswith(tag + b" "):
        if ours(line):
            continue
        if not line.startswith(b"* ") or line.rstrip(b"\r\n").endswith(b"}"):
            raise Otherwise
        if not observer.idling and _REMOVAL.match(line):
            raise Otherwise  # it would renumber under a client that is between commands
        observer.feed(line)
        if not observer.carriable:
            raise Otherwise
        if writer is not None:
            writer.write(line)
    if line[len(tag) + 1 : len(tag) + 4].upper() != b"OK ":
        raise Otherwise
    if tagged:
        observer.feed(line)
