"""Opens the rooms in the order of the floors. `Platform` is what commands, roles and plug-ins are given."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from mailplat.app.placement import Placement
from mailplat.app.settings import Settings, find, load
from mailplat.app.shards import ShardPaths, Shards
from mailplat.bus import Bus, open_bus
from mailplat.core.clock import SystemClock
from mailplat.core.errors import InvalidInput
from mailplat.core.executors import Executors
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.directory import Directory
from mailplat.directory.audit import Audit
from mailplat.directory.credentials import Verifier
from mailplat.directory.drains import Drains
from mailplat.directory.routes import keeps_traces
from mailplat.directory.shards import ShardRegister
from mailplat.directory.shares import Shares
from mailplat.queue import Queue
from mailplat.store import Shard, Store
from mailplat.store.acl import all_grantees
from mailplat.usage import Meter, UsageBook


class Platform:
    """Every room below the doors, opened once for a process. Not for use after close()."""

    def __init__(self, settings: Settings, *, bus_url: str | None = None, workers: int = 1) -> None:
        """`bus_url` overrides the setting: a worker is told the address of the supervisor's private bus.
        Raises InvalidInput for settings that cannot work, Unavailable when the database cannot be opened."""
        check_settings(settings)
        self.settings = settings
        self.clock = SystemClock()
        self.executors = Executors(patience=settings.store.patience)
        self.database = open_database(settings)
        self.directory = Directory(self.database, self.clock, sources=settings.migration.sources)
        self.audit = Audit(self.database, self.clock)
        self.bus: Bus = open_bus(settings.bus.url if bus_url is None else bus_url, workers)
        self.shards = Shards(settings)
        self.shard_register = ShardRegister(self.database)
        self.store = Store(
            ShardPaths(self.shards),
            self.executors,
            self.bus,
            self.clock,
            settings.store_limits,
            registry=self.shard_register,
            pinned=self._keeps_traces,
        )
        self.queue = Queue(self.database, queue_path(settings), self.clock, self.bus)
        self.verifier = Verifier(self.executors)
        self.meter = Meter(self.clock)
        self.usage = UsageBook(self.database)
        self.drains = Drains(self.database, self.clock)
        self.shares = Shares(self.database, self.clock)
        self.placement = Placement(
            self.shards, lambda name: bool(self.shard_register.expected(name)[1]), self.drains.all
        )

    def _keeps_traces(self, account_id: int) -> bool:
        with self.database.read() as connection:
            return keeps_traces(connection, account_id)

    def link_shares(self, shard: Shard) -> None:
        """After the shard or the platform was restored: what is shared there is found again."""
        self.shares.put_all(all_grantees(shard.site))

    def place_account(self, among: Collection[str] | None = None) -> str:
        """The shard for one more account, of all or `among` some. Raises Unavailable when none takes one."""
        counts = self.directory.accounts_by_home()
        return self.placement.choose({name: counts.get(f"shard:{name}", 0) for name in self.shards}, among)

    def close(self) -> None:
        self.store.close()
        self.queue.close()
        self.executors.close()
        self.database.close()


def check_settings(settings: Settings) -> None:
    """What single keys cannot say. Raises InvalidInput."""
    if len(settings.store.shards) == 0:
        raise InvalidInput("no shard is configured; add [store.shards.s1] with a path")
    paths = [shard.path.resolve() for shard in settings.store.shards.values()]
    if len(set(paths)) != len(paths):
        raise InvalidInput("store.shards: two shards have one path")
    for name in ("submission", "submissions", "managesieve"):
        if getattr(settings.listen, name):
            raise InvalidInput(f"listen.{name}: this release has no such door yet; set it to []")
    if (settings.tls.certificate is None) != (settings.tls.key is None):
        raise InvalidInput("tls: certificate and key go together")
    if settings.tls.others and settings.tls.certificate is None:
        raise InvalidInput("tls.others: a certificate for everybody else is needed too, tls.certificate")
    if settings.oauth.introspection_url and not settings.oauth.client_id:
        raise InvalidInput("oauth.introspection_url needs oauth.client_id: RFC 7662 asks who asks")
    for name in ("imaps", "pop3s"):
        if getattr(settings.listen, name) and settings.tls.certificate is None:
            raise InvalidInput(f"listen.{name} needs tls.certificate and tls.key")


def queue_path(settings: Settings) -> Path:
    assert settings.queue.path is not None, "settings.load fills it in"
    return settings.queue.path


def open_database(settings: Settings) -> Database:
    """The platform's database with its newest revision."""
    database = Database(settings.database.url, busy_timeout=settings.database.busy_timeout)
    if database.path is not None:
        database.path.parent.mkdir(parents=True, exist_ok=True)
    schema.upgrade(database, "platform")
    return database


@contextmanager
def open_platform(config: str | None) -> Iterator[Platform]:
    """The platform for the length of one command."""
    platform = Platform(load(find(config)))
    try:
        yield platform
    finally:
        platform.close()
