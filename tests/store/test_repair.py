"""`verify` finds and `rebuild` heals; a rebuild from files alone keeps what clients remember."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from mailplat.core.errors import Unavailable
from mailplat.core.quota import NO_QUOTA
from mailplat.core.route import Residence
from mailplat.store import Report, Shard
from mailplat.store.identity import MISSING, OLDER, Refused
from mailplat.store.repair import foreign, problems, rebuild, renderers, verify
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
    rig.append(kept, new(uidl="/" * 70))
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
    assert (report.accounts, report.mailboxes, report.messages, report.swept) == (2, 4, 16, 0)


def test_rebuild_without_an_index(lived: Rig) -> None:
    before = picture(lived)
    numbers = [(mailbox.uidnext, mailbox.modseq) for mailbox in lived.shard.mailboxes(HOME)]
    drop_index(lived)
    report = lived.rebuild()
    assert kinds(report) == [MISSING]
    assert (report.accounts, report.messages, report.adopted) == (2, 16, 0)
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
        (inbox / "cur" / "1234567891.M1P1.host,S=3,W=3:2,FSab").write_bytes(b"abc")
        for path in inbox.glob("???/123456789*"):
            os.utime(path, (10**9, 10**9))
        assert kinds(verify(lived.shard)) == [problems.FOREIGN], "at once, not only after limits.sweep_hours"
        uidnext = lived.inbox.uidnext
        report = rebuild(lived.shard)
        assert report.adopted == 2
        rows = lived.shard.rows(HOME, lived.inbox.id, [(uidnext, 2**32)], ["flags", "internaldate", "size"])
        assert rows == [((), 10**9, len(letter("from a shell"))), (("\\Flagged", "\\Seen"), 10**9, 3)]
        assert check(lived).problems == []
        before = picture(lived)
        drop_index(lived)
        lived.rebuild()
        assert picture(lived) == before, "what was adopted keeps its UID"

    def test_adopted_while_a_client_watches(self, lived: Rig) -> None:
        inbox = lived.shard.site.account_folder(1)
        moved = next(path for path in lived.files() if ",U=2:" in path.name and path.parent.parent == inbox)
        old = lived.inbox
        (inbox / "cur" / "by hand:2,S").write_bytes(letter("one"))
        (inbox / "cur" / "again:2,S").write_bytes(letter("one"))
        archive = inbox / f".m{lived.shard.mailbox(HOME, 'Altes/2020').id}"
        shutil.copy2(moved, archive / "cur" / moved.name)
        lived.hints.sent.clear()
        report = verify(lived.shard, adopting=True)
        assert (report.adopted, report.problems, report.swept) == (3, [], 0)
        assert {hint.mailbox_id for hint in lived.hints.sent} == {  # type: ignore[attr-defined]
            old.id,
            lived.shard.mailbox(HOME, "Altes/2020").id,
        }
        changes = lived.shard.changes(HOME, old.id, old.modseq)
        assert [uid for uid, _, _ in changes.changed] == [old.uidnext, old.uidnext + 1]
        assert verify(lived.shard).problems == []
        assert not [path for path in inbox.rglob("*") if path.name.startswith(("by hand", "again"))]

    def test_moved_by_hand_from_one_mailbox_to_another(self, lived: Rig) -> None:
        """A name says a UID that was another message's there: nobody may be told that it is this one now."""
        inbox = lived.shard.site.account_folder(1)
        other = lived.shard.mailbox(HOME, "Altes")
        lived.append(*(new() for _ in range(4)), mailbox="Altes")
        lived.shard.expunge_uids(HOME, other.id, [(2, 2)])
        lived.shard.settle_names()
        lived.shard.sweep()
        path = next(path for path in lived.files() if ",U=2:" in path.name and path.parent.parent == inbox)
        octets, uidnext = path.read_bytes(), lived.shard.mailbox(HOME, "Altes").uidnext
        os.rename(path, inbox / f".m{other.id}" / "cur" / path.name)
        assert kinds(verify(lived.shard)) == [problems.FOREIGN, problems.MISSING]
        rebuild(lived.shard)
        assert lived.shard.octets(HOME, other.id, 2) is None
        (adopted,) = dict(lived.shard.octets_many(HOME, other.id, [(uidnext, 2**32)])).values()
        assert adopted == octets
        assert check(lived).problems == []

    def test_a_uid_that_was_never_given(self, lived: Rig) -> None:
        """A name may say anything."""
        inbox = lived.shard.site.account_folder(1)
        for name in ("x,U=4294967295:2,", "1700000000.M000001P1R0123456789abQ1,S=1,U=4294967294:2,S"):
            (inbox / "cur" / name).write_bytes(b"x")
        uidnext = lived.inbox.uidnext
        drop_index(lived)
        lived.rebuild()
        assert lived.inbox.uidnext < uidnext + 5000
        lived.append(new())
        assert check(lived).problems == []

    def test_names_that_no_row_could_hold(self, lived: Rig) -> None:
        inbox = os.fsencode(lived.shard.site.account_folder(1))
        texts = [b"one", b"two", b"three", b""]
        for name, text in zip(
            [b"caf\xe9\xff", b"x" * 250, b"\x1b[31mred\nline", b"=,U=:,K=Z:2,\xf0Sz"], texts, strict=True
        ):
            with open(inbox + b"/cur/" + name, "wb") as file:
                file.write(text)
        report = verify(lived.shard)
        assert kinds(report) == [problems.FOREIGN]
        assert all(str(problem).isprintable() and str(problem).encode() for problem in report.problems)
        uidnext = lived.inbox.uidnext
        assert rebuild(lived.shard).adopted == 4
        found = dict(lived.shard.octets_many(HOME, lived.inbox.id, [(uidnext, 2**32)]))
        assert sorted(found.values()) == sorted(texts)
        assert check(lived).problems == []

    @pytest.mark.parametrize("online", [True, False])
    def test_bare_lf_becomes_crlf_and_the_original_is_kept(
        self, lived: Rig, online: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(foreign, "_PIECE", 7)  # CR LF across the edge of a piece
        inbox = lived.shard.site.account_folder(1)
        octets = b"Subject: hand\n\nsix 67\r\nbare\rCR\nend\r\n\r"
        path = inbox / "new" / "byhand"
        path.write_bytes(octets)
        os.utime(path, (10**9, 10**9))
        uidnext = lived.inbox.uidnext
        if online:
            assert verify(lived.shard, adopting=True).converted == 1
        else:
            assert kinds(rebuild(lived.shard)) == [problems.LINES]
        ((uid, served),) = lived.shard.octets_many(HOME, lived.inbox.id, [(uidnext, 2**32)])
        assert served == b"Subject: hand\r\n\r\nsix 67\r\nbare\rCR\r\nend\r\n\r"
        assert lived.shard.rows(HOME, lived.inbox.id, [(uid, uid)], ["internaldate", "size"]) == [
            (10**9, len(served))
        ]
        kept = lived.path / "originals" / "1" / str(lived.inbox.id) / "byhand"
        assert kept.read_bytes() == octets
        assert not path.exists()
        assert check(lived).problems == []

    def test_a_mailbox_that_another_program_made(self, lived: Rig) -> None:
        folder = lived.shard.site.account_folder(1) / ".Entw&APw-rfe.2020"
        for place in ("cur", "new", "tmp"):
            (folder / place).mkdir(parents=True)
        (folder / "cur" / "1234567890.M1P1.host:2,S").write_bytes(letter("elsewhere"))
        report = verify(lived.shard)
        assert kinds(report) == [problems.UNKNOWN]
        assert "Entwürfe/2020" in str(report.first)
        rebuild(lived.shard)
        made = lived.shard.mailbox(HOME, "Entwürfe/2020")
        assert list(dict(lived.shard.octets_many(HOME, made.id, None)).values()) == [letter("elsewhere")]
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

    def test_a_folder_that_is_a_link_is_put_aside(self, lived: Rig) -> None:
        """To the mail of another account."""
        inbox = lived.shard.site.account_folder(1)
        theirs = lived.shard.site.account_folder(2)
        shutil.rmtree(inbox / "cur")
        (inbox / "cur").symlink_to(theirs / "cur")
        assert set(kinds(check(lived))) >= {problems.MISSING, problems.STRANGE}
        rebuild(lived.shard)
        assert lived.inbox.messages == 0
        assert not (inbox / "cur").is_symlink()
        assert lived.shard.mailbox(Residence(2, "s1", 1), "INBOX").messages == 1
        lived.append(new())
        assert check(lived).problems == []


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
    rig.shard.create(HOME, "Box")

    async def work() -> None:
        number = 0
        while not stop:
            number += 1
            await rig.store.append(HOME, "INBOX", [new() for _ in range(5)])
            run = rig.executors.run
            await run("store", rig.shard.store_flags, HOME, 1, None, "add", [f"k{number % 7}"])
            await run("store", rig.shard.settle_names)
            if number % 2 == 0:
                await run("store", rig.shard.move, HOME, 1, [(number * 5, number * 5 + 1)], "Box")
                await run("store", rig.shard.copy, HOME, 1, [(number * 5 - 2, number * 5 - 2)], "INBOX")
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


async def deliver_again(rig: Rig, *keys: str) -> list[bool]:
    """Whether each of these deliveries was found to be done."""
    done = [
        await rig.store.deliver([(HOME, "INBOX", NO_QUOTA)], new(letter(key), dedupe=key)) for key in keys
    ]
    return [appended.duplicate for (appended,) in done]


def test_a_queue_that_delivers_again_doubles_nothing_though_the_index_was_lost(rig: Rig) -> None:
    """Where it stayed, was moved, was expunged; not what was only appended, and not what never came."""
    keys = ["q1:1", "q2:1", "q3:1"]
    assert asyncio.run(deliver_again(rig, *keys)) == [False] * 3
    rig.shard.create(HOME, "Elsewhere")
    rig.shard.move(HOME, rig.inbox.id, [(2, 2)], "Elsewhere")
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(3, 3)])
    rig.shard.settle_names()
    rig.shard.sweep()
    drop_index(rig)
    rig.rebuild()
    assert asyncio.run(deliver_again(rig, *keys, "q4:1")) == [True] * 3 + [False]
    assert [len(rig.shard.rows(HOME, each.id, None, ["uid"])) for each in rig.shard.mailboxes(HOME)] == [2, 1]


def test_a_key_is_forgotten_after_its_days_also_by_a_rebuild(rig: Rig) -> None:
    asyncio.run(deliver_again(rig, "q1:1"))
    rig.shard.settle_names()
    drop_index(rig)
    (file,) = rig.files()
    born, dot, rest = file.name.partition(".")
    file.rename(file.with_name(f"{int(born) - rig.limits.dedupe_days * 86_400 - 60}{dot}{rest}"))
    rig.rebuild()
    assert asyncio.run(deliver_again(rig, "q1:1")) == [False]


def test_many_messages_are_rendered_by_processes_of_their_own(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(renderers, "_MANY", 20)
    rig.fill(40)
    rig.shard.settle_names()
    before = picture(rig)
    drop_index(rig)
    rig.rebuild()
    assert picture(rig) == before
    assert capfd.readouterr().err == ""
