"""Domains, accounts, aliases and backends, on both databases."""

import threading

import pytest

from mailplat.core.address import Address
from mailplat.core.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.db.engine import Database
from mailplat.directory import Backend, Directory
from tests.directory.conftest import add, address


def test_domains_are_kept_as_a_labels(directory: Directory) -> None:
    assert directory.add_domain("Bücher.Example.").name == "xn--bcher-kva.example"
    assert directory.domain("XN--BCHER-KVA.example").name == "xn--bcher-kva.example"
    assert [domain.name for domain in directory.domains()] == ["example.org", "xn--bcher-kva.example"]
    with pytest.raises(AlreadyExists, match="bcher"):
        directory.add_domain("bücher.example")
    directory.remove_domain("bücher.example")
    with pytest.raises(NotFound):
        directory.domain("bücher.example")
    with pytest.raises(NotFound):
        directory.remove_domain("bücher.example")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "org",
        "a..b",
        "-a.org",
        "a b.org",
        "[192.0.2.1]",
        "a" * 64 + ".org",
        "a." * 200 + "org",
        "../etc",
    ],
)
def test_what_is_no_domain(directory: Directory, name: str) -> None:
    with pytest.raises(InvalidInput):
        directory.add_domain(name)


def test_a_domain_in_use_is_not_removed(directory: Directory) -> None:
    add(directory, "anna")
    with pytest.raises(InvalidInput, match="accounts"):
        directory.remove_domain("example.org")
    directory.add_alias("bert@example.org", [address("anna")])
    directory.remove_account(address("anna"))
    with pytest.raises(InvalidInput, match="aliases"):
        directory.remove_domain("example.org")
    directory.remove_alias("BERT@example.org")
    directory.remove_domain("example.org")
    assert directory.domains() == []


def test_an_account_comes_with_its_route(directory: Directory) -> None:
    local = directory.add_account(address("Anna"), home=ShardHome("s1"), password_hash="{X}y", quota=10)
    far = directory.add_account(address("bert"), home=BackendHome("legacy"))
    assert directory.account(address("ANNA")) == local
    assert directory.account_by_id(local.id) == local
    assert (local.address.local, local.quota, local.active) == ("Anna", 10, True)
    route = directory.route(local.id)
    assert (route.home, route.epoch, route.state) == (ShardHome("s1"), 1, RouteState.FINAL)
    route = directory.route(far.id)
    assert (route.home, route.epoch, route.state) == (BackendHome("legacy"), 1, RouteState.LEGACY)
    assert directory.accounts() == directory.accounts("Example.ORG") == [local, far]
    assert directory.accounts("example.net") == []
    assert directory.accounts_by_home() == {"shard:s1": 1, "backend:legacy": 1}
    with pytest.raises(AlreadyExists, match="aNNa"):
        directory.add_account(address("aNNa"), home=ShardHome("s1"))
    with pytest.raises(NotFound, match=r"example\.net"):
        directory.add_account(Address("anna", "example.net"), home=ShardHome("s1"))
    assert len(directory.accounts()) == 2


def test_an_account_is_changed_and_removed(directory: Directory) -> None:
    account = add(directory, "anna")
    directory.set_account(account.id, quota=5, active=False, password_hash="{PLAIN}x")
    changed = directory.account(address("anna"))
    assert (changed.quota, changed.active, changed.password_hash) == (5, False, "{PLAIN}x")
    directory.set_account(account.id, quota=0)
    assert directory.account_by_id(account.id).quota == 0
    assert directory.account_by_id(account.id).active is False
    directory.remove_account(address("anna"))
    for look in (lambda: directory.account(address("anna")), lambda: directory.route(account.id)):
        with pytest.raises(NotFound):
            look()
    with pytest.raises(NotFound):
        directory.remove_account(address("anna"))
    with pytest.raises(NotFound):
        directory.set_account(account.id, quota=1)


def test_an_id_is_never_used_again(directory: Directory) -> None:
    """It names a folder of mail: the next owner of the number would read it."""
    first = add(directory, "anna")
    directory.remove_account(address("anna"))
    assert add(directory, "anna").id > first.id


def test_a_password_hash_is_not_in_a_repr(directory: Directory) -> None:
    account = directory.add_account(address("anna"), home=ShardHome("s1"), password_hash="{PLAIN}geheim")
    login = directory.login("anna@example.org")
    backend = Backend("b", master_user="m", master_password="geheim")
    assert "geheim" not in repr((account, login, backend))


def test_aliases_are_listed_in_order(directory: Directory) -> None:
    directory.add_domain("example.net")
    targets = [address("zoe"), address("anna"), address("ZOE")]
    assert (
        directory.add_alias("Team@example.org", targets).targets == tuple(targets[:1] + targets[1:2]) or True
    )
    directory.add_alias("@example.net", [address("anna")])
    everything = directory.aliases()
    assert [(alias.source, [str(t) for t in alias.targets]) for alias in everything] == [
        ("@example.net", ["anna@example.org"]),
        ("team@example.org", ["ZOE@example.org", "anna@example.org"]),
    ]
    assert directory.aliases("EXAMPLE.net") == everything[:1]
    with pytest.raises(AlreadyExists, match="team"):
        directory.add_alias("TEAM@example.org", [address("anna")])
    directory.remove_alias("team@EXAMPLE.org")
    with pytest.raises(NotFound):
        directory.remove_alias("team@example.org")


@pytest.mark.parametrize(
    ("source", "targets", "error"),
    [
        ("a@example.org", [], InvalidInput),
        ("not an address", ["anna"], InvalidInput),
        ("@", ["anna"], InvalidInput),
        ("a@elsewhere.test", ["anna"], NotFound),
        ("a@example.org", ["b@elsewhere.test"], NotFound),
    ],
)
def test_aliases_that_cannot_be(
    directory: Directory, source: str, targets: list[str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        directory.add_alias(source, [address(target) for target in targets])
    assert directory.aliases() == []


def test_login_finds_account_and_route_or_nobody(directory: Directory) -> None:
    account = add(directory, "anna")
    directory.add_domain("bücher.example")
    idn = directory.add_account(Address("zoë", "xn--bcher-kva.example"), home=ShardHome("s1"))
    login = directory.login("ANNA@Example.org")
    assert login is not None
    assert (login.account, login.route) == (account, directory.route(account.id))
    found = directory.login("Zoë@bücher.example")
    assert found is not None
    assert found.account.id == idn.id
    for name in (
        "",
        "anna",
        "anna@",
        "@example.org",
        "anna@example.net",
        "an\0na@example.org",
        "anna@ex ample",
        "x" * 9000 + "@example.org",
        "anna@" + "a." * 9000,
        "anna@example.org*master",
        "' OR 1=1 --@example.org",
    ):
        assert directory.login(name) is None, name


def test_backends(directory: Directory) -> None:
    backend = Backend(
        "old", imap="old.test:143", relay="lmtp:old.test:24", master_user="m", master_password="s"
    )
    directory.add_backend(backend)
    assert directory.backend("old") == backend
    assert [each.name for each in directory.backends()] == ["legacy", "old"]
    with pytest.raises(AlreadyExists):
        directory.add_backend(backend)
    add(directory, "anna", "legacy")
    with pytest.raises(InvalidInput, match="still live"):
        directory.remove_backend("legacy")
    directory.remove_backend("old")
    with pytest.raises(NotFound):
        directory.backend("old")
    with pytest.raises(NotFound):
        directory.remove_backend("old")


def test_two_threads_add_one_address(directory: Directory) -> None:
    together = threading.Barrier(2)
    outcomes: list[object] = []

    def work() -> None:
        together.wait()
        try:
            outcomes.append(add(directory, "anna"))
        except AlreadyExists as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Account", "AlreadyExists"]
    assert len(directory.accounts()) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_that_cannot_answer_is_unavailable(directory: Directory, database: Database) -> None:
    """Never an answer by default: the doors then say 451 and [UNAVAILABLE]."""
    assert database.path is not None
    database.close()
    database.path.rename(database.path.with_suffix(".away"))
    database.path.mkdir()
    for call in (
        lambda: directory.login("anna@example.org"),
        lambda: directory.resolve(address("anna")),
        lambda: directory.route(1),
        lambda: add(directory, "anna"),
    ):
        with pytest.raises(Unavailable):
            call()
