"""Whom a moved domain is compared with, on SQLite and PostgreSQL."""

import pytest

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import BackendHome, Home, RouteState, ShardHome
from mailplat.db.engine import Database
from mailplat.directory import Backend, Directory
from migration.matched import matched, moved_at
from tests.directory.conftest import database, postgres, postgres_template, sqlite_template

__all__ = ["database", "postgres", "postgres_template", "sqlite_template"]

OLD, OTHER, HERE = BackendHome("old"), BackendHome("other"), ShardHome("s1")


def test_domains_of_the_backend_none_of_whose_accounts_has_moved(database: Database) -> None:
    directory = Directory(database, ManualClock())
    for name in ("old", "other"):
        directory.add_backend(Backend(name))
    homes: dict[str, list[Home]] = {
        "all-there.test": [OLD, OLD],
        "half-moved.test": [OLD, HERE],
        "moved.test": [HERE],
        "two-backends.test": [OLD, OTHER],
        "other.test": [OTHER],
        "fenced.test": [OLD],
        "copied.test": [OLD],
        "empty.test": [],
    }
    for domain, accounts in homes.items():
        directory.add_domain(domain)
        for number, home in enumerate(accounts):
            account = directory.add_account(Address(f"u{number}", domain), home=home)
            route = directory.route(account.id)
            steps = {
                "fenced.test": (RouteState.SEEDING, RouteState.TRACKING, RouteState.FENCED),
                "copied.test": (RouteState.SEEDING, RouteState.TRACKING, RouteState.READY),
            }
            for state in steps.get(domain, ()):
                route = directory.advance(
                    route, state, fence_deadline=2e9 if state is RouteState.FENCED else 0.0
                )
    assert matched(database, "old") == ["all-there.test", "copied.test"]
    assert matched(database, "other") == ["other.test"]
    assert matched(database, "nowhere") == []


def test_a_domain_that_has_not_moved_has_no_since() -> None:
    with pytest.raises(NotFound):
        moved_at("a.test", [])
    with pytest.raises(InvalidInput):
        moved_at("a.test", [type("Move", (), {"moved": 0.0})()])
    assert moved_at("a.test", [type("Move", (), {"moved": at})() for at in (0.0, 7.0, 5.0)]) == 5.0
