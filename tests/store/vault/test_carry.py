"""A vault into another shard's: all of it, once, with its holds, whatever step a process dies behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.core import disk
from mailplat.core.errors import InvalidInput
from mailplat.store.repair import rebuild
from mailplat.store.vault import carry as carrying
from mailplat.store.vault import finding, owner, prune
from mailplat.store.vault.carry import Carried, carry
from mailplat.store.vault.finding import Item
from tests.store.conftest import HOME, Rig, letter, new

STEPS = ("carry.write", "carry.fsync:2", "carry.rename", "carry.rename:3", "carry.dirsync", "index.commit:2",
         "index.commit:3", "index.commit:4", "owner.write", "sweep.unlink")  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Rig, Rig]]:
    """The account has lived in both."""
    rigs = Rig(tmp_path / "old"), Rig(tmp_path / "new")
    yield rigs
    for rig in rigs:
        rig.close()


def fill(rig: Rig) -> dict[str, bytes]:
    """Three mailboxes in the vault, with keywords that are numbered otherwise in each."""
    sent: dict[str, bytes] = {}
    for mailbox, flags in (("INBOX", ("\\Seen", "red")), ("Box", ("blue", "red")), ("Gone", ())):
        if mailbox != "INBOX":
            rig.shard.create(HOME, mailbox)
        for number in range(2):
            octets = letter(f"{mailbox} {number}", f"text {number}\r\n")
            sent[f"{mailbox} {number}"] = octets
            rig.append(new(octets, flags=flags, internaldate=1_000_000_000.0), mailbox=mailbox)
    for mailbox in ("INBOX", "Box"):
        rig.shard.expunge_uids(HOME, rig.shard.mailbox(HOME, mailbox).id, None)
    rig.shard.delete(HOME, "Gone")
    rig.shard.sweep()
    return sent


def carry_all(old: Rig, new: Rig) -> Carried:
    done = Carried()
    while done.more:
        carry(old.shard.site, new.shard.site, 1, done)
    old.shard.sweep()
    return done


def items(rig: Rig) -> list[Item]:
    return list(finding.find(rig.shard.site, [1]))


def words(rig: Rig) -> list[tuple[object, ...]]:
    """What does not depend on the shard."""
    return sorted(
        (i.mailbox, i.uid, i.reason, i.at, i.size, i.internaldate, i.zone, tuple(sorted(i.flags.split())),
         i.sender, i.recipient, i.subject, i.message_id)
        for i in items(rig)
    )  # fmt: skip


def vault_files(rig: Rig) -> list[Path]:
    return sorted(path for path in (rig.path / "vault").rglob("*") if path.is_file())


def test_the_address_of_an_account_that_is_gone_stays_with_its_mail(
    pair: tuple[Rig, Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upkeep there forgets accounts that are gone and have nothing: also in the midst of it."""
    old, new_ = pair
    fill(old)
    for rig in pair:
        rig.shard.remove_account(HOME, address="ann@example.test")
        rig.shard.sweep()
    copy = carrying._copy

    def beside_upkeep(*arguments: Any) -> None:
        prune.prune(new_.shard.site)
        copy(*arguments)

    monkeypatch.setattr(carrying, "_copy", beside_upkeep)
    carry_all(old, new_)
    prune.prune(new_.shard.site)
    assert len(items(new_)) == 6
    assert owner.owner_of(new_.shard.site, 1).address == "ann@example.test"


def test_all_of_it_goes_and_nothing_stays(pair: tuple[Rig, Rig]) -> None:
    old, new_ = pair
    fill(old)
    before = words(old)
    owner.hold(old.shard.site, 1, address="ann@x.test", reason="case 7", by="root")
    done = carry_all(old, new_)
    assert (done.messages, done.missing) == (6, 0)
    assert (items(old), vault_files(old), owner.owners(old.shard.site)) == ([], [], [])
    assert words(new_) == before
    held = owner.owner_of(new_.shard.site, 1)
    assert (held.hold_reason, held.hold_by) == ("case 7", "root")
    with pytest.raises(InvalidInput, match="legal hold"):
        prune.purge(new_.shard.site, 1)


def test_octets_dates_and_flags_are_in_the_files_too(pair: tuple[Rig, Rig]) -> None:
    """An index that is made again from the files says the same."""
    old, new_ = pair
    sent = fill(old)
    carry_all(old, new_)
    before = words(new_)
    found = sorted((new_.path / item.path).read_bytes() for item in items(new_))
    assert found == sorted(sent.values())
    new_.reopen()
    rebuild(new_.shard)
    assert words(new_) == before


def test_numbers_of_mailboxes_do_not_meet(pair: tuple[Rig, Rig]) -> None:
    """What was in mailbox 1 there is not taken for what is in mailbox 1 here."""
    old, new_ = pair
    fill(old)
    carry_all(old, new_)
    living = {mailbox.id for mailbox in new_.shard.mailboxes(HOME)}
    assert not living & {item.mailbox_id for item in items(new_)}
    new_.shard.create(HOME, "Later")
    assert new_.shard.mailbox(HOME, "Later").id > max(item.mailbox_id for item in items(new_))


def test_what_has_no_file_stays_and_is_counted(pair: tuple[Rig, Rig]) -> None:
    old, new_ = pair
    fill(old)
    (old.path / items(old)[0].path).unlink()
    done = carry_all(old, new_)
    assert (done.messages, done.missing) == (5, 1)
    assert len(items(old)) == 1
    assert len(items(new_)) == 5


def test_a_hold_that_is_there_already_stays_as_it_is(pair: tuple[Rig, Rig]) -> None:
    old, new_ = pair
    fill(old)
    owner.hold(old.shard.site, 1, address="ann@x.test", reason="first", by="root")
    owner.hold(new_.shard.site, 1, address="ann@x.test", reason="second", by="root")
    carry_all(old, new_)
    assert owner.owner_of(new_.shard.site, 1).hold_reason == "second"


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(step: str, tmp_path: Path) -> None:
    old = Rig(tmp_path / "old")
    fill(old)
    before = words(old)
    owner.hold(old.shard.site, 1, address="ann@x.test", reason="case 7", by="root")
    old.close()
    Rig(tmp_path / "new").close()
    if (child := os.fork()) == 0:
        os.environ[disk.DIE_AT] = step
        disk._armed.update(disk._plan())
        carry_all(Rig(tmp_path / "old"), Rig(tmp_path / "new"))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    old, new_ = Rig(tmp_path / "old"), Rig(tmp_path / "new")
    try:
        assert sorted({*words(old), *words(new_)}) == before, "in one of the two, or both"
        if not owner.owners(old.shard.site):
            assert owner.owner_of(new_.shard.site, 1).held_at is not None
        carry_all(old, new_)
        assert words(new_) == before
        assert (items(old), owner.owners(old.shard.site)) == ([], [])
        assert owner.owner_of(new_.shard.site, 1).hold_reason == "case 7"
    finally:
        old.close()
        new_.close()
