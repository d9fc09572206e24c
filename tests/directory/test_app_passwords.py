"""App passwords, on each database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.clock import ManualClock
from mailplat.core.errors import AlreadyExists, InvalidInput, LimitReached, NotFound
from mailplat.directory import Directory, app_passwords
from mailplat.directory.app_passwords import MAX_LABEL, PROTOCOLS, AppPasswords, digest_of, make_secret
from tests.directory.conftest import add, address


@pytest.fixture
def passwords(directory: Directory, clock: ManualClock) -> AppPasswords:
    return AppPasswords(directory.database, clock)


def test_made_found_listed_and_taken_back(directory: Directory, passwords: AppPasswords) -> None:
    anna, bert = add(directory, "anna"), add(directory, "bert")
    phone = passwords.add(anna.id, "phone", scope=("pop3", "imap"))
    scanner = passwords.add(anna.id, "scanner", scope=("smtp",))
    found = passwords.find(anna.id, phone)
    assert found is not None
    assert (found.label, found.scope, found.expires) == ("phone", ("imap", "pop3"), None)
    assert [each.label for each in passwords.of(anna.id)] == ["phone", "scanner"]
    assert passwords.find(bert.id, phone) is None
    assert passwords.find(anna.id, make_secret()) is None
    passwords.remove(anna.id, "phone")
    assert passwords.find(anna.id, phone) is None
    assert passwords.find(anna.id, scanner) is not None
    with pytest.raises(NotFound):
        passwords.remove(anna.id, "phone")


def test_scope_and_end(directory: Directory, passwords: AppPasswords, clock: ManualClock) -> None:
    anna = add(directory, "anna")
    secret = passwords.add(anna.id, "phone", scope=("imap",), expires=clock.now() + 10)
    found = passwords.find(anna.id, secret)
    assert found is not None
    assert found.opens("imap", clock.now())
    assert not found.opens("pop3", clock.now())
    assert found.opens("imap", clock.now() + 9)
    assert not found.opens("imap", clock.now() + 10)


def test_the_secret_itself_is_not_kept(directory: Directory, passwords: AppPasswords) -> None:
    secret = passwords.add(add(directory, "anna").id, "phone")
    with directory.database.read() as connection:
        row = connection.exec_driver_sql("SELECT * FROM app_password").one()
    assert secret not in str(row)
    assert secret.replace("-", "") not in str(row)


def test_they_go_with_their_account(directory: Directory, passwords: AppPasswords) -> None:
    anna = add(directory, "anna")
    passwords.add(anna.id, "phone")
    directory.remove_account(address("anna"))
    assert passwords.of(anna.id) == []


def test_what_is_refused(directory: Directory, passwords: AppPasswords, clock: ManualClock) -> None:
    anna = add(directory, "anna")
    passwords.add(anna.id, "x" * MAX_LABEL)
    with pytest.raises(AlreadyExists):
        passwords.add(anna.id, "x" * MAX_LABEL)
    for label in ("", "x" * (MAX_LABEL + 1), "a\nb", " a"):
        with pytest.raises(InvalidInput):
            passwords.add(anna.id, label)
    for scope in ((), ("imap", "ftp")):
        with pytest.raises(InvalidInput):
            passwords.add(anna.id, "phone", scope=scope)
    with pytest.raises(InvalidInput):
        passwords.add(anna.id, "phone", expires=clock.now())


def test_at_most_so_many(
    directory: Directory, passwords: AppPasswords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_passwords, "MAX_PER_ACCOUNT", 2)
    anna, bert = add(directory, "anna"), add(directory, "bert")
    passwords.add(anna.id, "first")
    passwords.add(anna.id, "second")
    with pytest.raises(LimitReached):
        passwords.add(anna.id, "third")
    passwords.add(bert.id, "first")
    passwords.remove(anna.id, "first")
    passwords.add(anna.id, "third")


def test_how_it_is_typed_does_not_matter() -> None:
    secret = make_secret()
    digest = digest_of(secret)
    assert digest is not None
    for typed in (secret.upper(), secret.replace("-", ""), secret.replace("-", " "), f" {secret} "):
        assert digest_of(typed) == digest
    assert digest_of(secret[:-1]) is None
    assert digest_of(secret + "2") is None
    assert make_secret() != secret
    assert PROTOCOLS == ("imap", "pop3", "smtp")


@given(st.text(max_size=19) | st.text(min_size=27))
def test_other_passwords_ask_nothing_of_the_database(password: str) -> None:
    """Shorter than 20 letters, or longer than them and their hyphens."""
    if len(password.strip()) < 20 or len(password.strip()) > 24:
        assert digest_of(password) is None
