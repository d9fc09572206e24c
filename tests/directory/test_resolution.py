"""Who gets mail for an address."""

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.core.address import Address
from mailplat.core.errors import InvalidInput
from mailplat.core.quota import Quota
from mailplat.core.route import BackendHome, ShardHome
from mailplat.db.engine import Database
from mailplat.directory import Directory, resolution
from tests.directory.conftest import add, address


def names(directory: Directory, text: str) -> list[str]:
    return [target.address.local for target in directory.resolve(address(text)).targets]


def alias(directory: Directory, source: str, *targets: str) -> None:
    directory.add_alias(source if "@" in source else f"{source}@example.org", [address(t) for t in targets])


def test_an_account_with_all_that_a_door_needs(directory: Directory) -> None:
    account = directory.add_account(address("Anna"), home=BackendHome("legacy"), quota=7)
    [target] = directory.resolve(address("aNNA")).targets
    assert (target.account_id, target.address, target.quota) == (
        account.id,
        address("Anna"),
        Quota(7, "example.org"),
    )
    assert target.route == directory.route(account.id)


def test_unknown_recipients_and_unknown_domains(directory: Directory) -> None:
    unknown = directory.resolve(address("nobody"))
    assert (unknown.targets, unknown.known_domain) == ((), True)
    foreign = directory.resolve(address("nobody@elsewhere.test"))
    assert (foreign.targets, foreign.known_domain) == ((), False)
    bare = directory.resolve(Address("postmaster", ""))
    assert (bare.targets, bare.known_domain) == ((), False)


def test_lists_chains_and_duplicates(directory: Directory) -> None:
    for name in ("anna", "bert", "cleo"):
        add(directory, name)
    alias(directory, "team", "bert", "sales", "anna", "BERT")
    alias(directory, "sales", "anna", "cleo", "team")
    assert sorted(names(directory, "team")) == ["anna", "bert", "cleo"]
    assert names(directory, "TEAM")[0] == "bert"
    assert sorted(names(directory, "sales")) == ["anna", "bert", "cleo"]


def test_loops_lead_nowhere(directory: Directory) -> None:
    alias(directory, "a", "b")
    alias(directory, "b", "a")
    alias(directory, "self", "self")
    for name in ("a", "b", "self"):
        found = directory.resolve(address(name))
        assert (found.targets, found.known_domain) == ((), True)


def test_a_chain_ends_at_its_limit(directory: Directory) -> None:
    add(directory, "end")
    for number in range(12):
        alias(directory, f"hop{number}", f"hop{number + 1}" if number < 11 else "end")
    within = 12 - (resolution.MAX_DEPTH - 1)
    assert names(directory, f"hop{within}") == ["end"]
    assert names(directory, f"hop{within - 1}") == []


def test_a_catch_all_takes_what_nobody_has(directory: Directory) -> None:
    add(directory, "anna")
    sleeping = add(directory, "sleeping")
    directory.set_account(sleeping.id, active=False)
    add(directory, "rest")
    alias(directory, "exact", "anna")
    alias(directory, "@example.org", "rest")
    assert names(directory, "anna") == ["anna"]
    assert names(directory, "exact") == ["anna"]
    assert names(directory, "whoever") == ["rest"]
    # its owner's mail must not land with somebody else while he is suspended
    assert names(directory, "sleeping") == []


def test_a_catch_all_of_one_domain_into_another(directory: Directory) -> None:
    directory.add_domain("example.net")
    add(directory, "anna")
    alias(directory, "@example.net", "anna")
    assert names(directory, "x@example.net") == ["anna"]
    assert names(directory, "x") == []


def test_a_catch_all_that_leads_to_itself(directory: Directory) -> None:
    alias(directory, "@example.org", "nobody")
    assert names(directory, "x") == []
    assert names(directory, "nobody") == []


def test_an_account_with_a_forward(directory: Directory) -> None:
    add(directory, "anna")
    add(directory, "bert")
    alias(directory, "anna", "bert")
    assert names(directory, "anna") == ["bert"]
    directory.remove_alias("anna@example.org")
    alias(directory, "anna", "anna", "bert")
    assert sorted(names(directory, "anna")) == ["anna", "bert"]
    alias(directory, "bert", "anna", "bert")
    assert sorted(names(directory, "anna")) == ["anna", "bert"]


def test_too_many_targets_are_refused(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "MAX_TARGETS", 3)
    for number in range(4):
        add(directory, f"user{number}")
    alias(directory, "three", "user0", "user1", "user2")
    alias(directory, "four", "user0", "user1", "user2", "user3")
    assert len(names(directory, "three")) == 3
    with pytest.raises(InvalidInput, match="more than 3"):
        directory.resolve(address("four"))


_NAMES = [f"n{number}" for number in range(6)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    accounts=st.sets(st.sampled_from(_NAMES)),
    aliases=st.dictionaries(
        st.sampled_from([*_NAMES, "*"]),
        st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4, unique=True),
    ),
    asked=st.sampled_from([*_NAMES, "other"]),
)
def test_as_the_plain_definition(
    directory: Directory, accounts: set[str], aliases: dict[str, list[str]], asked: str
) -> None:
    """Whatever graph of accounts and aliases: the same accounts as following the rules one by one."""
    for account in directory.accounts():
        directory.remove_account(account.address)
    for each in directory.aliases():
        directory.remove_alias(each.source)
    for name in accounts:
        add(directory, name)
    for source, targets in aliases.items():
        alias(directory, "@example.org" if source == "*" else source, *targets)

    reached: set[str] = set()
    seen: set[str] = set()

    def follow(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        if name in aliases:
            if name in aliases[name] and name in accounts:
                reached.add(name)
            following = aliases[name]
        elif name in accounts:
            reached.add(name)
            following = []
        else:
            following = aliases.get("*", [])
        for target in following:
            follow(target)

    follow(asked)
    assert set(names(directory, asked)) == reached


class Statements:
    """Counts what is sent to the database."""

    def __init__(self, database: Database) -> None:
        self.seen: list[str] = []
        sa.event.listen(database.engine, "before_cursor_execute", self._note)

    def _note(self, connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith(("SELECT", "WITH")):
            self.seen.append(statement)


def test_hot_paths_take_few_selects(directory: Directory, database: Database) -> None:
    add(directory, "anna")
    alias(directory, "team", "anna")
    counted = Statements(database)
    for call, selects in (
        (lambda: directory.login("anna@example.org"), 1),
        (lambda: directory.resolve(address("anna")), 2),
        (lambda: directory.resolve(address("team")), 4),
        (lambda: directory.route(1), 1),
    ):
        counted.seen.clear()
        call()
        assert len(counted.seen) == selects, counted.seen


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_look_up_reads_a_whole_table(directory: Directory, database: Database) -> None:
    """55,000 domains cost what one does: every look-up of a door goes through an index."""
    from mailplat.directory import routes, tables

    with database.write() as connection:
        connection.execute(
            tables.domain.insert(), [{"name": f"d{number}.example"} for number in range(55_000)]
        )
    directory.add_account(Address("u", "d54999.example"), home=ShardHome("s1"))
    counted = Statements(database)
    assert directory.login("u@d54999.example") is not None
    assert directory.resolve(Address("u", "d54999.example")).targets
    assert directory.resolve(Address("x", "d54999.example")).known_domain
    with database.read() as connection:
        assert routes.changed_since(connection, routes.last_change(connection)) == []
        plans = {
            statement: [
                row[-1]
                for row in connection.exec_driver_sql(
                    "EXPLAIN QUERY PLAN " + statement, tuple("x" for _ in range(statement.count("?")))
                )
            ]
            for statement in set(counted.seen)
        }
    for statement, plan in plans.items():
        if "route_change" not in statement.split("FROM")[1]:
            assert all(step.startswith(("SEARCH", "USE TEMP B-TREE")) for step in plan), (statement, plan)
