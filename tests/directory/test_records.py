"""The directory's rows in a backup, and back: on each database."""

import json

import pytest

from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import ShardHome
from mailplat.db.engine import Database
from mailplat.directory import Directory, tables
from mailplat.directory.app_passwords import AppPasswords
from mailplat.directory.records import Added, add_missing, read_records, write_records
from tests.directory.conftest import add, address

S1 = ShardHome("s1")


def furnish(directory: Directory) -> bytes:
    directory.add_account(address("anna"), home=S1, password_hash="{PLAIN}secret", quota=10**10)
    add(directory, "bob", "s2")
    gone = add(directory, "gone")
    add(directory, "Carl")
    directory.set_account(directory.account(address("carl")).id, active=False)
    directory.remove_account(gone.address)
    add(directory, "last")
    directory.remove_account(address("last"))
    directory.add_domain("example.net")
    directory.add_alias("@example.net", [address("anna"), address("bob")])
    return write_records(directory, S1)


def empty(database: Database) -> None:
    with database.write() as connection:
        for table in (tables.alias, tables.route, tables.account, tables.domain):
            connection.execute(table.delete())


def test_into_an_empty_directory_under_the_old_numbers(directory: Directory, database: Database) -> None:
    octets = furnish(directory)
    before = {str(each.address): each for each in directory.accounts() if each.address.local != "bob"}
    domains, aliases = directory.domains(), directory.aliases()
    last = database_last(database)
    empty(database)
    added = add_missing(directory, read_records(octets), S1, epochs={1: 7}, last=3)
    assert added == Added(domains=2, accounts=2, aliases=1)
    assert {str(each.address): each for each in directory.accounts()} == before
    assert (directory.domains(), directory.aliases()) == (domains, aliases)
    anna, carl = (directory.account(address(name)) for name in ("anna", "carl"))
    assert (directory.route(anna.id).epoch, directory.route(carl.id).epoch) == (7, 1)
    assert str(directory.route(carl.id).home) == "shard:s1"
    assert add(directory, "new").id > last  # the number of an account that is gone is not given again
    assert add_missing(directory, read_records(octets), S1, epochs={}) == Added(present=2)


def database_last(database: Database) -> int:
    with database.read() as connection:
        return database.last_number(connection, tables.account)


def test_numbers_that_the_shard_knows_are_not_given_again(directory: Directory, database: Database) -> None:
    octets = furnish(directory)
    empty(database)
    add_missing(directory, read_records(octets), S1, epochs={}, last=900)
    assert add(directory, "new").id == 901


def test_what_is_there_stays_and_what_left_is_left_out(directory: Directory) -> None:
    octets = furnish(directory)
    anna = directory.account(address("anna"))
    directory.set_account(anna.id, quota=5)
    directory.remove_account(address("carl"))
    carl = next(row["id"] for row, _ in read_records(octets).accounts if row["local"] == "Carl")
    added = add_missing(directory, read_records(octets), S1, epochs={}, left={carl})
    assert (added.present, added.left, added.accounts) == (1, 1, 0)
    assert directory.account(address("anna")).quota == 5


def test_a_number_that_somebody_else_has_is_not_taken_from_him(
    directory: Directory, database: Database
) -> None:
    octets = furnish(directory)
    number = directory.account(address("anna")).id
    empty(database)
    directory.add_domain("example.org")
    with database.write() as connection:
        row = {"id": number, "key": "eve@example.org", "local": "eve", "domain": "example.org"}
        connection.execute(tables.account.insert().values(**row, password_hash="", quota=0, active=True))
    added = add_missing(directory, read_records(octets), S1, epochs={})
    assert (added.accounts, added.taken) == (1, [f"anna@example.org (number {number})"])
    with pytest.raises(NotFound):
        directory.account(address("anna"))


def test_one_account_under_a_new_number(directory: Directory) -> None:
    octets = furnish(directory)
    old = directory.account(address("anna"))
    directory.remove_account(old.address)
    directory.remove_account(address("carl"))
    records = read_records(octets).narrow(lambda each: each.local == "anna", {"example.org"}, aliases=False)
    assert add_missing(directory, records, S1, epochs=None) == Added(accounts=1)
    now = directory.account(address("anna"))
    assert now.id > old.id
    assert (now.password_hash, now.quota, directory.route(now.id).epoch) == ("{PLAIN}secret", 10**10, 1)


def test_columns_of_another_release_are_no_obstacle(directory: Directory, database: Database) -> None:
    octets = furnish(directory).replace(b'"quota"', b'"colour": "red", "quota"')
    empty(database)
    assert add_missing(directory, read_records(octets), S1, epochs={}).accounts == 2


@pytest.mark.parametrize(
    "octets", [b"", b"{}", b'{"format": 99, "last": 1}', b"\xff", b'{"format": 1, "last": 1}\nnot']
)
def test_what_cannot_be_read_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_records(octets)


def test_app_passwords_come_back_with_their_account(directory: Directory, database: Database) -> None:
    passwords = AppPasswords(database, directory.clock)
    anna, bob = add(directory, "anna"), add(directory, "bob", "s2")
    secret = passwords.add(anna.id, "phone", scope=("imap",), expires=directory.clock.now() + 10)
    others = passwords.add(bob.id, "phone")
    passwords.add(anna.id, "scanner")
    octets = write_records(directory, S1)
    assert secret.encode() not in octets
    before = [(each.label, each.scope, each.created, each.expires) for each in passwords.of(anna.id)]
    empty(database)
    add_missing(directory, read_records(octets), S1, epochs=None)
    again = directory.account(address("anna"))
    assert again.id != anna.id
    found = passwords.find(again.id, secret)
    assert found is not None
    assert [(each.label, each.scope, each.created, each.expires) for each in passwords.of(again.id)] == before
    assert passwords.find(bob.id, others) is None  # he lives in another shard


def test_records_of_a_release_without_app_passwords(directory: Directory, database: Database) -> None:
    add(directory, "anna")
    lines = [json.loads(line) for line in write_records(directory, S1).splitlines()]
    for line in lines:
        line.pop("app_passwords", None)
    empty(database)
    add_missing(
        directory, read_records(b"".join(json.dumps(line).encode() + b"\n" for line in lines)), S1, epochs={}
    )
    assert directory.account(address("anna"))
