"""THREAD in the store: what headers say is read once, and remembered within its limit."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.core.clock import ManualClock
from mailplat.core.errors import LimitReached, NotFound
from mailplat.store import StoreLimits
from mailplat.store import threads as threading_
from mailplat.wire.imap.sorting import Order
from mailplat.wire.imap.threads import Forest
from tests.store.conftest import HOME, Rig, letter, new


def reply(own: str, *references: str, subject: str = "x") -> bytes:
    lines = f"Message-ID: <{own}@x>\r\n"
    if references:
        lines += "References: " + " ".join(f"<{each}@x>" for each in references) + "\r\n"
    return letter(subject, extra=lines)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Message files that were opened."""
    paths: list[Path] = []
    real = os.open

    def watched(path: Any, *args: Any, **more: Any) -> int:
        paths.append(path)
        return real(path, *args, **more)

    monkeypatch.setattr("mailplat.store.opening.os.open", watched)
    return paths


def threads(rig: Rig, mailbox: str = "INBOX", uids: list[int] | None = None) -> Forest:
    box = rig.shard.mailbox(HOME, mailbox)
    wanted = rig.shard.snapshot(HOME, box.id).uids if uids is None else uids
    return rig.shard.threads(HOME, box.id, wanted, "REFERENCES")


def test_headers_are_read_once(rig: Rig, opened: list[Path]) -> None:
    rig.append(new(reply("a")), new(reply("b", "a", subject="y")), new(reply("c", subject="z")))
    opened.clear()
    assert threads(rig) == Forest([1, 3], {1: [2]})
    assert len(opened) == 3
    rig.append(new(reply("d", "a", "b", subject="w")))
    opened.clear()
    assert threads(rig) == Forest([1, 3], {1: [2], 2: [4]})
    assert len(opened) == 1
    assert threads(rig, uids=[1, 4]) == Forest([1], {1: [4]})
    assert len(opened) == 1


def test_by_subject_opens_nothing(rig: Rig, opened: list[Path]) -> None:
    rig.fill(3)
    opened.clear()
    box = rig.inbox
    assert rig.shard.threads(HOME, box.id, [1, 2, 3], "ORDEREDSUBJECT") == Forest([1, 2, 3], {})
    assert opened == []


def test_only_the_header_is_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was appended without an end of its header reads as one, cut."""
    rig.append(new(reply("a") + b"x" * 1_000_000), new(b"References: <a@x>\r\n" + b"X: y\r\n" * 10))
    monkeypatch.setattr("mailplat.store.references.MAX_HEADER", 30)
    assert threads(rig) == Forest([1, 2], {})  # 30 octets do not reach the Message-ID of the first
    rig.shard.forget()
    monkeypatch.undo()
    assert threads(rig) == Forest([1], {1: [2]})


def test_the_memory_is_bounded(tmp_path: Path, opened: list[Path]) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(references=5))
    rig.shard.create(HOME, "other")
    rig.append(*(new(reply(f"a{n}")) for n in range(3)))
    rig.append(*(new(reply(f"b{n}")) for n in range(2)), mailbox="other")
    for _ in range(2):
        threads(rig), threads(rig, "other")
    opened.clear()
    threads(rig), threads(rig, "other")
    assert opened == []  # five: both are remembered
    rig.append(new(reply("b2")), mailbox="other")
    opened.clear()
    threads(rig, "other")
    assert len(opened) == 1
    threads(rig, "other")
    assert len(opened) == 1
    threads(rig)  # was forgotten, as the one asked for longest ago; now the other is
    assert len(opened) == 4
    rig.append(*(new(reply(f"c{n}")) for n in range(4)))
    threads(rig)
    opened.clear()
    threads(rig)  # seven messages: five of them are remembered
    assert len(opened) == 2
    rig.close()


def test_reading_that_takes_too_long_goes_on_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Path]
) -> None:
    monkeypatch.setattr("mailplat.store.references._WINDOW", 2)
    clock = ManualClock()
    rig = Rig(tmp_path / "s1", StoreLimits(search_seconds=0.0), clock=clock)
    rig.append(*(new(reply(f"a{n}")) for n in range(3)))
    monkeypatch.setattr(clock, "monotonic", iter(range(1000)).__next__)
    opened.clear()
    with pytest.raises(LimitReached):
        threads(rig)
    assert len(opened) == 2
    assert len(threads(rig).roots) == 1
    assert len(opened) == 3
    rig.close()


def test_what_is_gone(rig: Rig) -> None:
    rig.append(*(new(reply(f"a{n}"), internaldate=n) for n in range(3)))
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2)])
    assert threads(rig, uids=[1, 2, 3]).children == {-1: [1, 3]}
    assert rig.shard.sort(HOME, rig.inbox.id, [1, 2, 3], [Order("ARRIVAL", True)]) == [3, 1]
    for verb in (
        lambda: rig.shard.threads(HOME, 77, [1], "REFERENCES"),
        lambda: rig.shard.sort(HOME, 77, [1], [Order("ARRIVAL", False)]),
    ):
        with pytest.raises(NotFound):
            verb()
    assert rig.shard.sort(HOME, 77, [], []) == []


def test_sorting_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailplat.store.sorting._WINDOW", 2)
    rig = Rig(tmp_path / "s1", StoreLimits(search_seconds=0.0))
    rig.fill(3)
    assert rig.shard.sort(HOME, rig.inbox.id, [1, 2], [Order("DATE", False)]) == [1, 2]
    for verb in (
        lambda: rig.shard.sort(HOME, rig.inbox.id, [1, 2, 3], [Order("DATE", False)]),
        lambda: rig.shard.threads(HOME, rig.inbox.id, [1, 2, 3], "ORDEREDSUBJECT"),
    ):
        with pytest.raises(LimitReached):
            verb()
    rig.close()


def test_windows(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.append(*(new(letter(f"s{n % 3}"), internaldate=100 - n) for n in range(10)))
    uids = [1, 2, 3, 5, 6, 7, 9, 10]
    whole = rig.shard.sort(HOME, rig.inbox.id, uids, [Order("SUBJECT", True), Order("ARRIVAL", False)])
    assert whole == [9, 6, 3, 5, 2, 10, 7, 1]
    monkeypatch.setattr("mailplat.store.sorting._WINDOW", 3)
    assert (
        rig.shard.sort(HOME, rig.inbox.id, uids, [Order("SUBJECT", True), Order("ARRIVAL", False)]) == whole
    )


def test_references_beyond_what_all_together_may_have(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ones of each count: every message is still below its parent."""
    chain = [f"m{number}" for number in range(8)]
    rig.append(*(new(reply(own, *chain[:number])) for number, own in enumerate(chain)))
    before = threads(rig)
    monkeypatch.setattr(threading_, "MAX_REFERENCES", 8)
    assert threads(rig) == before
    assert before.children == {uid: [uid + 1] for uid in range(1, 8)}
