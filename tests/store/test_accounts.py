"""Epochs, and the end of an account."""

import pytest

from mailplat.core.errors import InvalidInput, NotFound, StaleEpoch
from mailplat.core.route import Residence
from tests.store.conftest import HOME, Rig, new


def test_a_lower_epoch_is_refused_and_an_equal_one_is_nothing(rig: Rig) -> None:
    rig.shard.grant(1, 4)
    rig.shard.grant(1, 4)
    with pytest.raises(StaleEpoch):
        rig.shard.grant(1, 3)
    with pytest.raises(InvalidInput):
        rig.shard.grant(1, 0)


def test_every_write_is_refused_under_an_old_epoch(rig: Rig) -> None:
    rig.append(new())
    inbox = rig.inbox.id
    rig.shard.grant(1, 2)
    writes = [
        lambda: rig.append(new()),
        lambda: rig.deliver([(HOME, "INBOX", 0)], new()),
        lambda: rig.shard.create(HOME, "x"),
        lambda: rig.shard.delete(HOME, "x"),
        lambda: rig.shard.rename(HOME, "x", "y"),
        lambda: rig.shard.rename(HOME, "INBOX", "y"),
        lambda: rig.shard.subscribe(HOME, "x", True),
        lambda: rig.shard.raise_uidnext(HOME, inbox, 10, 10),
        lambda: rig.shard.store_flags(HOME, inbox, None, "add", ["\\Seen"]),
        lambda: rig.shard.expunge(HOME, inbox, None),
        lambda: rig.shard.expunge_uids(HOME, inbox, None),
        lambda: rig.shard.copy(HOME, inbox, None, "INBOX"),
        lambda: rig.shard.move(HOME, inbox, None, "INBOX"),
        lambda: rig.shard.remove_account(HOME),
    ]
    for write in writes:
        with pytest.raises(StaleEpoch):
            write()
    assert rig.shard.usage(HOME)[1] == 1
    assert len(rig.files()) == 1


def test_an_account_that_left_opens_only_under_a_higher_epoch(rig: Rig) -> None:
    rig.append(new())
    rig.shard.remove_account(HOME)
    assert rig.shard.usage(HOME) == (0, 0)
    assert rig.shard.mailboxes(HOME) == []
    for attempt in (lambda: rig.shard.grant(1, 1), lambda: rig.append(new())):
        with pytest.raises(StaleEpoch):
            attempt()
    rig.shard.grant(1, 2)  # before the sweeper came by: the new life must not lose its folder
    rig.append(new(b"new life"), home=Residence(1, "s1", 2))
    rig.shard.sweep()
    assert [path.read_bytes() for path in rig.files()] == [b"new life"]
    assert list(rig.shard.tmp.iterdir()) == []


def test_tenants_do_not_see_each_other(rig: Rig) -> None:
    rig.append(new())
    stranger = Residence(2, "s1", 1)
    rig.shard.grant(2, 1)
    inbox = rig.inbox.id
    for call in (
        lambda: rig.shard.snapshot(stranger, inbox),
        lambda: rig.shard.rows(stranger, inbox, None, ["uid"]),
        lambda: rig.shard.octets(stranger, inbox, 1),
        lambda: rig.shard.open(stranger, inbox, 1),
        lambda: list(rig.shard.octets_many(stranger, inbox, None)),
        lambda: rig.shard.changes(stranger, inbox, 0),
        lambda: rig.shard.store_flags(stranger, inbox, None, "add", ["\\Seen"]),
        lambda: rig.shard.expunge_uids(stranger, inbox, None),
        lambda: rig.shard.copy(stranger, inbox, None, "INBOX"),
    ):
        with pytest.raises(NotFound):
            call()
