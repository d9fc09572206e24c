"""The maildrop's commands (RFC 1939 5 to 7)."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from mailplat.access.pop3.maildrop import Message, read_piece
from mailplat.access.pop3.session import Session, State, log
from mailplat.core.errors import Unavailable
from mailplat.wire import pop3
from mailplat.wire.mime.downgrade import Downgrader

NO_SUCH = pop3.err("No such message")


async def stat(session: Session, command: pop3.Command) -> None:
    session.out(pop3.ok(f"{session.drop.count} {session.drop.octets}"))


async def list_(session: Session, command: pop3.Command) -> None:
    drop = session.drop
    await _listing(session, command, lambda message: str(message.size), drop.size_lines)


async def uidl(session: Session, command: pop3.Command) -> None:
    drop = session.drop
    await _listing(session, command, lambda message: drop.uidl(message.number), drop.uidl_lines)


async def _listing(
    session: Session,
    command: pop3.Command,
    column: Callable[[Message], str],
    lines: Callable[[int], Iterator[str]],
) -> None:
    """One message's line in the reply, or one line each of all that are not deleted."""
    if command.arguments:
        message = _named(session, command.arguments)
        session.out(pop3.ok(f"{message.number} {column(message)}") if message else NO_SUCH)
        return
    session.out(pop3.ok(f"{session.drop.count} messages ({session.drop.octets} octets)"))
    for piece in lines(session.limits.rows):
        session.out(piece.encode("ascii"))
        await session.stream.flush()
    session.out(b".\r\n")


async def retr(session: Session, command: pop3.Command) -> None:
    message = _named(session, command.arguments)
    if message is None:
        session.out(NO_SUCH)
    elif (octets := session.drop.ready(message)) is not None:
        session.out(pop3.multiline(message.size, octets))
    else:
        await _send(session, message, None)


async def top(session: Session, command: pop3.Command) -> None:
    arguments = command.arguments
    lines = pop3.parse_number(arguments[1]) if len(arguments) == 2 else None
    if lines is None:
        session.out(pop3.err("TOP message lines"))
        return
    message = _named(session, arguments[:1])
    if message is None:
        session.out(NO_SUCH)
    else:
        await _send(session, message, pop3.Top(lines))


async def dele(session: Session, command: pop3.Command) -> None:
    message = _named(session, command.arguments)
    if message is None:
        session.out(NO_SUCH)
    else:
        session.drop.delete(message.number)
        session.out(pop3.ok(f"Message {message.number} goes at QUIT"))


async def rset(session: Session, command: pop3.Command) -> None:
    session.drop.reset()
    session.out(pop3.ok(f"{session.drop.count} messages ({session.drop.octets} octets)"))


async def noop(session: Session, command: pop3.Command) -> None:
    session.out(pop3.ok())


async def update(session: Session, command: pop3.Command) -> None:
    """QUIT: the UPDATE state (RFC 1939 6). The lock is given back before the reply, so that a client that connects
    again at once gets in."""
    session.state = State.ENDED
    deleted = session.drop.deleted
    try:
        if deleted:
            await session.services.executors.run(session.lane, session.drop.commit)
    except Unavailable as error:  # StaleEpoch too: the account moved
        log.warning("deletions refused", account=session.account_id, messages=deleted, reason=str(error))
        session.out(pop3.err("Deleted messages were not removed", "SYS/TEMP"))
        return
    finally:
        await session.close()
    session.out(pop3.ok("Bye"))


def _named(session: Session, arguments: list[bytes]) -> Message | None:
    number = pop3.parse_number(arguments[0]) if len(arguments) == 1 else None
    return None if number is None else session.drop.find(number)


async def _send(session: Session, message: Message, top: pop3.Top | None) -> None:
    """Piece by piece: a large message costs one piece of memory and what the socket holds, and where it is downgraded
    a header block."""
    chunk = session.limits.chunk
    ahead = session.drop.ready(message)
    first = (
        (ahead, None) if ahead is not None else await session.call(session.drop.read, message, session.limits)
    )
    if first is None:
        session.out(pop3.err("That message was removed meanwhile"))
        return
    piece, file = first
    stuffer = pop3.Stuffer()
    # RFC 6856 2.1: without UTF8 a message that needs it goes out as a surrogate.
    downgrader = None if session.utf8 or (file is None and piece.isascii()) else Downgrader()
    size = message.size
    try:
        ended = file is None
        if downgrader is not None:
            piece = await session.call(downgrader.feed, piece) + (downgrader.finish() if ended else b"")
            size = len(piece) if ended else size
        session.out(pop3.ok("Top of message follows" if top else f"{size} octets"))
        while True:
            session.out(stuffer.feed(top.feed(piece) if top else piece))
            if file is None or ended or (top is not None and top.done):
                break
            await session.stream.flush()
            piece = await _next_piece(session, file, chunk)
            ended = not piece
            if downgrader is not None:
                piece = downgrader.finish() if ended else await session.call(downgrader.feed, piece)
    finally:
        if file is not None:
            await session.call(file.close)
    session.out(stuffer.finish())


async def _next_piece(session: Session, file: BinaryIO, chunk: int) -> bytes:
    """In the middle of a reply nothing but its rest may be sent: a disk that fails now ends the connection."""
    try:
        return await session.call(read_piece, file, chunk)
    except Unavailable as error:
        log.error("message cut off", account=session.account_id, reason=str(error))
        session.stream.abort()
        raise ConnectionAbortedError(str(error)) from error
