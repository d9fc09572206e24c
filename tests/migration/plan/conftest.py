"""Domains on a backend with a census, as rows: no legacy platform stands behind them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.core.route import BackendHome
from mailplat.directory import Backend
from migration.census import tables
from migration.census.facts import Facts
from tests.migration.house import House

DOMAINS = ("a.test", "b.test", "c.test", "d.test")


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """anna and bob of each domain live on backend old; c.test's anna has mailboxes whose names collide. An alias ties
    a.test to d.test."""
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    house = House(tmp_path / "house", None, [])
    directory = house.platform.directory
    directory.add_backend(Backend("old", imap="127.0.0.1:1"))
    for domain in DOMAINS:
        directory.add_domain(domain)
        for name in ("anna", "bob"):
            account = directory.add_account(
                Address(name, domain), home=BackendHome("old"), password_hash="{PLAIN}x"
            )
            clash = ("Sent and sent",) if (name, domain) == ("anna", "c.test") else ()
            facts = Facts(mailboxes=2, messages=100, octets=1_000_000, collisions=clash)
            with house.platform.database.write() as connection:
                connection.execute(
                    tables.account.insert().values(
                        account_id=account.id, backend="old", at=1.0, facts=facts.to_json(), trouble=""
                    )
                )
    directory.add_alias("team@a.test", [Address("bob", "a.test"), Address("bob", "d.test")])
    yield house
    house.close()
