"""The loop of one connection: framer events to commands, errors to replies, in the order of the commands."""

import asyncio
import ssl

from mailplat.access.imap.appending import Appender
from mailplat.access.imap.capability import capabilities
from mailplat.access.imap.command import SELECTED, Command, names_by_number, registry
from mailplat.access.imap.idle import go_on
from mailplat.access.imap.limiting import finish
from mailplat.access.imap.moving import Unanswered, follow, may_follow
from mailplat.access.imap.notifying import attend, push
from mailplat.access.imap.reading import READING
from mailplat.access.imap.refusal import BUG, NO_RIGHT, NUMBERED, Tagged, bad, refusal
from mailplat.access.imap.request import Request, State
from mailplat.access.imap.session import MOVED, ConnectionGone, Farewell, Session, log
from mailplat.core.errors import NotFound, StaleEpoch
from mailplat.wire.imap import events, response

# Commands that run without an await in between, before other connections get a turn.
BURST = 50


class Dialogue:
    """Runs a Session to its end."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._commands = registry()
        self._appender = Appender(session)
        self._bad = 0  # commands not understood, in a row

    async def run(self) -> None:
        """Returns when the connection is over, whoever ended it; raises only CancelledError."""
        session = self.session
        host = session.services.hostname.encode("ascii", "replace")
        session.out(b"* OK [CAPABILITY %b] %b ready\r\n" % (capabilities(session), host))
        farewell = ""
        try:
            await self._live()
        except Farewell as error:
            farewell = str(error)
        except (ConnectionError, ConnectionGone, ssl.SSLError):
            pass  # the client went away: nobody is left to tell
        except asyncio.CancelledError:
            if not session.ending:
                raise
            farewell = session.ending
        finally:
            await self._appender.close()
        if farewell and not session.handed_over:
            session.out(response.untagged_status("BYE", farewell))

    async def _live(self) -> None:
        """From home to home."""
        session = self.session
        while True:
            try:
                await go_on(session)
                return await self._converse()
            except (Farewell, asyncio.CancelledError) as error:
                if isinstance(error, Unanswered) or self._appender.busy or not may_follow(session):
                    raise
                if isinstance(error, asyncio.CancelledError) and session.task is not None:
                    session.task.uncancel()
            await follow(session)

    async def _converse(self) -> None:
        session = self.session
        burst = 0
        while session.state is not State.LOGOUT:
            event = session.framer.next()
            if event is None:
                self._appender.start()
                await session.stream.flush()
                octets = await self._hear()
                if not octets:
                    return
                session.framer.feed(octets)
                burst = 0
                continue
            await self._take(event)
            if session.stream.full:
                await session.stream.flush()
            burst += 1
            if burst % BURST == 0:
                await asyncio.sleep(0)
            if session.ending:
                raise Farewell(session.ending)

    async def _hear(self) -> bytes:
        """What the client sends next. While it is silent between two commands, what NOTIFY asked for is told."""
        session = self.session
        if not session.watch.speaks or session.framer.midway:
            return await session.read()
        coming = asyncio.ensure_future(session.read(alone=False))
        try:
            if (storing := self._appender.storing) is not None:
                await asyncio.wait({coming, storing}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                await attend(session, coming, idling=False)
            return await coming
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _take(self, event: events.Event) -> None:
        match event:
            case events.Command():
                await self._appender.finish()
                await self._run(event)
            case events.Continue():
                await self._prompt()
            case events.Append():
                await self._appender.begin(event)
            case events.LiteralChunk():
                await self._appender.chunk(event.octets)
            case events.AppendEnd():
                await self._appender.complete()
            case events.Refused():
                await self._appender.finish()
                self._appender.drop()
                self.session.out(event.reply)
                self._count_bad()
                if event.fatal:
                    raise Farewell("Cannot follow you any more")
            case events.Line():
                raise AssertionError("a line that nobody asked for")

    async def _prompt(self) -> None:
        """The client waits before it sends a literal."""
        await self._appender.finish()
        self.session.out(b"+ OK\r\n")
        await self.session.stream.flush()

    async def _run(self, event: events.Command) -> None:
        session = self.session
        command = self._commands.get(event.name)
        if command is None:
            self._reply(event.tag, bad("Unknown command"))
            self._count_bad()
            return
        if session.state not in command.states:
            self._reply(event.tag, _misplaced(session, command))
            return
        if session.granted is not None and session.granted.reading and event.name not in READING:
            self._reply(event.tag, NO_RIGHT)
            return
        if session.manner.uid_only and names_by_number(event.name):
            self._reply(event.tag, NUMBERED)
            self._count_bad()
            return
        request = Request(event.tag, event.name, session.arguments(event))
        tagged = await self._attempt(command, request)
        if tagged is None:
            return
        if tagged.status == "BAD":
            self._count_bad()
        else:
            self._bad = 0
        self._reply(event.tag, tagged)

    async def _attempt(self, command: Command, request: Request) -> Tagged | None:
        """Run it and bring the view up to date; the tagged reply comes after both."""
        session = self.session
        try:
            if command.states == SELECTED:
                await session.recheck()
            tagged = await command.run(session, request)
            if tagged is not None:
                tagged = finish(session, request, tagged)
            if tagged is not None and session.view is not None:
                if not request.fresh:
                    await session.refresh()
                session.announce(expunge=command.may_expunge)
                await push(session)
            return tagged
        except (Farewell, ConnectionGone, ConnectionError, asyncio.CancelledError):
            raise
        except StaleEpoch as error:
            log.info("session ends", account=session.account_id, reason=str(error))
            raise Unanswered(MOVED) from error
        except Exception as error:  # noqa: BLE001 - logged, and the client gets its reply
            if isinstance(error, NotFound):
                await session.refresh(now=True)  # the selected mailbox itself? Then this ends the session.
            tagged = refusal(error, missing="TRYCREATE" if command.creates_messages else "NONEXISTENT")
            if tagged is None:
                log.exception("command failed", command=request.name, account=session.account_id)
                return BUG
            if tagged.code == "UNAVAILABLE":
                log.warning(
                    "command not possible now",
                    command=request.name,
                    account=session.account_id,
                    reason=str(error),
                )
            return tagged

    def _reply(self, tag: str, tagged: Tagged) -> None:
        self.session.out(response.tagged(tag, tagged.status, tagged.text, tagged.code))

    def _count_bad(self) -> None:
        self._bad += 1
        if self._bad >= self.session.limits.bad_commands:
            raise Farewell("Too many commands that are none")


def _misplaced(session: Session, command: Command) -> Tagged:
    if session.state is State.NOT_AUTHENTICATED:
        return bad("Log in first")
    if State.SELECTED in command.states:
        return bad("Select a mailbox first")
    return bad("Already logged in")
