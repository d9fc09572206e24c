"""`verify` finds and `rebuild` heals; a rebuild from files alone keeps what clients remember."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from mailplat.core.errors import Unavailable
from mailplat.core.route import Residence
from mailplat.store import Report, Shard
from mailplat.store.identity import MISSING, OLDER, Refused
from mailplat.store.repair import problems, rebuild, verify
from tests.store.conftest import HOME, Rig, letter, new

COLUMNS = [
    "uid", "flags", "internaldate", "internaldate_zone", "size", "uidl", "envelope", "bodystructure", "subject",
    "saved_at",
]  # fmt: skip


def check(rig: Rig) -> Report:
    return verify(rig.shard, sweep_hours=0)


def kinds(report: Report) -> list[str]:
    return sorted({problem.kind for problem in report.problems})


def picture(rig: Rig) -> object:
    """All that clients remember."""
    seen = []
    for mailbox in rig.shard.mailboxes(HOME):
        rows = rig.shard.rows(HOME, mailbox.id, None, COLUMNS)
        rows = [(uid, frozenset(flags), *rest) for uid, flags, *rest in rows]
        octets = list(rig.shard.octets_many(HOME, mailbox.id, None))
        totals = mailbox.messages, mailbox.unseen, mailbox.size
        seen.append(
            (mailbox.id, mailbox.name, mailbox.uidvalidity, mailbox.special_use, totals, rows, octets)
        )
    return seen, rig.shard.subscriptions(HOME), rig.shard.usage(HOME)


@pytest.fixture
def lived(rig: Rig) -> Rig:
    """A shard with a past: mailboxes, flags, keywords, copies, expunged mail; two accounts."""
    rig.shard.create(HOME, "Archiv/2020", special_use="\\Archive")
    rig.append(*(new(letter(f"N{n}"), flags=("\\Seen", "Work") if n % 2 else ()) for n in range(8)))
    kept = new(
        b"moved", uid=40, internaldate=10**9, internaldate_zone=-480, uidl="x/y,z", flags=("zz", "\\Draft")
    )
    rig.append(kept)
    rig.append(new(flags=tuple(f"k{n}" for n in range(40))), mailbox="Archiv/2020")
    rig.shard.store_flags(HOME, rig.inbox.id, [(2, 3)], "add", ["\\Flagged"])
    rig.shard.copy(HOME, rig.inbox.id, [(1, 4)], "Archiv/2020")
    rig.shard.move(HOME, rig.inbox.id, [(5, 5)], "Archiv")
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(6, 6)])
    rig.shard.subscribe(HOME, "Archiv/2020", True)
    rig.shard.subscribe(HOME, "gone", True)
    rig.deliver([(HOME, "INBOX", 0), (Residence(2, "s1", 1), "INBOX", 0)], new())
    rig.shard.rename(HOME, "Archiv", "Altes")
    rig.shard.settle_names()
    rig.shard.sweep()
    return rig


def drop_index(rig: Rig) -> None:
    rig.store.close()
    for path in rig.path.glob("index.db*"):
        path.unlink()


def test_a_healthy_shard_has_nothing_to_say(lived: Rig) -> None:
    report = check(lived)
    assert report.problems == []
    assert report.first == ""
    assert (report.accounts, report.mailboxes, report.messages, report.swept) == (2, 4, 15, 0)


def test_rebuild_without_an_index(lived: Rig) -> None:
    before = picture(lived)
    numbers = [(mailbox.uidnext, mailbox.modseq) for mailbox in lived.shard.mailboxes(HOME)]
    drop_index(lived)
    report = lived.rebuild()
    assert kinds(report) == [MISSING]
    assert (report.accounts, report.messages, report.adopted) == (2, 15, 0)
    assert picture(lived) == before
    for (uidnext, modseq), mailbox in zip(numbers, lived.shard.mailboxes(HOME), strict=True):
        assert mailbox.uidnext >= uidnext  # no UID that was ever given is given again
        assert mailbox.modseq > modseq
    assert check(lived).problems == []
    assert lived.append(new())[0].uid >= numbers[0][0]
    lived.append(new(), home=Residence(2, "s1", 1))


def test_rebuild_of_a_healthy_shard_changes_nothing_but_modseq(lived: Rig) -> None:
    before = picture(lived)
    since = lived.inbox.modseq
    expunged = lived.shard.changes(HOME, lived.inbox.id, 1).expunged
    assert rebuild(lived.shard).problems == []
    assert picture(lived) == before
    assert lived.inbox.modseq > since
    assert lived.shard.changes(HOME, lived.inbox.id, 1).expunged == expunged
    assert check(lived).problems == []


def test_dedupe_keys_outlive_a_rebuild(rig: Rig) -> None:
    rig.append(new(dedupe="q"))
    rebuild(rig.shard)
    assert rig.append(new(dedupe="q"))[0].duplicate


def test_an_acknowledged_message_without_a_uid_in_its_name_is_adopted(rig: Rig) -> None:
    rig.append(new(b"settled"))
    rig.shard.settle_names()
    rig.append(new(b"a second ago"))
    drop_index(rig)
    report = rig.rebuild()
    assert (report.messages, report.adopted) == (2, 1)
    found = dict(rig.shard.octets_many(HOME, rig.inbox.id, None))
    assert found.pop(1) == b"settled"
    ((uid, octets),) = found.items()
    assert octets == b"a second ago"
    assert uid > 2


def test_an_index_of_yesterday(lived: Rig, tmp_path: Path) -> None:
    lived.store.close()
    shutil.copytree(lived.path, tmp_path / "yesterday")
    lived.reopen()
    lived.append(*(new(b"%d" % n) for n in range(1200)))  # more than one block of UIDs
    lived.shard.expunge_uids(HOME, lived.inbox.id, [(1, 1)])
    lived.shard.store_flags(HOME, lived.inbox.id, [(2, 2)], "set", ["\\Answered"])
    lived.shard.settle_names()
    lived.shard.sweep()
    today, uidnext = picture(lived), lived.inbox.uidnext
    lived.store.close()
    for path in lived.path.glob("index.db*"):
        path.unlink()
    for path in (tmp_path / "yesterday").glob("index.db*"):
        shutil.copy(path, lived.path)
    with pytest.raises(Refused, match="is older than the files"):
        lived.reopen()
    report = lived.rebuild()
    assert kinds(report) == [OLDER, problems.MISSING]  # expunged since
    assert picture(lived) == today
    assert lived.inbox.uidnext >= uidnext
    assert check(lived).problems == []


class TestFiles:
    def test_deleted(self, lived: Rig) -> None:
        path = next(path for path in lived.files() if "U=2:" in path.name and path.parent.parent.name == "1")
        path.unlink()
        report = check(lived)
        assert kinds(report) == [problems.MISSING]
        assert "UID 2" in str(report.first)
        since = lived.inbox.modseq
        assert kinds(rebuild(lived.shard)) == [problems.MISSING]
        assert lived.shard.octets(HOME, lived.inbox.id, 2) is None
        assert lived.shard.changes(HOME, lived.inbox.id, since).expunged == [2]
        assert check(lived).problems == []

    def test_added_by_hand(self, lived: Rig) -> None:
        inbox = lived.shard.site.account_folder(1)
        (inbox / "new" / "1234567890.1.host").write_bytes(letter("from a shell"))
        (inbox / "cur" / "1234567891.M1P1.host,S=3,W=3:2,FS").write_bytes(b"abc")
        for path in inbox.glob("???/123456789*"):
            os.utime(path, (10**9, 10**9))
        assert kinds(check(lived)) == [problems.FOREIGN]
        uidnext = lived.inbox.uidnext
        report = rebuild(lived.shard)
        assert report.adopted == 2
        rows = lived.shard.rows(HOME, lived.inbox.id, [(uidnext, 2**32)], ["flags", "internaldate", "size"])
        assert rows == [((), 10**9, len(letter("from a shell"))), (("\\Flagged", "\\Seen"), 10**9, 3)]
        assert check(lived).problems == []

    def test_cut_short(self, lived: Rig) -> None:
        path = next(path for path in lived.files() if ",U=3:" in path.name and path.parent.parent.name == "1")
        with open(path, "r+b") as file:
            file.truncate(10)
        assert kinds(check(lived)) == [problems.SIZE]
        assert kinds(rebuild(lived.shard)) == [problems.SIZE]
        assert lived.shard.rows(HOME, lived.inbox.id, [(3, 3)], ["size"]) == [(10,)]
        assert check(lived).problems == []

    def test_flags_changed_in_the_name(self, lived: Rig) -> None:
        path = next(path for path in lived.files() if ",U=1:" in path.name and path.parent.parent.name == "1")
        os.rename(path, path.with_name(path.name.partition(":")[0] + ":2,FT"))
        assert kinds(check(lived)) == [problems.NAME]
        rebuild(lived.shard)
        assert lived.shard.rows(HOME, lived.inbox.id, [(1, 1)], ["flags"]) == [(("\\Flagged", "\\Deleted"),)]
        assert check(lived).problems == []

    def test_two_with_one_uid(self, lived: Rig) -> None:
        path = next(path for path in lived.files() if ",U=1:" in path.name and path.parent.parent.name == "1")
        unique, _, rest = path.name.partition(",")
        twin, other = path.with_name(f"9{unique},{rest}"), path.with_name(f"8{unique},{rest}")
        shutil.copy2(path, twin)
        other.write_bytes(b"another message")
        drop_index(lived)
        report = lived.rebuild()
        assert report.swept == 1
        assert report.adopted == 1
        assert not twin.exists()
        assert lived.shard.octets(HOME, lived.inbox.id, 1) == letter("N0")
        assert check(lived).problems == []

    def test_links_are_not_followed(self, lived: Rig, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("not yours")
        inbox = lived.shard.site.account_folder(1)
        (inbox / "cur" / "1234567890.1.host:2,S").symlink_to(tmp_path / "secret")
        (inbox / ".m77").symlink_to(tmp_path)
        assert kinds(check(lived)) == [problems.STRANGE]
        before = picture(lived)
        assert kinds(rebuild(lived.shard)) == [problems.STRANGE]
        assert picture(lived) == before


class TestLeftovers:
    def test_of_crashes_are_swept_when_they_are_old_enough(self, rig: Rig) -> None:
        rig.append(new(b"kept"))
        inbox = rig.shard.site.account_folder(1)
        unique = rig.files()[0].name.partition(",")[0]
        (inbox / "new" / f"{unique}0,S=1").write_bytes(b"x")
        (inbox / "cur" / f"{unique}1,S=1,U=1:2,").write_bytes(b"x")
        (rig.shard.tmp / "half").write_bytes(b"x")
        assert verify(rig.shard).swept == 0
        report = check(rig)
        assert (report.swept, report.problems) == (3, [])
        assert [path.read_bytes() for path in rig.files()] == [b"kept"]

    def test_what_is_being_appended_is_left_alone(self, rig: Rig) -> None:
        rig.append(new())
        unique = rig.files()[0].name.partition(",")[0]
        path = rig.shard.site.account_folder(1) / "new" / f"{unique}0,S=1"
        path.write_bytes(b"x")
        report = verify(rig.shard)
        assert (report.swept, report.problems) == (0, [])
        assert path.exists()


def test_totals_are_corrected(lived: Rig) -> None:
    lived.shard.site.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE mailbox SET messages = 7, unseen = 9, size = 1"
        ).close()
    )
    lived.shard.site.write(
        lambda connection: connection.exec_driver_sql("UPDATE account SET octets = 5").close()
    )
    before = picture(lived)
    assert kinds(check(lived)) == [problems.COUNT]
    assert check(lived).problems == []
    assert picture(lived) != before


def test_lost_descriptions(lived: Rig) -> None:
    for path in lived.path.rglob("mailplat-*.json"):
        path.write_text("not json")
    assert kinds(check(lived)) == [problems.DESCRIPTION]
    before = picture(lived)
    report = rebuild(lived.shard)
    assert kinds(report) == [problems.DESCRIPTION]
    assert [mailbox.name for mailbox in lived.shard.mailboxes(HOME)] == ["INBOX", "Altes", "Altes/2020"]
    assert check(lived).problems == []
    assert len(picture(lived)[0]) == len(before[0])  # type: ignore[index]


def test_lost_folders(lived: Rig) -> None:
    archive = lived.shard.mailbox(HOME, "Altes/2020")
    shutil.rmtree(lived.shard.site.account_folder(1) / f".m{archive.id}")
    shutil.rmtree(lived.shard.site.account_folder(2))
    assert kinds(check(lived)) == [problems.FOLDER]
    rebuild(lived.shard)
    assert [mailbox.name for mailbox in lived.shard.mailboxes(HOME)] == ["INBOX", "Altes"]
    assert lived.append(new(), home=Residence(2, "s1", 1))[0].uid == 1
    assert check(lived).problems == []


def test_folders_nobody_knows(lived: Rig) -> None:
    """Copied in from another shard: numbers and names may be taken."""
    account = lived.shard.site.account_folder(1)
    archive = lived.shard.mailbox(HOME, "Altes/2020")
    shutil.copytree(account / f".m{archive.id}", account / ".m500")
    assert kinds(check(lived)) == [problems.UNKNOWN]
    rebuild(lived.shard)
    names = [mailbox.name for mailbox in lived.shard.mailboxes(HOME)]
    assert names == ["INBOX", "Altes", "Altes/2020", "Altes/2020 (500)"]
    assert lived.shard.mailbox(HOME, "Altes/2020 (500)").messages == archive.messages
    assert check(lived).problems == []


def test_rebuild_wants_the_shard_for_itself(rig: Rig) -> None:
    other = Shard("s1", rig.path, rig.hints, upkeep=False)
    with pytest.raises(Unavailable, match="in use"):
        rebuild(rig.shard)
    other.close()
    rebuild(rig.shard)
    with pytest.raises(Unavailable, match="rebuilt"):
        Shard("s1", rig.path, rig.hints, upkeep=False)


async def test_verify_beside_a_busy_shard_sees_no_ghosts(rig: Rig) -> None:
    stop = False

    async def work() -> None:
        number = 0
        while not stop:
            number += 1
            await rig.store.append(HOME, "INBOX", [new() for _ in range(5)])
            run = rig.executors.run
            await run("store", rig.shard.store_flags, HOME, 1, None, "add", [f"k{number % 7}"])
            await run("store", rig.shard.settle_names)
            if number % 3 == 0:
                await run("store", rig.shard.expunge_uids, HOME, 1, [(number * 3, number * 3 + 4)])
                await run("store", rig.shard.sweep)

    task = asyncio.create_task(work())
    for _ in range(5):
        report = await rig.executors.run("queue", verify, rig.shard)
        assert report.problems == []
        assert report.swept == 0
    stop = True
    await task
    assert check(rig).problems == []
