"""One process of the platform: every door of its roles, and the work behind them, in one event loop."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import structlog
import uvloop

from mailplat.access.capture import Capture
from mailplat.access.forwarding import ForwardedSessions
from mailplat.access.imap import ImapServer
from mailplat.access.login import LoginService
from mailplat.access.pop3 import Pop3Server
from mailplat.app import log, supervisor
from mailplat.app.doors import StreamDoor, bind
from mailplat.app.figures import watch_figures
from mailplat.app.logins import open_logins, open_sharing
from mailplat.app.readiness import checks
from mailplat.app.settings import ROLES, Settings, load
from mailplat.app.tls import Certificate
from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, Unavailable
from mailplat.core.network import Networks
from mailplat.core.wording import Wording
from mailplat.delivery import Delivery, QuotaWatch, Worker
from mailplat.directory.watch import RouteWatch
from mailplat.filtering.dns import open_dns
from mailplat.filtering.pipeline import build
from mailplat.ingress import Rooms, SmtpServer
from mailplat.usage import UsageKeeper
from mailplat.wire.smtp.address import parse_address

logger = structlog.get_logger("worker")


class Process:
    """The doors and workers of one process. `run` returns after a stop signal, when everything drained."""

    def __init__(
        self, settings: Settings, roles: Sequence[str], index: int, workers: int, bus_url: str | None
    ) -> None:
        """`index` of `workers`, from 0."""
        self.settings = settings
        self.roles = roles
        self.index = index
        self.workers = workers
        self.platform = Platform(settings, bus_url=bus_url, workers=workers)
        self.stop = asyncio.Event()
        # Several workers bind one port each (SO_REUSEPORT); a single one owns its ports alone, so that a second
        # platform on the same port is an error and not half of the connections.
        self.shared_ports = bus_url is not None
        self.certificate = Certificate(settings.tls)
        self.tls = self.certificate.context
        self.drains: list[Callable[[float], Awaitable[object]]] = []
        self.background: dict[str, asyncio.Task[None]] = {}
        self.watch = RouteWatch(self.platform.directory, self.platform.bus, self.platform.executors)
        self.delivery = Delivery(
            self.platform.directory,
            self.platform.store,
            self.platform.queue,
            self.platform.executors,
            hostname=settings.platform.hostname,
            meter=self.platform.meter,
        )

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        await self.platform.bus.start()
        try:
            self._start("route watch", self.watch.run())
            self._start("usage", self._usage().run())
            if self.tls is not None:
                self._start("certificate watch", self.certificate.watch(self.stop))
            await self._open_doors()
            logger.info("ready", roles=list(self.roles), worker=self.index)
            await self._until_stopped()
        finally:
            await self._drain()
        return 0

    def _start(self, name: str, work: Coroutine[None, None, None]) -> None:
        self.background[name] = asyncio.create_task(work, name=name)

    def _usage(self) -> UsageKeeper:
        platform, usage = self.platform, self.settings.usage
        return UsageKeeper(
            platform.meter,
            platform.usage,
            platform.executors,
            platform.clock,
            every=usage.flush,
            days=usage.days,
        )

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
        if "ingress" in self.roles:
            await self._open_ingress()
        if "access" in self.roles:
            await self._open_access()
        if "queue" in self.roles:
            self._open_queue()
        if "admin" in self.roles and self.index == 0:
            self._open_admin()
        if "migration" in self.roles:
            for plugin in entry_points(group="mailplat.roles"):
                role = plugin.load()(self.platform, part=(self.index, self.workers))
                self._start(plugin.name, role.run(self.stop))

    async def _open_ingress(self) -> None:
        settings, platform = self.settings, self.platform
        dns = open_dns(settings.filter.dns)
        hostname = settings.platform.hostname
        rooms = Rooms(
            hostname,
            platform.directory,
            platform.store,
            platform.queue,
            build(settings.filter.model_dump(), dns, platform.executors, hostname, platform.bus),
            self.delivery,
            platform.executors,
            platform.clock,
            settings.smtp_limits,
            parse_address(settings.smtp.postmaster) if settings.smtp.postmaster else None,
            trusted=Networks(settings.smtp.trusted_networks),
            proxies=Networks(settings.smtp.proxy_networks),
            fronts=Networks(settings.smtp.xclient_networks),
        )
        server = SmtpServer(rooms)
        self.drains.append(server.drain)
        for endpoint in settings.listen.smtp:
            await server.start([bind(endpoint, shared=self.shared_ports)], tls=self.tls)
        for endpoint in settings.listen.lmtp:
            await server.start([bind(endpoint, shared=self.shared_ports)], lmtp=True, tls=self.tls)

    async def _open_access(self) -> None:
        settings, platform = self.settings, self.platform
        forwarded = ForwardedSessions(platform.directory, platform.executors, self.watch)
        capture = Capture(platform.directory, platform.executors)
        in_clear = settings.auth.plaintext_without_tls
        login = await open_logins(platform, forwarded, capture)
        imap = ImapServer(
            login,
            platform.store,
            platform.bus,
            platform.executors,
            platform.clock,
            settings.imap_limits,
            tls_context=self.tls,
            hostname=settings.platform.hostname,
            plaintext_without_tls=in_clear,
            sharing=open_sharing(platform),
        )
        pop3 = Pop3Server(
            login,
            platform.store,
            platform.executors,
            settings.pop3_limits,
            tls_context=self.tls,
            hostname=settings.platform.hostname,
            plaintext_without_tls=in_clear,
        )
        for handler in (imap, pop3):
            self.watch.register(handler)
        listen = settings.listen
        for name, server, plain, secure, most in (
            ("imap", imap, listen.imap, listen.imaps, settings.imap.max_connections),
            ("pop3", pop3, listen.pop3, listen.pop3s, settings.pop3.max_connections),
        ):
            door = StreamDoor(name, server, most)
            for endpoint in plain:
                await door.listen(bind(endpoint, shared=self.shared_ports), None)
            for endpoint in secure:
                await door.listen(bind(endpoint, shared=self.shared_ports), self.tls)
            self.drains.append(self._stream_drain(door, server.close, forwarded, capture, login))

    @staticmethod
    def _stream_drain(
        door: StreamDoor,
        close: Callable[[], Awaitable[None]],
        forwarded: ForwardedSessions,
        capture: Capture,
        login: LoginService,
    ) -> Callable[[float], Awaitable[object]]:
        async def drain(timeout: float) -> None:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + timeout
            door.stop_accepting()
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.gather(close(), forwarded.close())
            except TimeoutError:
                logger.warning("sessions did not end in time; they are cut off", seconds=timeout)
            await door.drain(max(0.0, deadline - loop.time()))
            await asyncio.gather(capture.close(), login.close())

        return drain

    def _open_queue(self) -> None:
        platform = self.platform
        worker = Worker(
            platform.directory,
            platform.store,
            platform.queue,
            platform.executors,
            platform.bus,
            platform.clock,
            hostname=self.settings.platform.hostname,
            watch=self.watch,
            meter=platform.meter,
        )
        self._start("queue worker", worker.run(self.stop))
        quotas = QuotaWatch(
            platform.directory,
            platform.store,
            platform.shards,
            platform.executors,
            platform.clock,
            hostname=self.settings.platform.hostname,
            wording=Wording(self.settings.quota.subject, self.settings.quota.text),
        )
        self._start("quota watch", quotas.run(self.stop))

    def _open_admin(self) -> None:
        from mailplat.admin.server import AdminServer  # a web framework: one worker of many pays for it

        self._start("figures", watch_figures(self.platform))
        server = AdminServer(checks(self.platform, self.watch), self.settings.platform.hostname)
        for endpoint in self.settings.listen.http:
            sock = bind(endpoint, shared=False)
            sock.listen()
            self._start(f"http {endpoint}", server.serve(sock, self.stop))


def run_worker(
    settings: Settings,
    roles: Sequence[str],
    *,
    index: int = 0,
    workers: int = 1,
    bus_url: str | None = None,
) -> int:
    """The process until its stop signal; its exit status."""

    supervisor.use_one_arena()
    supervisor.collect_rarely()

    async def work() -> int:
        return await Process(settings, roles, index, workers, bus_url).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work())
    except (MailplatError, OSError) as error:
        print(f"mailplat: {error}", file=sys.stderr)
        return 1


def main() -> int:
    """`python -m mailplat.app.worker CONFIG --index N --workers N --bus URL [--role ROLE]...`: for the supervisor."""
    parser = argparse.ArgumentParser(prog="mailplat.app.worker")
    parser.add_argument("config", type=Path)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--bus", required=True)
    parser.add_argument("--role", action="append", choices=ROLES)
    args = parser.parse_args()
    supervisor.die_with_parent()
    settings = load(args.config)
    log.configure(settings.log.level, settings.log.format)
    return run_worker(settings, args.role or ROLES, index=args.index, workers=args.workers, bus_url=args.bus)


if __name__ == "__main__":
    sys.exit(main())
