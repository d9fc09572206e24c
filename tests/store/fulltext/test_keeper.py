"""The thread, and what a round of it looks at."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from mailplat.db.engine import Damaged
from mailplat.store import Shard, StoreLimits
from mailplat.store.fulltext import keeper, texts
from mailplat.store.fulltext.keeper import Rounds
from mailplat.store.fulltext.waiting import count_waiting
from mailplat.wire.imap import search as keys
from tests.store.conftest import HOME, Hints, Rig
from tests.store.fulltext.conftest import find, keep
from tests.store.fulltext.test_keeping import known
from tests.until import until


def test_behind_searches_and_appends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "DELAY_S", 0.01)
    rig = Rig(tmp_path / "s1", upkeep=True)
    rig.fill(3)
    find(rig, keys.Body("text"))
    asyncio.run(until(lambda: rig.shard.site.fulltext.exists and is_kept(rig, [1, 2, 3])))
    rig.fill(2)
    asyncio.run(until(lambda: is_kept(rig, [1, 2, 3, 4, 5])))
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 2)])
    asyncio.run(until(lambda: is_kept(rig, [3, 4, 5])))
    rig.close()


def is_kept(rig: Rig, uids: list[int]) -> bool:
    with contextlib.suppress(Damaged), rig.shard.site.fulltext.read() as connection:
        return connection is not None and known(rig) == uids
    return False


def test_damage_is_healed_by_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "DELAY_S", 0.01)
    rig = Rig(tmp_path / "s1", upkeep=True)
    rig.fill(3)
    keep(rig)
    rig.store.close()
    (rig.path / "fulltext.db").write_bytes(b"x" * 100_000)
    rig.store = rig.store.__class__({"s1": rig.path}, rig.executors, rig.hints)
    rig.shard = rig.store.shard("s1")
    assert find(rig, keys.Body("text")) == [1, 2, 3]
    asyncio.run(until(lambda: find(rig, keys.Body("text")) and is_kept(rig, [1, 2, 3])))
    rig.close()


def test_what_another_process_left_undone(kept: Rig) -> None:
    kept.fill(2)
    kept.shard.expunge_uids(HOME, kept.inbox.id, [(1, 1)])
    kept.reopen()  # what was touched is forgotten
    assert count_waiting(kept.shard.site) == 2
    kept.shard.keep_texts()
    assert known(kept) == known(kept, texts.HEADINGS) == [2, 3, 4, 5, 6, 7]
    assert count_waiting(kept.shard.site) == 0


def test_a_sweep_of_many(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows end between two parts of a mailbox."""
    monkeypatch.setattr(keeper, "_MAILBOXES", 3)
    names = [f"Box{number}" for number in range(5)]
    for name in names:
        rig.shard.create(HOME, name)
    numbers = [rig.shard.mailbox(HOME, name).id for name in names]
    for number in numbers:
        find(rig, keys.Or((keys.Text("x"), keys.Header("subject", "x"))), number)
    rig.shard.keep_texts()
    for name in names:
        rig.fill(1, name)
    rig.reopen()
    rig.shard.keep_texts()
    for number in numbers:
        assert known(rig, texts.CONTENT, number) == known(rig, texts.HEADINGS, number) == [1]


def test_all_mailboxes(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(fulltext="all"))
    rig.shard.create(HOME, "Box")
    box = rig.shard.mailbox(HOME, "Box").id
    rig.fill(2)
    rig.reopen()
    rig.shard.keep_texts()
    assert known(rig) == [1, 2]
    rounds = Rounds(rig.shard.site)
    rounds.round()
    rig.fill(2, "Box")
    rounds.round()  # not a sweep: it was touched
    assert known(rig, texts.CONTENT, box) == known(rig, texts.HEADINGS, box) == [1, 2]
    rig.close()


def test_nobody_s(kept: Rig) -> None:
    """What an earlier setting has kept is removed, and nothing is kept any more."""
    kept.limits = StoreLimits(fulltext="off")
    kept.reopen()
    assert find(kept, keys.Body("text")) == [1, 2, 3, 4, 5]
    kept.shard.keep_texts()
    assert not list(kept.path.glob("fulltext.db*"))
    assert find(kept, keys.Body("text")) == [1, 2, 3, 4, 5]
    kept.shard.keep_texts()
    assert not kept.shard.site.fulltext.exists


def test_another_process_has_the_file(kept: Rig) -> None:
    other = Shard("s1", kept.path, Hints(), upkeep=False)
    rounds = Rounds(kept.shard.site)
    kept.fill(1)
    with other.site.fulltext.held() as theirs:
        assert theirs
        assert rounds.round()  # there is more
        assert known(kept) == [1, 2, 3, 4, 5]
    assert not rounds.round()
    assert known(kept) == [1, 2, 3, 4, 5, 6]
    other.close()


def test_a_reader_keeps_the_log(kept: Rig) -> None:
    """Who reads for long must not bring back what was removed: the log is cut back when he has ended."""
    rounds = Rounds(kept.shard.site)
    other = Shard("s1", kept.path, Hints(), upkeep=False)
    with other.site.fulltext.read() as connection:
        assert connection is not None
        connection.exec_driver_sql("SELECT count(*) FROM block").close()
        kept.shard.expunge_uids(HOME, kept.inbox.id, [(1, 1)])
        assert rounds.round()
        assert (kept.path / "fulltext.db-wal").stat().st_size > 0
    assert not rounds.round()
    assert (kept.path / "fulltext.db-wal").stat().st_size == 0
    other.close()
