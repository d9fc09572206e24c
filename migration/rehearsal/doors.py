"""Our own servers over the copy of an account that lives on a backend still. See the package's invariants."""

import asyncio
import contextlib
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from mailplat.access.capture import Capture
from mailplat.access.forwarding import ForwardedSessions
from mailplat.access.imap import ImapServer
from mailplat.access.login import AuthenticationFailed, LoginService, Protocol, Serve
from mailplat.access.pop3 import Pop3Server
from mailplat.app.doors import READ_BUFFER
from mailplat.app.logins import open_sharing
from mailplat.app.wiring import Platform
from mailplat.core.envelope import Peer
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.route import Residence
from mailplat.directory import Account
from migration.ledger import Move
from migration.sources.imap import Client
from migration.sources.imap_account import ImapAccount

# Epochs count from 1 (core/route.py): no shard has granted this one, so each write under it is refused there.
NO_EPOCH = 0

_Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]


class _CopyLogin(LoginService):
    """Knows one account and asks for no password: whoever speaks to it is this process."""

    def serve_copy(self, account: Account, shard: str) -> None:
        self._copied = Serve(account, Residence(account.id, shard, NO_EPOCH), reading=True)

    async def login(self, name: str, password: str, peer: Peer, protocol: Protocol) -> Serve:
        if name != str(self._copied.account.address):
            raise AuthenticationFailed("not the account that is rehearsed")
        return self._copied


class _PairClient(Client):
    """Over a socket that is connected already."""

    def __init__(self, sock: socket.socket, spool: Path, limits: SourceLimits) -> None:
        self._sock = sock
        super().__init__("", 0, spool, None, limits)

    def create_client(
        self, host: str, port: int, loop: Any, conn_lost_cb: Any = None, ssl_context: Any = None
    ) -> None:
        self._make_protocol(lambda make: asyncio.get_running_loop().create_connection(make, sock=self._sock))


class CopyDoors:
    """For one account; open with `copy_doors`."""

    def __init__(self, platform: Platform, move: Move, account: Account) -> None:
        forwarded = ForwardedSessions(platform.directory, platform.executors)
        login = _CopyLogin(
            platform.directory,
            platform.verifier,
            platform.store,
            forwarded,
            Capture(platform.directory, platform.executors),
            platform.bus,
            platform.executors,
            platform.clock,
        )
        login.serve_copy(account, move.shard)
        settings, hostname = platform.settings, platform.settings.platform.hostname
        self._limits = settings.migration.sources
        self._account = account
        self._login = login
        self._imap = ImapServer(
            login,
            platform.store,
            platform.bus,
            platform.executors,
            platform.clock,
            settings.imap_limits,
            hostname=hostname,
            plaintext_without_tls=True,
            sharing=open_sharing(platform),
        )
        self._pop3 = Pop3Server(
            login,
            platform.store,
            platform.executors,
            settings.pop3_limits,
            hostname=hostname,
            plaintext_without_tls=True,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def imap(self, spool: Path) -> ImapAccount:
        """Logged in; close() it. Raises Unavailable."""
        opened = ImapAccount(_PairClient(await self._connect(self._imap.serve), spool, self._limits))
        return await opened.log_in(str(self._account.address), "-")

    async def pop3(self, limit: int) -> tuple[StreamReader, StreamWriter]:
        """Not logged in yet; any password does. `limit`: octets of a line."""
        return await asyncio.open_connection(sock=await self._connect(self._pop3.serve), limit=limit)

    async def _connect(self, serve: _Serve) -> socket.socket:
        """Our end."""
        ours, theirs = socket.socketpair()
        for each in (ours, theirs):
            each.setblocking(False)
        streams = await asyncio.open_connection(sock=theirs, limit=READ_BUFFER)
        task = asyncio.ensure_future(serve(*streams))
        self._tasks.add(task)
        return ours

    async def close(self) -> None:
        await self._imap.close()
        await self._pop3.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._login.close()


@contextlib.asynccontextmanager
async def copy_doors(platform: Platform, move: Move) -> AsyncIterator[CopyDoors]:
    """Raises NotFound for an account that is gone."""
    account = await platform.executors.run("directory", platform.directory.account_by_id, move.account_id)
    doors = CopyDoors(platform, move, account)
    try:
        yield doors
    finally:
        await doors.close()
