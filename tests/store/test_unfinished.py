"""What a crash leaves half done is neither mail nor a mailbox, also after the index was lost."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mailplat.core import disk
from mailplat.core.quota import NO_QUOTA
from mailplat.store import StoreLimits
from mailplat.store.maildir import dedupe_key, first_name, new_unique
from mailplat.store.vault import finding
from mailplat.store.vault.prune import prune
from tests.store.conftest import HOME, Rig, letter, new
from tests.store.test_repair import drop_index

KEY = "q1:1"

DELIVERY = """
import sys
from pathlib import Path
from tests.store.test_unfinished import Rig, deliver
deliver(Rig(Path(sys.argv[1])))
"""


def deliver(rig: Rig) -> bool:
    """Whether it was known to be done."""
    message = new(letter("Once"), dedupe=KEY)
    (done,) = asyncio.run(rig.store.deliver([(HOME, "INBOX", NO_QUOTA)], message))
    return done.duplicate


def leave_second(rig: Rig, octets: bytes = letter("Once")) -> Path:
    """As a worker does that dies behind append.rename."""
    name = first_name(new_unique(), len(octets), key=dedupe_key(KEY))
    path = rig.shard.site.account_folder(1) / "new" / name
    path.write_bytes(octets)
    return path


def settle(rig: Rig) -> None:
    rig.shard.settle_names()
    rig.shard.sweep()


def there(rig: Rig) -> list[tuple[str, int]]:
    """(mailbox, UID) of every message."""
    return [
        (mailbox.name, uid)
        for mailbox in rig.shard.mailboxes(HOME)
        for (uid,) in rig.shard.rows(HOME, mailbox.id, None, ["uid"])
    ]


@pytest.mark.parametrize("bare", [False, True], ids=["rebuilt", "rebuilt without index"])
def test_a_delivery_that_was_killed_and_done_again(rig: Rig, bare: bool) -> None:
    """One message, and none once its user has expunged it."""
    rig.store.close()
    environment = os.environ | {disk.DIE_AT: "append.rename:1"}
    died = subprocess.run([sys.executable, "-c", DELIVERY, str(rig.path)], env=environment, check=False)
    assert died.returncode == -9
    rig.reopen()
    assert len(rig.files()) == 1
    assert not deliver(rig)
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1)])
    settle(rig)
    if bare:
        drop_index(rig)
    assert rig.rebuild().swept == 1
    assert there(rig) == []
    assert rig.files() == []
    assert len(list(finding.find(rig.shard.site, [1]))) == 1
    assert deliver(rig)


@pytest.mark.parametrize("bare", [False, True], ids=["rebuilt", "rebuilt without index"])
@pytest.mark.parametrize("place", ["INBOX", "Elsewhere"])
def test_the_message_has_a_place(rig: Rig, place: str, bare: bool) -> None:
    deliver(rig)
    leave_second(rig)
    leave_second(rig)
    if place != "INBOX":
        rig.shard.create(HOME, place)
        rig.shard.move(HOME, rig.inbox.id, [(1, 1)], place)
    settle(rig)
    if bare:
        drop_index(rig)
    assert rig.rebuild().swept == 2
    assert there(rig) == [(place, 1)]


def test_two_that_nobody_was_told_of_are_one(rig: Rig) -> None:
    leave_second(rig)
    leave_second(rig)
    drop_index(rig)
    rig.rebuild()
    assert len(there(rig)) == 1
    assert len(rig.files()) == 1


def test_a_message_whose_file_was_not_named_yet_stays(rig: Rig) -> None:
    deliver(rig)
    leave_second(rig)
    rig.rebuild()
    assert there(rig) == [("INBOX", 1)]


def test_pruned_from_the_vault_it_stays_away_while_there_is_an_index(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(vault_days=0))
    deliver(rig)
    leave_second(rig)
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1)])
    settle(rig)
    prune(rig.shard.site)
    rig.rebuild()
    assert there(rig) == []
    rig.close()


def test_other_octets_are_another_message(rig: Rig) -> None:
    deliver(rig)
    leave_second(rig, letter("Once", "Another text\r\n"))
    settle(rig)
    rig.rebuild()
    assert len(there(rig)) == 2


def test_the_second_file_is_the_message_where_the_first_is_lost(rig: Rig) -> None:
    deliver(rig)
    settle(rig)
    (first,) = rig.files()
    leave_second(rig)
    first.unlink()
    rig.rebuild()
    assert len(there(rig)) == 1
    assert len(rig.files()) == 1


def make_unfinished(rig: Rig, *, name: bool = True) -> Path:
    """As a worker leaves it that dies before the commit of CREATE."""
    rig.shard.create(HOME, "Box")
    folder = rig.shard.site.account_folder(1) / f".m{rig.shard.mailbox(HOME, 'Box').id}"
    shutil.copytree(folder, rig.path / "kept")
    rig.shard.delete(HOME, "Box")
    settle(rig)
    assert not folder.exists()
    shutil.move(rig.path / "kept", folder)
    (folder / ".mailplat-mailbox.json.77.new").write_text("{")
    if not name:
        (folder / "mailplat-mailbox.json").unlink()
    return folder


def names(rig: Rig) -> list[str]:
    return [each.name for each in rig.shard.mailboxes(HOME)]


def test_a_mailbox_that_was_not_committed_is_none(rig: Rig) -> None:
    folder = make_unfinished(rig)
    assert rig.rebuild().swept == 1
    assert names(rig) == ["INBOX"]
    assert not folder.exists()


def test_without_an_index_an_empty_mailbox_is_one_if_it_has_a_name(rig: Rig) -> None:
    make_unfinished(rig)
    drop_index(rig)
    rig.rebuild()
    assert sorted(names(rig)) == ["Box", "INBOX"]


def test_without_an_index_a_folder_without_name_and_mail_is_none(rig: Rig) -> None:
    folder = make_unfinished(rig, name=False)
    drop_index(rig)
    rig.rebuild()
    assert names(rig) == ["INBOX"]
    assert not folder.exists()


def test_a_folder_with_mail_is_never_removed(rig: Rig) -> None:
    folder = make_unfinished(rig)
    (folder / "cur" / "by-hand").write_bytes(letter("Brought back"))
    rig.rebuild()
    assert sorted(names(rig)) == ["Box", "INBOX"]
    assert len(there(rig)) == 1
