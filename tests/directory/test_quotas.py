"""Quotas of domains, of many accounts at once, and as long sessions read them."""

import pytest

from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput, NotFound, Unavailable
from mailplat.core.quota import Quota
from mailplat.core.route import ShardHome
from mailplat.directory import Directory, quotas
from mailplat.directory.quotas import LEASE_S, CurrentQuotas, Promised
from tests.directory.conftest import add, address


def test_a_domain_has_a_pool(directory: Directory) -> None:
    directory.add_domain("example.net", quota=500)
    account = directory.add_account(address("x@example.net"), home=ShardHome("s1"), quota=7)
    assert account.allowance == Quota(7, "example.net", 500)
    directory.set_domain("EXAMPLE.net", quota=1 << 50)
    wanted = Quota(7, "example.net", 1 << 50)
    assert directory.domain("example.net").quota == 1 << 50
    assert directory.account_by_id(account.id).allowance == wanted
    assert directory.account(account.address).allowance == wanted
    [target] = directory.resolve(account.address).targets
    assert target.quota == wanted
    login = directory.login("x@example.net")
    assert login is not None
    assert login.account.allowance == wanted
    assert [(each.name, each.quota) for each in directory.domains()] == [
        ("example.net", 1 << 50),
        ("example.org", 0),
    ]
    with pytest.raises(NotFound):
        directory.set_domain("example.com", quota=1)


def test_promised(directory: Directory) -> None:
    assert directory.promised() == {}
    for name, quota in (("a", 10), ("b", 0), ("c", 1 << 60), ("d", 1 << 61)):
        directory.set_account(add(directory, name).id, quota=quota)
    assert directory.promised() == {"example.org": Promised(4, 10 + (1 << 60) + (1 << 61), 1)}


def test_many_at_once_all_or_none(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "_KEYS", 5)  # more than one SELECT asks for
    for number in range(12):
        add(directory, f"u{number}")
    wanted = {f"u{number}@example.org": number * 1000 for number in range(12)}
    assert directory.set_quotas({**wanted, "nobody@example.org": 1, "u5@example.com": 2}) == [
        "nobody@example.org",
        "u5@example.com",
    ]
    assert {account.quota for account in directory.accounts()} == {0}
    assert directory.set_quotas(wanted) == []
    assert {account.address.key: account.quota for account in directory.accounts()} == wanted
    assert directory.set_quotas({}) == []
    assert directory.unknown(["u1@example.org", "x@example.org"]) == ["x@example.org"]


def test_a_whole_domain(directory: Directory) -> None:
    directory.add_domain("example.net")
    add(directory, "a"), add(directory, "b"), add(directory, "x@example.net")
    assert directory.set_domain_quotas("Example.org", 9) == 2
    assert [account.quota for account in directory.accounts()] == [0, 9, 9]
    directory.add_domain("example.com")
    assert directory.set_domain_quotas("example.com", 9) == 0
    with pytest.raises(NotFound):
        directory.set_domain_quotas("example.info", 9)
    with pytest.raises(InvalidInput):
        directory.set_domain_quotas("no domain", 9)


def test_residents_and_domains(directory: Directory) -> None:
    directory.add_domain("example.net")
    first, second = add(directory, "b"), add(directory, "x@example.net", "legacy")
    assert [(each.account.id, str(each.route.home)) for each in directory.residents()] == [
        (second.id, "backend:legacy"),
        (first.id, "shard:s1"),
    ]
    assert [each.account.id for each in directory.residents("example.org")] == [first.id]
    assert directory.domains_of([first.id, second.id, 999]) == {
        first.id: "example.org",
        second.id: "example.net",
    }


class TestCurrentQuotas:
    def test_a_change_is_seen_within_the_lease(self, directory: Directory, clock: ManualClock) -> None:
        account = add(directory, "a")
        current = CurrentQuotas(lambda number: directory.account_by_id(number).allowance, clock.monotonic)
        assert current.of(account.id, account.allowance).account == 0
        directory.set_account(account.id, quota=5)
        clock.advance(LEASE_S - 0.1)
        assert current.of(account.id, account.allowance).account == 0
        clock.advance(0.1)
        assert current.of(account.id, account.allowance) == Quota(5, "example.org")
        directory.remove_account(account.address)
        clock.advance(LEASE_S)
        assert current.of(account.id, account.allowance) == Quota(5, "example.org")

    def test_the_last_one_holds_while_the_database_is_away(self, clock: ManualClock) -> None:
        answers: list[Quota | None] = [None, Quota(7), None]

        def read(_: int) -> Quota:
            answer = answers.pop(0)
            if answer is None:
                raise Unavailable("gone")
            return answer

        current = CurrentQuotas(read, clock.monotonic)
        for expected in (Quota(3), Quota(7), Quota(7)):
            assert current.of(1, Quota(3)) == expected
            clock.advance(LEASE_S)
        assert answers == []
