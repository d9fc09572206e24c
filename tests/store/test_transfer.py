"""What a shard takes over from another one: numbers as they were there, whatever comes twice or late."""

from pathlib import Path

import pytest

from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.core.route import Residence
from mailplat.store import StoreLimits
from mailplat.store.maildir import dedupe_key
from mailplat.store.repair import rebuild, verify
from mailplat.store.tombstones import FORGOTTEN, forget_tombstones
from mailplat.store.transfer import Traces, is_closed, residents
from tests.store.conftest import HOME, Rig, new


def said(**more: object) -> Traces:
    values: dict[str, object] = {
        "uidnext": 1, "modseq": 1, "uidvalidity": 1, "changed": (), "expunged": (), "keys": (),
    }  # fmt: skip
    return Traces(**{**values, **more})  # type: ignore[arg-type]


def copied(rig: Rig, count: int = 3) -> None:
    rig.append(
        *(new(uid=uid, modseq=uid + 10, flags=("\\Seen",), saved_at=5.0) for uid in range(1, count + 1))
    )


def rows(rig: Rig) -> list[tuple[int, int, frozenset[str]]]:
    found = rig.shard.rows(HOME, rig.inbox.id, None, ("uid", "modseq", "flags"))
    return [(uid, modseq, frozenset(flags)) for uid, modseq, flags in found]


def test_messages_keep_modseq_and_saved_date(rig: Rig) -> None:
    copied(rig)
    assert [row[:2] for row in rows(rig)] == [(1, 11), (2, 12), (3, 13)]
    assert rig.inbox.modseq == 13
    assert rig.shard.rows(HOME, rig.inbox.id, None, ("saved_at",)) == [(5,)] * 3
    (done,) = rig.append(new())
    assert (done.uid, done.modseq) == (4, 14)


def test_the_higher_modseq_counts(rig: Rig) -> None:
    copied(rig)
    number = rig.inbox.id
    later = said(modseq=30, uidnext=9, changed=[(1, 20, ("\\Flagged", "w")), (2, 21, ())])
    assert rig.shard.take_over(HOME, number, later) == (2, 0)
    assert rig.shard.take_over(HOME, number, later) == (0, 0)
    assert rig.shard.take_over(HOME, number, said(modseq=15, changed=[(1, 15, ("\\Draft",))])) == (0, 0)
    assert rows(rig) == [
        (1, 20, frozenset({"\\Flagged", "w"})),
        (2, 21, frozenset()),
        (3, 13, frozenset({"\\Seen"})),
    ]
    assert (rig.inbox.modseq, rig.inbox.uidnext, rig.inbox.unseen) == (30, 9, 2)


def test_a_snapshot_taken_before_is_not_believed(rig: Rig) -> None:
    copied(rig)
    rig.shard.take_over(HOME, rig.inbox.id, said(modseq=40))
    rig.shard.snapshot(HOME, rig.inbox.id)
    rig.shard.take_over(HOME, rig.inbox.id, said(modseq=40, changed=[(1, 30, ())], expunged=[(3, 31)]))
    taken = rig.shard.snapshot(HOME, rig.inbox.id)
    assert (list(taken.uids), list(taken.modseqs)) == ([1, 2], [30, 12])
    assert taken.flagsets[taken.flags[0]] == ()


def test_expunged_there_is_expunged_here_and_in_no_vault(rig: Rig) -> None:
    copied(rig)
    number = rig.inbox.id
    gone = said(modseq=20, uidnext=9, expunged=[(2, 20), (7, 19)])
    assert rig.shard.take_over(HOME, number, gone) == (0, 1)
    assert rig.shard.take_over(HOME, number, gone) == (0, 0)
    assert [row[0] for row in rows(rig)] == [1, 3]
    assert rig.shard.changes(HOME, number, 18).expunged == [2, 7]
    assert rig.shard.usage(HOME)[1] == 2
    rig.shard.sweep()
    assert len(rig.files()) == 2
    assert not (rig.path / "vault").exists()
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_files_say_the_same(rig: Rig) -> None:
    copied(rig)
    rig.shard.settle_names()
    rig.shard.take_over(HOME, rig.inbox.id, said(modseq=13, changed=[(1, 12, ("\\Flagged", "w"))]))
    rig.shard.settle_names()
    rig.reopen()
    rebuild(rig.shard)
    assert next((uid, flags) for uid, _, flags in rows(rig)) == (1, frozenset({"\\Flagged", "w"}))


def test_keys_and_the_last_uidvalidity_cross_over(rig: Rig) -> None:
    copied(rig)
    now = int(rig.shard.site.clock.now())
    rig.shard.take_over(
        HOME, rig.inbox.id, said(keys=[(dedupe_key("queue/1"), 2, 12, now)], uidvalidity=now + 5000)
    )
    (done,) = rig.append(new(dedupe="queue/1"))
    assert (done.uid, done.duplicate) == (2, True)
    assert rig.shard.create(HOME, "Box").uidvalidity > now + 5000


def test_only_under_the_epoch(rig: Rig) -> None:
    with pytest.raises(StaleEpoch):
        rig.shard.take_over(Residence(1, "s1", 7), rig.inbox.id, said())


def test_a_copy_that_is_discarded_may_come_again(rig: Rig) -> None:
    copied(rig)
    rig.shard.discard(1, HOME.epoch)
    rig.shard.discard(1, HOME.epoch)
    assert is_closed(rig.shard.site, 1)
    assert residents(rig.shard.site) == []
    with pytest.raises(StaleEpoch):
        rig.shard.create(HOME, "Late")
    rig.shard.sweep()
    assert rig.files() == []
    assert not (rig.path / "vault").exists()
    rig.shard.grant(1, HOME.epoch)
    assert rig.inbox.messages == 0
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_an_account_with_a_higher_epoch_is_not_discarded(rig: Rig) -> None:
    copied(rig)
    rig.shard.grant(1, HOME.epoch + 2)
    with pytest.raises(Unavailable):
        rig.shard.discard(1, HOME.epoch)
    assert residents(rig.shard.site) == [1]


def test_what_the_other_shard_has_forgotten_is_found_by_what_it_still_has(rig: Rig) -> None:
    """Tombstones beyond the limit are gone there, since the last delta (tombstones.py)."""
    copied(rig, 4)
    number = rig.inbox.id
    late = said(modseq=40, uidnext=5, expunged=[(FORGOTTEN, 39), (4, 40)], present=[1, 3])
    assert rig.shard.take_over(HOME, number, late) == (0, 2)
    assert [row[0] for row in rows(rig)] == [1, 3]
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_traces_say_what_is_present_where_something_is_forgotten(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s2", StoreLimits(tombstones=2))
    rig.fill(8)
    since = rig.inbox.modseq
    for uid in range(1, 7):
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid)])
    forget_tombstones(rig.shard.site)
    found = rig.shard.traces(HOME, rig.inbox.id, since)
    assert found.present is not None
    assert list(found.present) == [7, 8]
    assert rig.shard.traces(HOME, rig.inbox.id, rig.inbox.modseq).present is None
    rig.close()
