"""One process of the platform: every door of its roles, and the work behind them, in one event loop."""

import argparse
import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import structlog
import uvloop

from mailplat.access.imap import ImapLimits, ImapServer
from mailplat.access.login import LoginService
from mailplat.access.pop3 import Pop3Server
from mailplat.admin import AdminServer
from mailplat.app import log, supervisor
from mailplat.app.doors import StreamDoor, bind
from mailplat.app.settings import Settings, load
from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, Unavailable
from mailplat.delivery import Delivery, Worker
from mailplat.directory.watch import RouteWatch
from mailplat.filtering.dns import open_dns
from mailplat.filtering.pipeline import build
from mailplat.ingress import IngressLimits, SmtpServer
from mailplat.ingress.reception import Rooms

logger = structlog.get_logger("worker")

ROLES = ("ingress", "access", "queue", "admin", "migration")


class Process:
    """The doors and workers of one process. `run` returns after a stop signal, when everything drained."""

    def __init__(self, settings: Settings, roles: Sequence[str], index: int, bus_url: str | None) -> None:
        self.settings = settings
        self.roles = roles
        self.index = index
        self.platform = Platform(settings, bus_url=bus_url)
        self.stop = asyncio.Event()
        # Several workers bind one port each (SO_REUSEPORT); a single one owns its ports alone, so that a second
        # platform on the same port is an error and not half of the connections.
        self.shared_ports = bus_url is not None
        self.tls = tls_context(settings)
        self.drains: list[Callable[[float], Awaitable[object]]] = []
        self.background: dict[str, asyncio.Task[None]] = {}
        self.watch = RouteWatch(self.platform.directory, self.platform.bus, self.platform.executors)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        await self.platform.bus.start()
        try:
            self._start("route watch", self.watch.run())
            await self._open_doors()
            logger.info("ready", roles=list(self.roles), worker=self.index)
            await self._until_stopped()
        finally:
            await self._drain()
        return 0

    def _start(self, name: str, work: Awaitable[None]) -> None:
        self.background[name] = asyncio.ensure_future(work)  # type: ignore[assignment]

    async def _until_stopped(self) -> None:
        """A background work that ends before the stop is a bug or a broken machine: the process ends too, and
        the supervisor starts a fresh one."""
        stopped = asyncio.ensure_future(self.stop.wait())
        await asyncio.wait({stopped, *self.background.values()}, return_when=asyncio.FIRST_COMPLETED)
        for name, task in self.background.items():
            if task.done() and not self.stop.is_set():
                task.result()
                raise Unavailable(f"{name} ended by itself")

    async def _drain(self) -> None:
        timeout = self.settings.platform.drain_timeout
        self.stop.set()
        await asyncio.gather(*(drain(timeout) for drain in self.drains))
        for task in self.background.values():
            task.cancel()
        for name, task in self.background.items():
            try:
                await task
            except asyncio.CancelledError:
                pass
            except Exception:
                logger.exception("background work failed", name=name)
        await self.platform.bus.close()
        await asyncio.get_running_loop().run_in_executor(None, self.platform.close)

    async def _open_doors(self) -> None:
        if "queue" in self.roles or "ingress" in self.roles:
            self._open_queue()
        if "ingress" in self.roles:
            await self._open_ingress()
        if "access" in self.roles:
            await self._open_access()
        if "admin" in self.roles and self.index == 0:
            await self._open_admin()
        if "migration" in self.roles and self.index == 0:
            for plugin in entry_points(group="mailplat.roles"):
                self._start(plugin.name, plugin.load()(self.platform).run(self.stop))
