"""Annotations (RFC 5464): limits, and that they outlive an index and a move."""

from dataclasses import replace
from pathlib import Path

import pytest

from mailplat.core.errors import LimitReached, NotFound, StaleEpoch
from mailplat.core.route import Residence
from mailplat.store import StoreLimits
from mailplat.store.annotations import ACCOUNT, AnnotationTooLong
from tests.store.conftest import HOME, Rig, new


def test_set_and_remove(rig: Rig) -> None:
    inbox = rig.inbox
    rig.shard.annotate(HOME, inbox.id, {"/private/a": b"1", "/shared/b": b"\0\xff", "/shared/e": b""})
    rig.shard.annotate(HOME, ACCOUNT, {"/private/a": b"mine"})
    assert rig.shard.annotations(HOME, inbox.id) == {
        "/private/a": b"1", "/shared/b": b"\0\xff", "/shared/e": b"",
    }  # fmt: skip
    assert rig.shard.annotations(HOME, ACCOUNT) == {"/private/a": b"mine"}
    assert rig.inbox.modseq > inbox.modseq
    rig.shard.annotate(HOME, inbox.id, {"/private/a": None, "/private/none": None})
    assert rig.shard.annotations(HOME, inbox.id) == {"/shared/b": b"\0\xff", "/shared/e": b""}
    with pytest.raises(NotFound):
        rig.shard.annotate(HOME, 999, {"/private/a": b""})
    with pytest.raises(StaleEpoch):
        rig.shard.annotate(replace(HOME, epoch=HOME.epoch + 1), inbox.id, {"/private/a": b""})


def test_limits(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(annotations=2, annotation=3))
    number = rig.inbox.id
    rig.shard.annotate(HOME, number, {"/private/a": b"123", "/private/b": b""})
    with pytest.raises(AnnotationTooLong):
        rig.shard.annotate(HOME, number, {"/private/a": b"1234", "/private/b": None})
    with pytest.raises(LimitReached):
        rig.shard.annotate(HOME, number, {"/private/c": b"1"})
    rig.shard.annotate(HOME, number, {"/private/c": b"1", "/private/b": None})
    assert rig.shard.annotations(HOME, number) == {"/private/a": b"123", "/private/c": b"1"}
    rig.close()


def test_they_go_with_the_mailbox_and_stay_with_a_name(rig: Rig) -> None:
    box = rig.shard.create(HOME, "Box")
    rig.shard.annotate(HOME, box.id, {"/private/a": b"1"})
    rig.shard.rename(HOME, "Box", "Other")
    assert rig.shard.annotations(HOME, box.id) == {"/private/a": b"1"}
    rig.shard.delete(HOME, "Other")
    rig.shard.annotate(HOME, ACCOUNT, {"/private/a": b"1"})
    rig.shard.remove_account(HOME)
    with rig.shard.site.read() as connection:
        assert connection.exec_driver_sql("SELECT * FROM annotation").fetchall() == []


@pytest.mark.parametrize("lost", [True, False])
def test_a_rebuild(rig: Rig, lost: bool) -> None:
    rig.append(new())
    box = rig.shard.create(HOME, "Box").id
    values = {"/private/comment": "Grüße".encode(), "/shared/b": b"\0\xff"}
    rig.shard.annotate(HOME, box, values)
    rig.shard.annotate(HOME, rig.inbox.id, {"/private/a": b"1"})
    rig.shard.annotate(HOME, ACCOUNT, {"/private/a": b"2"})
    rig.shard.settle_names()
    rig.store.close()
    if lost:
        for path in rig.path.glob("index.db*"):
            path.unlink()
    assert [each.kind for each in rig.rebuild().problems] == ["index-missing"] * lost
    assert rig.shard.annotations(HOME, rig.shard.mailbox(HOME, "Box").id) == values
    assert rig.shard.annotations(HOME, rig.inbox.id) == {"/private/a": b"1"}
    assert rig.shard.annotations(HOME, ACCOUNT) == {"/private/a": b"2"}


def test_another_shard_takes_them_over(rig: Rig, tmp_path: Path) -> None:
    other = Rig(tmp_path / "s2")
    away = Residence(HOME.account_id, "s1", HOME.epoch)
    rig.shard.annotate(HOME, rig.inbox.id, {"/private/a": b"1"})
    rig.shard.annotate(HOME, ACCOUNT, {"/private/b": b"2"})
    early = rig.shard.traces(HOME, rig.inbox.id, 0)
    other.shard.take_over(away, other.inbox.id, early)
    assert other.shard.annotations(away, other.inbox.id) == {"/private/a": b"1"}
    assert other.shard.annotations(away, ACCOUNT) == {"/private/b": b"2"}
    rig.shard.annotate(HOME, rig.inbox.id, {"/private/a": None})
    rig.shard.annotate(HOME, ACCOUNT, {"/private/b": b"3"})
    other.shard.take_over(away, other.inbox.id, rig.shard.traces(HOME, rig.inbox.id, early.modseq))
    other.shard.take_over(away, other.inbox.id, early)  # comes late
    assert other.shard.annotations(away, other.inbox.id) == {}
    assert other.shard.annotations(away, ACCOUNT) == {"/private/b": b"3"}
    other.close()
