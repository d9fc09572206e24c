"""What is kept of a move, on each database: digests, manifests, events, approvals."""

import hashlib

import pytest

from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.spool import Body
from mailplat.db.engine import Database
from mailplat.directory.audit import Audit
from mailplat.store import Mailbox
from migration.certificate import digests, events, grades, manifest, signing
from migration.certificate.grades import Finding, Grade
from migration.sources.contract import Fetched, Listed, SourceMailbox, Status
from tests.directory.conftest import database, postgres, postgres_template, sqlite_template

__all__ = ["database", "postgres", "postgres_template", "sqlite_template"]


def came(uid: int, text: bytes = b"x") -> Fetched:
    return Fetched(uid, (), 1000 + uid, 60, Body.of(b"%d %b" % (uid, text)))


def keep(database: Database, *uids: int, mailbox: str = "INBOX", text: bytes = b"x") -> None:
    digests.keep(database, 1, mailbox, 7, [came(uid, text) for uid in uids])


def test_digests_come_by_uid_each_once_the_last_one_holds(database: Database) -> None:
    """Research, failure mode 1: a batch that was copied before a crash is copied again, and overlaps others."""
    keep(database, 9, 10, 12)
    keep(database, 5, 6, 7, 8)
    keep(database, 1, 2, 11)  # found one by one (copy.py, _insist)
    keep(database, 6, 7, text=b"again")
    keep(database, 2**32 - 1)
    keep(database)
    keep(database, 3, mailbox="INBOX/other")
    found = list(digests.read(database, 1, "INBOX", 7))
    assert [each.uid for each in found] == [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 2**32 - 1]
    assert found[3].sha256 == hashlib.sha256(b"6 again").digest()
    assert found[2][1:] == (1005, 60, 3, hashlib.sha256(b"5 x").digest())
    assert list(digests.read(database, 1, "INBOX", 8)) == list(digests.read(database, 2, "INBOX", 7)) == []


def test_many_rows_are_read_page_by_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_ROWS", 2)
    for uid in (9, 1, 5, 5, 3, 7, 5):
        keep(database, uid)
    assert [each.uid for each in digests.read(database, 1, "INBOX", 7)] == [1, 3, 5, 7, 9]


def said(listed: list[Listed], name: str = "INBOX") -> manifest.Said:
    ours = Mailbox(1, name, 7, 99, 12, len(listed), 0, 0, True, "", "x")
    return manifest.said(
        SourceMailbox(b"", name),
        Status(7, 50, len(listed), 11),
        len(listed),
        ours,
        True,
        manifest.parts(listed),
    )


def test_a_manifest_replaces_that_of_an_earlier_fence(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Research, failure modes 3 and 5: a fence that was taken back leaves what nothing is compared with."""
    monkeypatch.setattr(manifest, "PART_MESSAGES", 2)
    manifest.keep(database, 1, 4, {"INBOX": said([Listed(1, ("\\Seen",))]), "Gone": said([], "Gone")})
    listed = [
        Listed(5, ("\\Seen", "$B", "$a")),
        Listed(3, ()),
        Listed(4, ("\\Flagged",)),
        Listed(2**32 - 1, ("x",)),
    ]
    manifest.keep(database, 1, 6, {"Zoo": said([], "Zoo"), "INBOX": said(listed)})
    epoch, numbers = manifest.numbers(database, 1)
    assert (epoch, [each.mailbox for each in numbers]) == (6, ["INBOX", "Zoo"])
    assert (numbers[0].messages, numbers[0].uidnext, numbers[0].our_modseq) == (4, 50, 12)
    assert [(uid, sorted(words)) for uid, words in manifest.read(database, 1, "INBOX")] == [
        (3, []),
        (4, ["\\flagged"]),
        (5, ["$a", "$b", "\\seen"]),
        (2**32 - 1, ["x"]),
    ]
    assert manifest.numbers(database, 2) == (0, [])
    keep(database, 1)
    manifest.forget(database, 1)
    assert manifest.numbers(database, 1) == (0, [])
    assert not [*manifest.read(database, 1, "INBOX"), *digests.read(database, 1, "INBOX", 7)]


def test_events_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_KEPT", 3)
    for number in range(5):
        events.note(database, 1, float(number), events.THROTTLED, text=f"NO [LIMIT] {number}")
    events.note(database, 2, 9.0, events.HELD, messages=1, longest_ms=20)
    assert [at for at, _, _ in events.of(database, 1)] == [2.0, 3.0, 4.0]
    assert events.of(database, 2) == [(9.0, "held", {"messages": 1, "longest_ms": 20})]


POOR = Finding(Grade.POOR, "a@b INBOX", "UID 1: its octets differ")
ASKED = Finding(Grade.INVESTIGATE, "a@b INBOX", "UID 2: flags are lost")
GOOD = Finding(Grade.GOOD, "a@b", "1 messages were expunged")


@pytest.mark.parametrize(
    ("items", "who", "reason", "error"),
    [
        ([POOR.item], "ada", "x", "nobody can approve"),
        ([ASKED.item, POOR.item], "ada", "x", "nobody can approve"),
        ([GOOD.item], "ada", "x", "needs no approval"),
        ([ASKED.item], " ", "x", "a name and a reason"),
        ([ASKED.item], "ada", "", "a name and a reason"),
        ([ASKED.item, "0123"], "ada", "x", "has no item 0123"),
    ],
)
def test_what_cannot_be_approved_approves_nothing(
    database: Database, items: list[str], who: str, reason: str, error: str
) -> None:
    with pytest.raises((InvalidInput, NotFound), match=error):
        grades.approve(database, ManualClock(), "b", [POOR, ASKED, GOOD], items, who, reason)
    assert grades.approvals(database, "b") == {}
    assert Audit(database).entries(action="migrate.approve") == []


def test_an_approval_lets_pass_what_it_lists_and_nothing_else(database: Database) -> None:
    clock = ManualClock()
    assert grades.blocked_by([GOOD], []) is None
    assert grades.blocked_by([GOOD, ASKED], []) == ASKED
    grades.approve(database, clock, "b", [ASKED, GOOD], [ASKED.item] * 2, "ada", "asked him")
    approved = grades.approvals(database, "b")
    assert (approved[ASKED.item].who, approved[ASKED.item].reason) == ("ada", "asked him")
    assert grades.blocked_by([GOOD, ASKED], approved) is None
    assert grades.blocked_by([ASKED, POOR], approved) == POOR
    other = Finding(Grade.INVESTIGATE, ASKED.where, ASKED.text + " now")
    assert grades.blocked_by([ASKED, other], approved) == other
    assert grades.approvals(database, "c") == {}
    (line,) = Audit(database).entries(action="migrate.approve")
    assert line.after["items"] == {ASKED.item: "a@b INBOX: UID 2: flags are lost"}


def test_the_key_is_made_once(database: Database) -> None:
    key = signing.private_key(database)
    assert key.private_bytes_raw() == signing.private_key(database).private_bytes_raw()
    assert signing.load_pem(signing.pem(key.public_key()).encode()).public_bytes_raw() == (
        key.public_key().public_bytes_raw()
    )
