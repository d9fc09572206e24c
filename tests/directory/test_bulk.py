"""Many accounts and aliases in one transaction, on both databases."""

import pytest
import sqlalchemy as sa

from mailplat.core.errors import NotFound
from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.directory import Directory, bulk, routes
from mailplat.directory.bulk import NewAccount
from mailplat.directory.tables import share
from tests.directory.conftest import add, address


def test_as_if_added_one_by_one(directory: Directory) -> None:
    with directory.database.read() as connection:
        before = routes.last_change(connection)
    new = [NewAccount(address(f"U{number}"), "{PLAIN}x", number, number % 2 == 0) for number in range(700)]
    with directory.database.write() as connection:
        numbers = bulk.insert_accounts(connection, new, BackendHome("legacy"))
        assert bulk.insert_accounts(connection, [], ShardHome("s1")) == {}
        assert bulk.known_domains(connection, ["example.org", "example.net"]) == {"example.org"}
    assert len(set(numbers.values())) == 700
    found = directory.account(address("u699"))
    assert (found.id, str(found.address), found.quota, found.active) == (
        numbers["u699@example.org"],
        "U699@example.org",
        699,
        False,
    )
    route = directory.route(found.id)
    assert (route.home, route.state, route.epoch) == (BackendHome("legacy"), RouteState.LEGACY, 1)
    with directory.database.read() as connection:
        assert routes.changed_since(connection, before) == [], "nobody has to act on them"
    assert directory.route(add(directory, "later").id).state is RouteState.FINAL


def test_one_that_is_there_keeps_all_from_being_made(directory: Directory) -> None:
    add(directory, "anna")
    with pytest.raises(sa.exc.IntegrityError), directory.database.write() as connection:
        bulk.insert_accounts(
            connection, [NewAccount(address("x")), NewAccount(address("ANNA"))], ShardHome("s1")
        )
    assert [each.address.local for each in directory.accounts()] == ["anna"]


def test_changed_and_removed(directory: Directory) -> None:
    people = [add(directory, name) for name in ("anna", "bert", "carl")]
    with directory.database.write() as connection:
        changes = {people[0].id: {"quota": 7}, people[1].id: {"active": False, "password_hash": "{PLAIN}y"}}
        bulk.change_accounts(connection, {**changes, people[2].id: {}, 4711: {"quota": 1}})
        connection.execute(
            share.insert().values(
                owner_id=people[0].id, grantee_id=people[2].id, domain="example.org", at=0.0
            )
        )
    anna, bert, carl = (directory.account_by_id(each.id) for each in people)
    assert (anna.quota, bert.active, bert.password_hash, bert.quota, carl) == (
        7,
        False,
        "{PLAIN}y",
        0,
        people[2],
    )
    with directory.database.write() as connection:
        bulk.remove_accounts(connection, [people[2].id])
        assert connection.execute(sa.select(share)).first() is None
    with pytest.raises(NotFound):
        directory.route(people[2].id)


def test_aliases_are_put_in_the_place_of_others(directory: Directory) -> None:
    directory.add_alias("team@example.org", [address("anna"), address("bert")])
    with directory.database.write() as connection:
        bulk.put_aliases(
            connection, {"team@example.org": [address("carl")], "@example.org": [address("anna")]}
        )
    found = {each.source: [target.local for target in each.targets] for each in directory.aliases()}
    assert found == {"team@example.org": ["carl"], "@example.org": ["anna"]}
    with directory.database.write() as connection:
        bulk.remove_aliases(connection, ["team@example.org", "nobody@example.org"])
    assert [each.source for each in directory.aliases()] == ["@example.org"]
