"""FETCH of sections of one large message: from its file to the socket in pieces, whatever is asked for.

Where its parts are is found in the page cache, not in our memory. A part without its transfer encoding (RFC 3516) is
decoded twice, once for its size, which a literal says first. Only header blocks that fields are chosen from are held
whole, by not more than limits.large_messages sessions at a time.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from mailplat.access.imap.session import ConnectionGone, Session, log
from mailplat.core.errors import MailplatError
from mailplat.store.mapped import MappedFile
from mailplat.wire.imap.fetch import Form, Section
from mailplat.wire.imap.strings import literal
from mailplat.wire.mime import Part, UnknownEncoding, extract_from_header, scan, span, span_without_scan
from mailplat.wire.mime.decoding import decode, window
from mailplat.wire.mime.sections import Span, decodable, render_value, takes_fields

# One read of a large message, octets.
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One message before its file is read."""

    uid: int
    header_size: int
    head: bytes  # of its reply line, up to the first section's value
    tail: bytes  # what stands behind the last


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be answered."""

    gone: bool = False  # a message was expunged meanwhile
    unknown: bool = False  # a transfer encoding that nobody can undo

    def __or__(self, other: "Missing") -> "Missing":
        return Missing(self.gone or other.gone, self.unknown or other.unknown)


async def send_large(session: Session, sections: Sequence[Section], message: Message) -> Missing:
    """Write one message from its file."""
    view = session.selected
    file = await view.place.call(view.place.shard.open, view.place.residence, view.mailbox_id, message.uid)
    if file is None:
        return Missing(gone=True)
    with file:
        streamer = _Streamer(session, file, message.header_size)
        try:
            session.out(message.head)
            for number, section in enumerate(sections):
                session.out(b" " + section.label + b" " if number else b" ")
                await streamer.send(section)
            session.out(message.tail)
        except ConnectionError:
            raise
        except (MailplatError, OSError) as error:
            # A tagged NO would be read as part of the message that has begun: only closing says what happened.
            log.warning("a message was not sent whole", account=session.account_id, reason=str(error))
            raise ConnectionGone from error
    return Missing(unknown=streamer.unknown)


class _Streamer:
    def __init__(self, session: Session, file: BinaryIO, header_size: int) -> None:
        self._session = session
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._header_size = header_size
        self._root: Part | None = None
        self.unknown = False

    async def send(self, section: Section) -> None:
        whole = span_without_scan(section, self._size, self._header_size)
        if whole is not None and section.form is Form.RAW:
            await self._send_stretch(*whole)
        elif section.form is not Form.RAW:
            await self._send_decoded(section)
        elif takes_fields(section):
            await self._send_fields(section)
        elif (found := span(await self._structure(), section)) is not None:
            await self._send_stretch(*found)
        else:
            self._session.out(b"NIL")

    async def _structure(self) -> Part:
        if self._root is None:
            self._root = await self._session.selected.place.call(_scan, self._file)
        return self._root

    async def _send_stretch(self, start: int, end: int) -> None:
        self._session.out(b"{%d}\r\n" % (end - start))
        await self._send_pieces(_pieces(self._file, (start, end)), end - start)

    async def _send_pieces(self, pieces: Iterator[bytes], size: int) -> None:
        session = self._session
        while (octets := await session.selected.place.call(next, pieces, b"")) != b"":
            size -= len(octets)
            session.out(octets)
            await session.stream.flush()
        if size:
            log.error("a message file ended early", account=session.account_id)
            raise ConnectionGone  # the literal's size is on the wire: only closing says that it is not complete

    async def _send_decoded(self, section: Section) -> None:
        session = self._session
        root = await self._structure()
        try:
            size, has_nul = await session.selected.place.call(_measure, self._decoded(root, section))
        except UnknownEncoding:
            self.unknown = True
            session.out(render_value(section, None))
            return
        if section.form is Form.DECODED_SIZE:
            session.out(b"%d" % size)
        elif decodable(root, section) is None:
            session.out(b"NIL")
        else:
            session.out(b"%b{%d}\r\n" % (b"~" if has_nul else b"", size))  # RFC 3516 4.3
            await self._send_pieces(self._decoded(root, section), size)

    def _decoded(self, root: Part, section: Section) -> Iterator[bytes]:
        """Nothing where there is no such part. Raises UnknownEncoding with the first piece."""
        found = decodable(root, section)
        if found is not None:
            body, decoder = found
            yield from window(decode(_pieces(self._file, body), decoder), section.offset, section.length)

    async def _send_fields(self, section: Section) -> None:
        session = self._session
        block: Span | None = (0, self._header_size)
        if section.path:
            block = span(await self._structure(), section)
        if block is None:
            session.out(b"NIL")
            return
        async with session.services.large:
            header = await session.selected.place.call(_pread, self._file, *block)
            session.out(literal(extract_from_header(header, section)))
            del header
        await session.stream.flush()


def _scan(file: BinaryIO) -> Part:
    if not os.fstat(file.fileno()).st_size:
        return scan(b"")
    with MappedFile.of(file.fileno()) as octets:
        return scan(cast(bytes, octets))  # which copies header blocks only


def _pieces(file: BinaryIO, stretch: Span) -> Iterator[bytes]:
    start, end = stretch
    while start < end and (octets := _pread(file, start, min(start + _PIECE, end))):
        start += len(octets)
        yield octets


def _pread(file: BinaryIO, start: int, end: int) -> bytes:
    return os.pread(file.fileno(), end - start, start)


def _measure(pieces: Iterator[bytes]) -> tuple[int, bool]:
    """Octets, and whether one of them is NUL."""
    size, has_nul = 0, False
    for piece in pieces:
        size += len(piece)
        has_nul = has_nul or b"\0" in piece
    return size, has_nul
