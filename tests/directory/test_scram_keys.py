"""Keys for SCRAM, on each database."""

import pytest

from mailplat.core.route import ShardHome
from mailplat.directory import Account, Directory
from mailplat.directory.scram_keys import ScramStore
from mailplat.wire.sasl import derive_keys
from tests.directory.conftest import address

KEYS = derive_keys("secret", iterations=2)
OTHERS = derive_keys("other", iterations=2)


@pytest.fixture
def store(directory: Directory) -> ScramStore:
    return ScramStore(directory.database)


def anna(directory: Directory, password_hash: str = "{PLAIN}secret") -> Account:
    directory.add_account(address("anna"), home=ShardHome("s1"), password_hash=password_hash)
    return directory.account(address("anna"))


def test_kept_where_the_domain_asks(directory: Directory, store: ScramStore) -> None:
    account = anna(directory)
    assert not account.scram
    assert not store.wanted()
    assert not store.put(account, KEYS)
    directory.set_domain("example.org", scram=True)
    assert directory.account(address("anna")).scram
    assert store.wanted()
    assert store.put(account, KEYS)
    assert store.keys(account) == KEYS
    assert store.put(account, OTHERS)
    assert store.keys(account) == OTHERS
    directory.set_domain("example.org", scram=False)
    directory.set_domain("example.org", scram=True)
    assert store.keys(account) is None


def test_they_belong_to_one_password(directory: Directory, store: ScramStore) -> None:
    directory.set_domain("example.org", scram=True)
    account = anna(directory)
    store.put(account, KEYS)
    directory.set_account(account.id, password_hash="{PLAIN}new")
    changed = directory.account(address("anna"))
    assert store.keys(changed) is None
    assert not store.put(account, KEYS)  # whoever made them was too late
    assert store.put(changed, OTHERS)
    assert store.keys(changed) == OTHERS


def test_they_go_with_their_account(directory: Directory, store: ScramStore) -> None:
    directory.set_domain("example.org", scram=True)
    account = anna(directory)
    store.put(account, KEYS)
    directory.remove_account(address("anna"))
    assert store.keys(account) is None
    assert not store.put(account, KEYS)


def test_a_decoy_is_the_same_each_time_and_in_each_process(directory: Directory, store: ScramStore) -> None:
    decoy = store.decoy("anna@example.org")
    assert ScramStore(directory.database).decoy("ANNA@example.org") == decoy
    assert store.decoy("bert@example.org").salt != decoy.salt
    fresh = derive_keys("x")
    assert (len(decoy.salt), decoy.iterations) == (len(fresh.salt), fresh.iterations)


def test_settings_of_a_domain_leave_each_other_alone(directory: Directory) -> None:
    directory.set_domain("example.org", quota=5)
    directory.set_domain("example.org", app_passwords_only=True)
    domain = directory.domain("example.org")
    assert (domain.quota, domain.app_passwords_only, domain.scram) == (5, True, False)
    assert domain in directory.domains()
    assert anna(directory).app_passwords_only
