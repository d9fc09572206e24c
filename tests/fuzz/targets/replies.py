"""What the migration reads of a platform's IMAP server: a stated failure, or the same replies in any pieces."""

import asyncio
import atexit
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from mailplat.core.errors import MailplatError
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.spool import Body
from migration.sources.contract import Listed
from migration.sources.imap import Exchange, Protocol
from tests.fuzz.targets.framer import bytewise, cut

MODULES = ("migration/sources/",)
LONGEST = 1600
_LOOP = asyncio.new_event_loop()  # never runs: the reader asks it for futures and the time
atexit.register(_LOOP.close)
_SPOOL = Path(tempfile.gettempdir())

WORDS = (
    b"\r\n",
    b"* ",
    b"A1 OK done\r\n",
    b"A1 NO [LIMIT] x\r\n",
    b"A1 BAD x\r\n",
    b"+ go\r\n",
    b"* 1 FETCH (UID 3 FLAGS (\\Seen) ",
    b"BODY[] {3}\r\nabc",
    b'INTERNALDATE " 1-Feb-2026 10:00:00 +0100"',
    b"RFC822.SIZE 3",
    b")",
    b"(",
    b"{5}\r\n",
    b"{0}\r\n",
    b"{9999999999}\r\n",
    b'* LIST (\\Noselect) "/" ',
    b"* BYE Suggested Backoff Time: 5 milliseconds\r\n",
    b"NIL",
    b'"x\\"y"',
    b"MODSEQ (5)",
    b"* VANISHED (EARLIER) 1:3\r\n",
    b"* STATUS INBOX (MESSAGES 1)\r\n",
    b"* OK [UIDVALIDITY 5] x\r\n",
    b"\0",
    b"\xff",
)
SEEDS = (
    b'\x00* 1 FETCH (UID 3 FLAGS (\\Seen a) INTERNALDATE " 1-Feb-2026 10:00:00 +0100" RFC822.SIZE 3 '
    b"BODY[] {3}\r\nabc)\r\nA1 OK done\r\n",
    b'\x01* LIST (\\HasNoChildren) "/" {3}\r\nabc\r\n* STATUS "abc" (MESSAGES 1 UIDNEXT 2)\r\n'
    b"A1 NO [NONEXISTENT] x\r\n",
    b"\x02+ go\r\n* BYE Suggested Backoff Time: 5 milliseconds\r\n",
)


class _Wire:
    """A transport that goes nowhere."""

    def write(self, octets: bytes) -> None:
        pass

    def abort(self) -> None:
        pass


def run(octets: bytes) -> None:
    choice, octets = octets[0] if octets else 0, octets[1:]
    whole = _read([octets], choice)
    for pieces in (bytewise(octets), cut(octets, choice)):
        assert _read(pieces, choice) == whole, "other replies in other pieces"


def _read(pieces: Iterable[bytes], choice: int) -> list[object]:
    protocol = Protocol(_LOOP, _SPOOL, SourceLimits())
    protocol.transport = cast(asyncio.Transport, _Wire())
    protocol.greeting.set_result(b"* OK")
    exchange = Exchange("UID", "A1", _LOOP)
    heard: list[object] = []

    def found(listed: Listed, body: bytes | Body | None) -> None:
        heard.append((listed, _octets(body)))

    if choice & 1:
        exchange.found = found
    if choice & 2:
        exchange.more.append(b"x")
    protocol.start(exchange, b"UID FETCH")
    for piece in pieces:
        protocol.data_received(piece)
    error = exchange._exception
    assert error is None or isinstance(error, MailplatError), repr(error)
    heard += [
        [_octets(part) for part in response] if isinstance(response, list) else repr(response)
        for response in exchange.responses
    ]
    heard.append((type(error), str(error)))
    heard.append(exchange.response.result)
    protocol.fail(error or ConnectionError("over"))
    return heard


def _octets(part: bytes | Body | None) -> bytes | None:
    if not isinstance(part, Body):
        return part
    octets = part.octets()
    part.close()
    return octets
