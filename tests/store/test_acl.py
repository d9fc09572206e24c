"""Rights of others on mailboxes (RFC 4314): rows, limits, and that they outlive an index and a move."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput, LimitReached, NotFound, StaleEpoch
from mailplat.core.hint import MailboxChanged
from mailplat.core.rights import ALL, LETTERS, NONE, of_flag, parse, render, shown
from mailplat.core.route import Residence
from mailplat.store import StoreLimits
from mailplat.store.acl import Grantee, all_grantees
from mailplat.store.types import ANYONE, Entry
from tests.store import crash_acl
from tests.store.conftest import HOME, Rig, new

BOB, EVE = "bob@example.test", "eve@example.test"
AS_BOB = Grantee(2, BOB, anyone=True)


def grant(rig: Rig, mailbox_id: int, identifier: str, number: int, letters: str, how: str = "") -> None:
    rig.shard.change_acl(HOME, mailbox_id, identifier, number, how, parse(letters))


def test_letters() -> None:
    assert parse("") == NONE
    assert render(parse("dclr")) == "lrkxte", "c and d are what they stand for"  # RFC 4314 2.1.1
    assert shown(parse("lk")) == "lkc"
    assert shown(parse("e")) == "ed"
    assert shown(ALL) == LETTERS + "cd"
    for letters in ("lz", "L", "é", "0", " "):
        with pytest.raises(InvalidInput):
            parse(letters)
    assert [of_flag(flag) for flag in ("\\Seen", "\\Deleted", "\\Draft", "$Work")] == ["s", "t", "w", "w"]


def test_give_and_take(rig: Rig) -> None:
    inbox = rig.inbox
    grant(rig, inbox.id, BOB, 2, "lr")
    grant(rig, inbox.id, BOB, 2, "ri", "+")
    grant(rig, inbox.id, ANYONE, 0, "ls")
    assert rig.shard.acl(HOME, inbox.id) == {BOB: Entry(2, parse("lri")), ANYONE: Entry(0, parse("ls"))}
    assert rig.inbox.modseq == inbox.modseq + 3
    assert rig.hints.sent[-1] == MailboxChanged(HOME.account_id, inbox.id)
    assert rig.shard.rights(HOME, inbox.id, AS_BOB) == parse("lris"), "his own and anyone's"
    assert rig.shard.rights(HOME, inbox.id, replace(AS_BOB, anyone=False)) == parse("lri")
    assert rig.shard.rights(HOME, inbox.id, Grantee(3, EVE, anyone=True)) == parse("ls")
    assert rig.shard.rights(HOME, inbox.id, Grantee(3, EVE, anyone=False)) == NONE
    assert rig.shard.granted(HOME, AS_BOB) == {inbox.id: parse("lris")}
    assert rig.shard.granted(HOME, Grantee(3, EVE, anyone=False)) == {}
    assert rig.shard.grantees(HOME) == {0, 2}
    grant(rig, inbox.id, BOB, 2, "li", "-")
    assert rig.shard.rights(HOME, inbox.id, AS_BOB) == parse("rls")
    grant(rig, inbox.id, BOB, 2, "")
    assert rig.shard.grantees(HOME) == {0}
    grant(rig, inbox.id, BOB, 2, "l", "-")
    assert all_grantees(rig.shard.site) == [(1, 0)]
    with pytest.raises(NotFound):
        grant(rig, 999, BOB, 2, "l")
    with pytest.raises(NotFound):
        rig.shard.rights(HOME, 999, AS_BOB)
    with pytest.raises(StaleEpoch):
        rig.shard.change_acl(replace(HOME, epoch=9), inbox.id, BOB, 2, "", ALL)


def test_who_gets_an_address_or_a_number_later_gets_nothing(rig: Rig) -> None:
    number = rig.inbox.id
    grant(rig, number, BOB, 2, "lr")
    assert rig.shard.rights(HOME, number, Grantee(7, BOB, anyone=False)) == NONE
    assert rig.shard.rights(HOME, number, Grantee(2, EVE, anyone=False)) == NONE
    assert rig.shard.granted(HOME, Grantee(2, EVE, anyone=False)) == {}
    grant(rig, number, BOB, 7, "i", "+")
    assert rig.shard.acl(HOME, number) == {BOB: Entry(7, parse("i"))}, "not added to what the other had"


def test_limit(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(acl=1))
    grant(rig, rig.inbox.id, BOB, 2, "l")
    with pytest.raises(LimitReached):
        grant(rig, rig.inbox.id, EVE, 3, "l")
    grant(rig, rig.inbox.id, BOB, 2, "")
    grant(rig, rig.inbox.id, EVE, 3, "l")
    rig.close()


def test_a_new_mailbox_inherits_a_renamed_one_keeps_a_deleted_one_loses(rig: Rig) -> None:
    team = rig.shard.create(HOME, "Team")
    grant(rig, team.id, BOB, 2, "lr")
    deep = rig.shard.create(HOME, "Team/2026/May")
    assert rig.shard.acl(HOME, deep.id) == {BOB: Entry(2, parse("lr"))}
    assert rig.shard.acl(HOME, rig.shard.mailbox(HOME, "Team/2026").id) == {BOB: Entry(2, parse("lr"))}
    assert rig.shard.acl(HOME, rig.shard.create(HOME, "Other").id) == {}
    rig.shard.rename(HOME, "Team/2026", "Other/2026")
    assert rig.shard.acl(HOME, deep.id) == {BOB: Entry(2, parse("lr"))}
    rig.shard.delete(HOME, "Team")
    assert rig.shard.acl(HOME, rig.shard.create(HOME, "Team").id) == {}
    assert rig.shard.acl(HOME, rig.shard.create(HOME, "Team/Below").id) == {}
    rig.shard.remove_account(HOME)
    with rig.shard.site.read() as connection:
        assert connection.exec_driver_sql("SELECT * FROM acl").fetchall() == []


@pytest.mark.parametrize("lost", [True, False])
def test_a_rebuild(rig: Rig, lost: bool) -> None:
    rig.append(new())
    box = rig.shard.create(HOME, "Box").id
    grant(rig, box, BOB, 2, "lrs")
    grant(rig, box, ANYONE, 0, "l")
    grant(rig, rig.inbox.id, EVE, 3, LETTERS)
    rig.shard.settle_names()
    rig.store.close()
    if lost:
        for path in rig.path.glob("index.db*"):
            path.unlink()
    assert [each.kind for each in rig.rebuild().problems] == ["index-missing"] * lost
    box = rig.shard.mailbox(HOME, "Box").id
    assert rig.shard.acl(HOME, box) == {BOB: Entry(2, parse("lrs")), ANYONE: Entry(0, parse("l"))}
    assert rig.shard.acl(HOME, rig.inbox.id) == {EVE: Entry(3, ALL)}
    assert all_grantees(rig.shard.site) == [(1, 0), (1, 2), (1, 3)]


def test_a_file_written_by_hand(rig: Rig) -> None:
    grant(rig, rig.inbox.id, BOB, 2, "lr")
    grant(rig, rig.inbox.id, EVE, 3, "l")
    rig.shard.settle_names()
    rig.store.close()
    for path in rig.path.glob("index.db*"):
        path.unlink()
    (file,) = rig.path.glob("accounts/*/*/mailplat-mailbox.json")
    content = file.read_text()
    assert '"lr"' in content
    file.write_text(content.replace('"lr"', '"lrZ\\u0000"').replace('"l"', '"?"'))
    rig.rebuild()
    assert rig.shard.acl(HOME, rig.inbox.id) == {BOB: Entry(2, parse("lr"))}


def test_another_shard_takes_them_over(rig: Rig, tmp_path: Path) -> None:
    other = Rig(tmp_path / "s2")
    away = Residence(HOME.account_id, "s1", HOME.epoch)
    grant(rig, rig.inbox.id, BOB, 2, "lr")
    early = rig.shard.traces(HOME, rig.inbox.id, 0)
    other.shard.take_over(away, other.inbox.id, early)
    assert other.shard.acl(away, other.inbox.id) == {BOB: Entry(2, parse("lr"))}
    grant(rig, rig.inbox.id, BOB, 2, "")
    other.shard.take_over(away, other.inbox.id, rig.shard.traces(HOME, rig.inbox.id, early.modseq))
    other.shard.take_over(away, other.inbox.id, early)  # comes late
    assert other.shard.acl(away, other.inbox.id) == {}
    (file,) = other.path.glob("accounts/*/*/mailplat-mailbox.json")
    assert json.loads(file.read_text())["acl"] == {}, "the file did not wait for the namer"
    other.close()


def test_kill_9_at_each_step(tmp_path: Path) -> None:
    """What was taken back and told never comes again, not by the files either."""
    command = [sys.executable, "-m", "tests.store.crash_acl", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=250)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2 * len(crash_acl.STEPS)
    for line in lines:
        assert line["status"] == -signal.SIGKILL, line
        committed = line["step"] == "index.commit"
        described = crash_acl.STEPS.index(line["step"]) >= crash_acl.STEPS.index("mailbox.rename")
        assert line["index"] == line["after" if committed else "before"], line
        assert line["file"] == line["after" if described else "before"], line


@pytest.mark.parametrize(
    ("rights", "mode", "flags", "after"),
    [
        ("s", "set", ["\\Flagged", "$New"], ["\\Deleted", "$Old"]),
        ("t", "set", ["\\Flagged", "$New"], ["\\Seen", "$Old"]),
        ("w", "set", ["\\Flagged", "$New"], ["\\Flagged", "\\Deleted", "\\Seen", "$New"]),
        ("st", "add", ["\\Flagged", "$New", "\\Seen"], ["\\Deleted", "\\Seen", "$Old"]),
        ("w", "remove", ["\\Seen", "\\Deleted", "$Old"], ["\\Deleted", "\\Seen"]),
        ("lrieka", "set", [], ["\\Deleted", "\\Seen", "$Old"]),
        ("swt", "set", ["\\Draft"], ["\\Draft"]),
    ],
)
def test_flags_within_rights(rig: Rig, rights: str, mode: str, flags: list[str], after: list[str]) -> None:
    rig.append(new(flags=("\\Seen", "\\Deleted", "$Old")))
    rig.shard.store_flags(HOME, rig.inbox.id, None, mode, flags, rights=parse(rights))  # type: ignore[arg-type]
    assert rig.shard.rows(HOME, rig.inbox.id, None, ("flags",)) == [(tuple(after),)]
