"""The POP3 door of one process: makes sessions of connections, ends them when it must."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections import OrderedDict
from collections.abc import Iterable

from mailplat.access.login import LoginService, Serve
from mailplat.access.pop3 import authorization, transaction
from mailplat.access.pop3.capability import capa
from mailplat.access.pop3.language import lang
from mailplat.access.pop3.session import NOT_NOW, Handler, Services, Session, State, log
from mailplat.access.stream import Stream
from mailplat.core.errors import LimitReached, StaleEpoch
from mailplat.core.executors import Executors
from mailplat.core.limits.pop3 import Pop3Limits
from mailplat.core.route import Route
from mailplat.store import Store

COMMANDS: dict[State, dict[str, Handler]] = {
    State.AUTHORIZATION: {
        "CAPA": capa,
        "USER": authorization.user,
        "PASS": authorization.pass_,
        "AUTH": authorization.auth,
        "STLS": authorization.stls,
        "UTF8": authorization.utf8,
        "LANG": lang,
        "QUIT": authorization.leave,
    },
    State.TRANSACTION: {
        "CAPA": capa,
        "STAT": transaction.stat,
        "LIST": transaction.list_,
        "UIDL": transaction.uidl,
        "RETR": transaction.retr,
        "TOP": transaction.top,
        "DELE": transaction.dele,
        "RSET": transaction.rset,
        "NOOP": transaction.noop,
        "LANG": lang,
        "QUIT": transaction.update,
    },
}

# Routes whose last change is remembered, for logins that were under way when they changed.
_REMEMBERED = 10_000

_DEFAULTS = Pop3Limits()


class Pop3Server:
    """`serve` is the callback for asyncio.start_server. A RouteHandler too (directory.watch): register it, so that
    sessions end when their account moves.

    `tls_context` None: no STLS. `plaintext_without_tls`: passwords in clear are allowed (loopback rigs)."""

    def __init__(
        self,
        login_service: LoginService,
        store: Store,
        executors: Executors,
        limits: Pop3Limits = _DEFAULTS,
        *,
        tls_context: ssl.SSLContext | None = None,
        hostname: str = "localhost",
        plaintext_without_tls: bool = False,
    ) -> None:
        self._limits = limits
        self._sessions: set[Session] = set()
        self._moved: OrderedDict[int, Route] = OrderedDict()
        self._services = Services(
            login=login_service,
            store=store,
            executors=executors,
            limits=limits,
            hostname=hostname,
            tls=tls_context,
            plaintext_without_tls=plaintext_without_tls,
            enter=self._enter,
        )

    def __len__(self) -> int:
        """Open connections."""
        return len(self._sessions)

    async def serve(self, reader: StreamReader, writer: StreamWriter, implicit_tls: bool = False) -> None:
        """One connection, to its end. `implicit_tls`: the handshake is done (port 995); it is also seen from the
        writer, and given for callers that end TLS elsewhere."""
        stream = Stream(reader, writer, self._limits, protected=implicit_tls)
        if len(self._sessions) >= self._limits.connections:
            log.warning("connection refused", limit=self._limits.connections)
            stream.write(NOT_NOW)
            await stream.close()
            return
        try:
            session = Session(self._services, stream, COMMANDS)
        except LimitReached as error:
            log.warning("connection refused", reason=str(error))
            stream.write(NOT_NOW)
            await stream.close()
            return
        self._sessions.add(session)
        try:
            await session.run()
        except Exception:  # noqa: BLE001 - one session's bug must not end the others
            log.exception("session ended by a bug", account=session.account_id)
        finally:
            self._sessions.discard(session)
            await session.close()
            await stream.close()

    async def route_changed(self, route: Route) -> None:
        """RouteHandler: when this returns, no session serves the account from a home that is no longer its."""
        self._moved[route.account_id] = route
        self._moved.move_to_end(route.account_id)
        if len(self._moved) > _REMEMBERED:
            self._moved.popitem(last=False)
        await self._end(
            session
            for session in tuple(self._sessions)
            if session.account_id == route.account_id
            and session.granted is not None
            and route.ends(session.granted.residence.epoch)
        )

    async def lease_lost(self) -> None:
        """RouteHandler: nothing to close here. What a stale session deletes, the store refuses by its epoch;
        forwarded sessions are the proxy's."""

    async def close(self) -> None:
        """The process leaves; nothing is deleted that was not committed by QUIT."""
        await self._end(tuple(self._sessions))

    def _enter(self, session: Session, granted: Serve) -> None:
        """Raises StaleEpoch when the route changed since it was read: log in again."""
        route = self._moved.get(granted.account.id)
        if route is not None and route.ends(granted.residence.epoch):
            raise StaleEpoch(f"account {granted.account.id} moved during its login")

    async def _end(self, sessions: Iterable[Session]) -> None:
        """After the command that runs; cut off what takes longer than limits.stop_grace."""
        ended = list(sessions)
        for session in ended:
            session.stop()
        tasks = {session.task: session for session in ended if session.task is not None}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._limits.stop_grace)
        for task in late:
            tasks[task].stream.abort()
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=self._limits.stop_grace)
