"""The IMAP door of one process: makes sessions of connections, ends them when it must."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter

from mailplat.access.imap.command import registry
from mailplat.access.imap.dialogue import Dialogue
from mailplat.access.imap.session import FAREWELL, Services, Session, log
from mailplat.access.imap.sessions import Sessions
from mailplat.access.imap.sharing import Sharing
from mailplat.access.login import LoginService
from mailplat.access.stream import Stream, peer_of
from mailplat.bus import Bus
from mailplat.core.clock import Clock
from mailplat.core.errors import LimitReached
from mailplat.core.executors import Executors
from mailplat.core.limits.imap import ImapLimits
from mailplat.core.route import Route
from mailplat.store import Store

_DEFAULTS = ImapLimits()


class ImapServer:
    """`serve` is the callback for asyncio.start_server. A RouteHandler too (directory.watch): register it, so that
    sessions end when their account moves.

    `tls_context` None: no STARTTLS. `plaintext_without_tls`: LOGIN in clear is allowed (loopback rigs).
    `sharing` None: nobody has mailboxes of others."""

    def __init__(
        self,
        login_service: LoginService,
        store: Store,
        bus: Bus,
        executors: Executors,
        clock: Clock,
        limits: ImapLimits = _DEFAULTS,
        *,
        tls_context: ssl.SSLContext | None = None,
        hostname: str = "localhost",
        plaintext_without_tls: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        registry()  # a command that cannot be loaded is found at start, not by the first client
        self.sessions = Sessions(limits, login_service.meter)
        self._services = Services(
            login=login_service,
            store=store,
            bus=bus,
            executors=executors,
            clock=clock,
            limits=limits,
            hostname=hostname,
            tls=tls_context,
            plaintext_without_tls=plaintext_without_tls,
            large=asyncio.Semaphore(limits.large_messages),
            enter=self.sessions.enter,
            leave=self.sessions.leave,
            look=self.sessions.look,
            sharing=sharing,
        )

    async def serve(self, reader: StreamReader, writer: StreamWriter, implicit_tls: bool = False) -> None:
        """One connection, to its end. `implicit_tls`: the handshake is done (port 993); it is also seen from the
        writer, and given for callers that end TLS elsewhere."""
        stream = Stream(
            reader,
            writer,
            self._services.limits,
            protected=implicit_tls,
            farewell=FAREWELL,
        )
        session = None
        try:
            session = Session(self._services, stream, peer_of(writer))
            self.sessions.add(session)
        except LimitReached as error:
            if session is not None:
                session.close()
            log.warning("connection refused", reason=str(error))
            stream.write(b"* BYE [UNAVAILABLE] Too many connections, try again later\r\n")
            await stream.close()
            return
        try:
            await Dialogue(session).run()
        except Exception:  # noqa: BLE001 - one session's bug must not end the others
            log.exception("session ended by a bug", account=session.account_id)
        finally:
            self.sessions.remove(session)
            session.close()
            await stream.close()

    async def route_changed(self, route: Route) -> None:
        """RouteHandler: when this returns, no session serves the account from a home that is no longer its."""
        await self.sessions.follow(route)

    async def lease_lost(self) -> None:
        """RouteHandler: nothing to close here. What a stale session writes, the store refuses by its epoch; forwarded
        sessions are the proxy's."""

    async def close(self) -> None:
        """The process leaves: every client is told."""
        await self.sessions.end_all("[UNAVAILABLE] Server is shutting down")
