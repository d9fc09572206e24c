"""Who shares with whom: rows that lead to what is shared, on each database."""

import pytest

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.route import ShardHome
from mailplat.db.engine import Database
from mailplat.directory import Account, Directory
from mailplat.directory.shares import ANYONE, GRACE_S, Shares


class House:
    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.directory = Directory(database, clock)
        self.shares = Shares(database, clock)
        self.clock = clock
        for domain in ("example.test", "other.test"):
            self.directory.add_domain(domain)

    def add(self, address: str) -> Account:
        local, _, domain = address.partition("@")
        return self.directory.add_account(Address(local, domain), home=ShardHome("s1"))

    def owners(self, who: Account, *, across: bool = False, limit: int = 10) -> list[str]:
        found = self.shares.owners(who, across=across, limit=limit)
        assert all(self.shares.owner(each.account.address.key, who, across=across) == each for each in found)
        return [str(each.account.address) for each in found]


@pytest.fixture
def house(database: Database, clock: ManualClock) -> House:
    return House(database, clock)


def test_a_grantee_finds_owners(house: House) -> None:
    ann, bob, eve = map(house.add, ("Ann@example.test", "bob@example.test", "eve@other.test"))
    house.shares.put(ann.id, bob.id)
    house.shares.put(ann.id, bob.id)
    assert house.owners(bob) == ["Ann@example.test"]
    assert house.owners(eve) == house.owners(ann) == []
    assert house.shares.owner("ann@example.test", eve, across=True) is None
    assert house.shares.owner("bob@example.test", ann, across=True) is None


def test_anyone_is_the_owner_s_domain(house: House) -> None:
    ann, bob, eve = map(house.add, ("ann@example.test", "bob@example.test", "eve@other.test"))
    house.shares.put(ann.id, ANYONE)
    assert house.owners(bob, across=True) == house.owners(bob) == ["ann@example.test"]
    assert house.owners(eve, across=True) == []
    assert house.owners(ann) == [], "not one with herself"


def test_across_domains_where_that_is_allowed(house: House) -> None:
    ann, eve = map(house.add, ("ann@example.test", "eve@other.test"))
    house.shares.put(ann.id, eve.id)
    assert house.owners(eve) == []
    assert house.owners(eve, across=True) == ["ann@example.test"]
    assert house.shares.owner("ann@example.test", eve, across=False) is None


def test_a_suspended_owner_shares_nothing(house: House) -> None:
    ann, bob = map(house.add, ("ann@example.test", "bob@example.test"))
    house.shares.put(ann.id, bob.id)
    house.directory.set_account(ann.id, active=False)
    assert house.owners(bob) == []


def test_rows_go_when_nothing_is_left_and_never_while_a_right_is_on_its_way(house: House) -> None:
    ann, bob, eve = map(house.add, ("ann@example.test", "bob@example.test", "eve@example.test"))
    house.shares.put(ann.id, bob.id)
    house.shares.keep(ann.id, [])
    assert house.owners(bob) == ["ann@example.test"], "too young"
    house.clock.advance(GRACE_S + 1)
    house.shares.put(ann.id, eve.id)
    house.shares.keep(ann.id, [])
    assert (house.owners(bob), house.owners(eve)) == ([], ["ann@example.test"])
    house.clock.advance(GRACE_S + 1)
    house.shares.keep(ann.id, [eve.id])
    assert house.owners(eve) == ["ann@example.test"]


def test_a_removed_account_is_on_neither_side(house: House, database: Database) -> None:
    ann, bob, eve = map(house.add, ("ann@example.test", "bob@example.test", "eve@example.test"))
    house.shares.put_all([(ann.id, bob.id), (bob.id, eve.id), (ann.id, eve.id), (999, eve.id)])
    house.directory.remove_account(bob.address)
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT owner_id, grantee_id FROM share").fetchall()
    assert [tuple(row) for row in rows] == [(ann.id, eve.id)]


def test_no_more_than_the_limit(house: House) -> None:
    bob = house.add("bob@example.test")
    for name in ("c", "a", "b"):
        house.shares.put(house.add(f"{name}@example.test").id, bob.id)
    assert house.owners(bob, limit=2) == ["a@example.test", "b@example.test"]
