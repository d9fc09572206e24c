"""Scripts of accounts, on each database that they can live in."""

import pytest

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.errors import AlreadyExists, InvalidInput, LimitReached, NotFound
from mailplat.core.limits.sieve import SieveLimits
from mailplat.core.route import BackendHome
from mailplat.db.engine import Database
from mailplat.directory import Directory
from mailplat.sieve.scripts import Script, Scripts, ScriptStore, read, replace

ODD = b"keep;\r\n# \xff\x00 as it came\n"


@pytest.fixture
def accounts(directory: Directory) -> list[int]:
    return [
        directory.add_account(Address(name, "example.org"), home=BackendHome("legacy"), password_hash="").id
        for name in ("ann", "bob")
    ]


@pytest.fixture
def scripts(database: Database, clock: ManualClock) -> ScriptStore:
    return ScriptStore(database, clock, SieveLimits(scripts=3, script=100))


def test_scripts_are_kept_as_they_come(scripts: ScriptStore, accounts: list[int], clock: ManualClock) -> None:
    ann, bob = accounts
    scripts.put(ann, "Grüße/1", ODD)
    scripts.put(ann, "empty", b"")
    assert scripts.get(ann, "Grüße/1") == ODD
    assert scripts.active(ann) is None
    scripts.activate(ann, "Grüße/1")
    scripts.put(ann, "Grüße/1", b"stop;")  # stays active
    assert scripts.active(ann) == ("Grüße/1", b"stop;")
    assert scripts.list(ann) == [
        Script("Grüße/1", 5, True, clock.now()),
        Script("empty", 0, False, clock.now()),
    ]
    assert scripts.list(bob) == []
    with pytest.raises(NotFound):
        scripts.get(bob, "empty")


def test_one_is_active_at_most(scripts: ScriptStore, accounts: list[int]) -> None:
    ann, bob = accounts
    for account in accounts:
        scripts.put(account, "a", b"1")
        scripts.put(account, "b", b"2")
        scripts.activate(account, "a")
    scripts.activate(ann, "b")
    assert [each.name for each in scripts.list(ann) if each.active] == ["b"]
    assert [each.name for each in scripts.list(bob) if each.active] == ["a"]
    with pytest.raises(InvalidInput, match="active"):
        scripts.remove(ann, "b")
    with pytest.raises(NotFound):
        scripts.activate(ann, "c")
    assert scripts.active(ann) == ("b", b"2"), "as it was"
    scripts.activate(ann, "")
    scripts.remove(ann, "b")
    assert [each.name for each in scripts.list(ann)] == ["a"]
    with pytest.raises(NotFound):
        scripts.remove(ann, "b")


def test_another_name(scripts: ScriptStore, accounts: list[int]) -> None:
    ann = accounts[0]
    scripts.put(ann, "a", b"1")
    scripts.put(ann, "b", b"2")
    scripts.activate(ann, "a")
    with pytest.raises(AlreadyExists):
        scripts.rename(ann, "a", "b")
    with pytest.raises(NotFound):
        scripts.rename(ann, "c", "d")
    with pytest.raises(InvalidInput):
        scripts.rename(ann, "a", "")
    scripts.rename(ann, "a", "c")
    assert scripts.active(ann) == ("c", b"1")


def test_limits(scripts: ScriptStore, accounts: list[int]) -> None:
    ann = accounts[0]
    scripts.put(ann, "a", bytes(100))
    with pytest.raises(LimitReached, match="101 octets"):
        scripts.put(ann, "a", bytes(101))
    for name in ("b", "c"):
        scripts.put(ann, name, b"")
    with pytest.raises(LimitReached, match="has 3 scripts"):
        scripts.put(ann, "d", b"")
    scripts.put(ann, "c", b"x")
    with pytest.raises(InvalidInput):
        scripts.put(ann, "a\nb", b"")


def test_all_of_an_account_at_once(scripts: ScriptStore, database: Database, accounts: list[int]) -> None:
    ann, bob = accounts
    scripts.put(bob, "a", b"his")
    wanted = Scripts({"a": b"1", "b": ODD}, "b")
    for changes in (3, 0):
        with database.write() as connection:
            assert replace(connection, ann, wanted, 1.0) == changes
            assert read(connection, ann) == wanted
    with database.write() as connection:
        assert replace(connection, ann, Scripts({"b": ODD}), 2.0) == 2
    assert [(each.active, each.changed) for each in scripts.list(ann)] == [(False, 1.0)], "not touched"
    assert scripts.get(bob, "a") == b"his"


def test_they_go_with_their_account(
    scripts: ScriptStore, directory: Directory, database: Database, accounts: list[int]
) -> None:
    ann, bob = accounts
    for account in accounts:
        scripts.put(account, "a", b"1")
    directory.remove_account(Address("ann", "example.org"), route=directory.route(ann))
    with database.read() as connection:
        assert read(connection, ann) == Scripts()
    assert scripts.get(bob, "a") == b"1"
