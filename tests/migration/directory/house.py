"""A platform with a backend that nobody asks, and descriptions of its directory."""

import os
from pathlib import Path

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.address import Address
from mailplat.core.route import RouteState, ShardHome
from mailplat.directory import Account, Backend
from mailplat.directory.tables import account, alias
from mailplat.wire.smtp.address import parse_address
from migration.directory.description import load as describe
from migration.directory.drift import folder_of
from migration.directory.gone import Removal
from migration.directory.report import Report, Row
from migration.directory.takeover import Takeover
from tests.migration.house import CONFIG

DOMAIN = "moving.test"

NOTHING = Removal()

# {PLAIN} hashes whose text must be seen nowhere.
SECRET, OTHER = "{PLAIN}hush-hush", "{PLAIN}mum-is-the-word"


class House:
    def __init__(self, root: Path, *, domains: tuple[str, ...] = (DOMAIN,), url: str = "") -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.config = root / "mailplat.toml"
        self.config.write_text(CONFIG.replace("sqlite:///mailplat.db", url) if url else CONFIG)
        self.platform = Platform(load(self.config, {}))
        self.directory = self.platform.directory
        self.rows: list[Row] = []
        if not self.directory.backends():
            self.directory.add_backend(Backend("old", imap="127.0.0.1:1", relay="lmtp:127.0.0.1:1"))
            for domain in domains:
                self.directory.add_domain(domain)

    def describe(self, *sources: str, head: str = "") -> Path:
        """Tables without their `[[source]]`; files are made with `write`."""
        text = f'backend = "old"\n{head}\n' + "".join(f"[[source]]\n{source}\n" for source in sources)
        return self.write("old.toml", text)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def take_over(
        self, description: Path, *, write: bool = True, removal: Removal = NOTHING, who: str = "tester"
    ) -> Report:
        """What it told is in `rows`."""
        self.rows = []
        report = Report(self.rows.append)
        takeover = Takeover(self.platform.database, self.platform.clock, folder_of(self.platform), who=who)
        takeover.run(describe(description), report, removal, write=write)
        return report

    def told(self, change: str) -> list[str]:
        return [row.subject for row in self.rows if row.change == change]

    def details(self, change: str) -> str:
        return "\n".join(f"{row.subject}: {row.detail}" for row in self.rows if row.change == change)

    def account(self, text: str) -> Account:
        return self.directory.account(parse_address(text))

    def settle(self, text: str, shard: str = "s1") -> None:
        """Its move, as the routes tell of it."""
        route = self.directory.route(self.account(text).id)
        for state in (RouteState.SEEDING, RouteState.TRACKING):
            route = self.directory.advance(route, state)
        deadline = self.platform.clock.now() + 30
        route = self.directory.advance(route, RouteState.FENCED, fence_deadline=deadline)
        self.directory.advance(route, RouteState.NEW, home=ShardHome(shard))

    def content(self) -> tuple[set[tuple[object, ...]], set[tuple[object, ...]]]:
        """All accounts and aliases, but for numbers."""
        columns = (account.c.key, account.c.local, account.c.password_hash, account.c.quota, account.c.active)
        with self.platform.database.read() as connection:
            people = {tuple(row) for row in connection.execute(account.select().with_only_columns(*columns))}
            lists = {tuple(row) for row in connection.execute(alias.select())}
        return people, lists

    def alias(self, source: str) -> list[str]:
        return [
            str(each)
            for found in self.directory.aliases()
            if found.source == source
            for each in found.targets
        ]

    def leads_to(self, text: str) -> set[str]:
        return {str(each.address) for each in self.directory.resolve(parse_address(text)).targets}

    def close(self) -> None:
        self.platform.close()
        folder = folder_of(self.platform)
        left = os.listdir(folder) if folder.exists() else []
        assert not [name for name in left if name.startswith("staging")]


def address(local: str) -> Address:
    return Address(local, DOMAIN)
