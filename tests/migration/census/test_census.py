"""A census of a real Dovecot: what it finds, what it leaves alone, and how it goes on."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.address import Address
from mailplat.core.errors import Unavailable
from mailplat.core.limits.census import CensusLimits
from mailplat.core.route import BackendHome
from migration import pacing
from migration.census import taking
from migration.census.reading import read
from migration.census.taking import Census, residents
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, backend_of, client, letter

pytestmark = pytest.mark.interop


@pytest.fixture
def here(house: Callable[..., House], user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """`user` on the backend with seven letters in two mailboxes, and a name that the backend does not know."""
    monkeypatch.setattr(pacing, "FIRST_S", 0.01)  # Dovecot says [UNAVAILABLE] of a name that it does not know
    made = house(user, f"nobody@{DOMAIN}")
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    return made


def fill(dovecot: Dovecot, user: str) -> int:
    """Octets."""
    letters = [letter(number, 1000 * (number + 1)) for number in range(7)]
    with client(dovecot, user) as imap:
        imap.create_folder("Archive")
        for number, octets in enumerate(letters):
            imap.append("Archive" if number % 2 else "INBOX", octets, flags=["\\Seen"])
    return sum(map(len, letters))


def take(here: House, *, again: bool = False) -> int:
    known = here.platform.directory.backend("old")
    accounts = residents(here.platform.database, "old")
    return asyncio.run(Census(here.platform, known).take(accounts, again=again))


def test_what_is_there_is_found_and_an_account_that_cannot_be_read_is_a_line_of_the_report(
    here: House, dovecot: Dovecot, user: str, capsys: pytest.CaptureFixture[str]
) -> None:
    octets = fill(dovecot, user)
    assert main(["migrate", "census", "old", "--json"]) == 1, "one cannot be read"
    found = json.loads(capsys.readouterr().out)
    accounts = {each["address"]: each for each in found["accounts"]}
    mine = accounts[user]
    assert (mine["mailboxes"], mine["messages"], mine["octets"], mine["estimated"]) == (2, 7, octets, False)
    assert (mine["pop3"], mine["inbox"], mine["inbox_seen"], mine["leaves_mail"]) == (4, 4, 4, False)
    assert accounts[f"nobody@{DOMAIN}"]["trouble"].startswith("the source")
    (domain,) = found["domains"]
    assert (domain["accounts"], domain["messages"], domain["octets"]) == (2, 7, octets)
    assert domain["unreadable"] == [f"nobody@{DOMAIN}"]
    assert [each["name"] for each in domain["reasons"]] == ["unreadable"]
    seconds = domain["copy_seconds"]
    assert 0 < seconds["low"] < seconds["expected"] < seconds["high"]
    assert main(["migrate", "census", "old"]) == 1
    text = capsys.readouterr().out
    assert f"{DOMAIN}: risk 30" in text
    assert f"nobody@{DOMAIN}: the source" in text


def test_what_was_read_is_not_read_again_unless_it_is_asked_for(
    here: House, dovecot: Dovecot, user: str
) -> None:
    fill(dovecot, user)
    assert take(here) == 2
    assert take(here) == 1, "only who could not be read"
    (first,) = [each for each in residents(here.platform.database, "old") if each.address == user]
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(99))
    take(here)
    (again,) = [each for each in residents(here.platform.database, "old") if each.address == user]
    assert again == first
    assert take(here, again=True) == 2
    (anew,) = [each for each in residents(here.platform.database, "old") if each.address == user]
    assert anew.facts is not None
    assert anew.facts.messages == 8


def test_nothing_is_changed_there(here: House, dovecot: Dovecot, user: str) -> None:
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
        before = imap.folder_status("INBOX", ["MESSAGES", "UIDNEXT", "UNSEEN", "HIGHESTMODSEQ"])
    take(here)
    with client(dovecot, user) as imap:
        assert imap.folder_status("INBOX", ["MESSAGES", "UIDNEXT", "UNSEEN", "HIGHESTMODSEQ"]) == before


def test_a_platform_that_is_away_ends_it_and_what_was_read_stays(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "IN_A_ROW", 3)
    away = house(*(f"u{number}@{DOMAIN}" for number in range(6)), imap="127.0.0.1:1", pop3="")
    with pytest.raises(Unavailable, match="3 accounts of old in a row"):
        take(away)
    assert sum(bool(each.trouble) for each in residents(away.platform.database, "old")) >= 3


def test_who_left_is_not_in_it(here: House, dovecot: Dovecot, user: str) -> None:
    take(here)
    here.platform.directory.remove_account(Address("nobody", DOMAIN))
    assert [each.address for each in residents(here.platform.database, "old")] == [user]
    here.platform.directory.add_account(Address("newcomer", DOMAIN), home=BackendHome("old"))
    newcomer = next(
        each for each in residents(here.platform.database, "old") if each.address.startswith("newcomer")
    )
    assert newcomer.facts is None
    assert not newcomer.trouble


async def test_who_leaves_mail_on_the_server_looks_like_it(
    dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1), flags=["\\Seen"])
    facts = await read(backend_of(dovecot), user, tmp_path, CensusLimits())
    assert facts.leaves_mail
    no_pop3 = await read(backend_of(dovecot, pop3=""), user, tmp_path, CensusLimits())
    assert (no_pop3.pop3, no_pop3.leaves_mail) == (None, False)


async def test_pop3_that_does_not_answer_is_said_and_the_rest_is_known(
    dovecot: Dovecot, user: str, tmp_path: Path
) -> None:
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
    facts = await read(backend_of(dovecot, pop3="127.0.0.1:1"), user, tmp_path, CensusLimits())
    assert facts.messages == 1
    assert "POP3 at 127.0.0.1:1" in facts.pop3_trouble


async def test_a_platform_with_pop3_alone(dovecot: Dovecot, user: str, tmp_path: Path) -> None:
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
    facts = await read(backend_of(dovecot, imap=""), user, tmp_path, CensusLimits())
    assert (facts.messages, facts.octets, facts.mailboxes) == (1, len(letter(1)), 1)
