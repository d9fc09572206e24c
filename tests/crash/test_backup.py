"""The short form of `make backup-drill`, and its oracle must be able to object."""

from pathlib import Path

import pytest

from tests.crash import backup
from tests.crash.backup import Comparison, Found, Journal, Moment
from tests.crash.clients import ARCHIVE, INBOX, WORK, Scene, Sender, Writer
from tests.crash.ledger import Batch, Box


def test_an_empty_platform_is_restored_from_points_that_were_taken_under_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "LOAD_S", 0.5)
    monkeypatch.setattr(backup, "KINDS", [Sender, Writer])
    drill = backup.BackupDrill(tmp_path, seed=3)
    drill.live(points=1)
    drill.compare(0)
    assert not drill.scene.errors
    assert not drill.ledger.broken, drill.ledger.stories
    counts = drill.ledger.counts
    assert counts["acknowledged while points were taken"] > 10
    assert counts["acknowledged before the point, compared"] > 10
    assert counts["gone in points"] == 0


def test_the_comparison_objects_to_what_a_restore_may_not_do() -> None:
    journal = Journal()
    none: frozenset[str] = frozenset()
    before = {name: Box(("a", name), uidvalidity=7) for name in (INBOX, WORK, ARCHIVE)}
    inbox = before[INBOX]
    inbox.live = dict.fromkeys(range(1, 7), none)
    inbox.names = {uid: f"t{uid}" for uid in range(1, 9)}
    inbox.gone = {8}
    inbox.owed = {"owed"}
    inbox.tokens = {*inbox.names.values(), "owed"}
    journal.boxes = {box.key: box for box in before.values()}
    journal.begin(Batch(before[WORK], ["t1"], inbox, [1]))  # moved since: 1 is there, 2 is not, 3 is in both
    journal.begin(Batch(before[WORK], ["t2"], inbox, [2]))
    journal.begin(Batch(before[WORK], ["t3"], inbox, [3]))
    journal.expunging(inbox, [4])
    comparison = Comparison(journal, Scene(journal, {}, ["a"]), "a", Moment(journal.boxes, {}))

    def restored(uidvalidity: int, *tokens: tuple[int, str], flags: frozenset[str] = none) -> Found:
        return Found(uidvalidity, {uid: (1, flags, b"") for uid, _ in tokens}, dict(tokens))

    comparison.found = {
        INBOX: restored(7, (3, "t3"), (5, "t6"), (8, "t8"), (9, "owed"), flags=frozenset({"\\Seen"})),
        WORK: restored(8, (1, "t1"), (3, "t3")),
    }
    comparison.compare()
    assert journal.broken == {
        "mailbox": 1,  # no Archive
        "missing": 2,  # t2, which is nowhere, and UID 6
        "flags": 2,  # of 3 and 5
        "returned": 1,  # UID 8
        "uidvalidity": 1,  # of Work
        "doubled": 1,  # t3
        "changed": 1,  # UID 5
    }
