"""Files that a later release has encoded (C= in their names): never read as if they were plain, never lost."""

import zlib
from pathlib import Path

import pytest

from mailplat.core.errors import Unavailable
from mailplat.store.maildir import find_file, first_name, full_name, parse_name
from mailplat.store.repair import rebuild, verify
from mailplat.store.vault import prune
from mailplat.store.vault.finding import Filter, find
from mailplat.store.vault.restore import restore
from tests.store.conftest import HOME, Rig, letter, new


def encode(rig: Rig, uid: int = 1, *, row: bool = True) -> Path:
    """The message's file as a later release might leave it; with `row` its row says so."""
    rig.shard.settle_names()
    with rig.shard.site.database.write() as connection:
        (name,) = connection.exec_driver_sql("SELECT name FROM message WHERE uid = ?", (uid,)).one()
        (path,) = [each for each in rig.files() if each.name == name]
        unique, rest = name.split(",", 1)
        size, rest = rest.split(",", 1)
        coded = path.with_name(f"{unique},{size},C=x9,{rest}")
        if row:
            connection.exec_driver_sql("UPDATE message SET name = ? WHERE uid = ?", (coded.name, uid))
    coded.write_bytes(zlib.compress(path.read_bytes()))
    path.unlink()
    return coded


def old(rig: Rig) -> list[tuple[str, str]]:
    """What verify says when nothing may be in flight any more."""
    return [(problem.kind, problem.path) for problem in verify(rig.shard, sweep_hours=0).problems]


def relative(rig: Rig, path: Path) -> str:
    return str(path.relative_to(rig.path))


class TestName:
    def test_says_the_coding_and_keeps_it(self) -> None:
        name = first_name("1.M000001P1RabQ1", 17, 60, "uidl", coding="x9")
        assert name == "1.M000001P1RabQ1,S=17,C=x9,Z=60,P=uidl"
        renamed = full_name(full_name(name, 5, 3), 6, 1)
        said = parse_name(renamed)
        assert (said.coding, said.size, said.zone, said.uid, said.readable) == ("x9", 17, 60, 6, False)

    def test_plain_is_readable(self) -> None:
        said = parse_name(first_name("1.M000001P1RabQ1", 17))
        assert (said.coding, said.readable) == ("", True)

    def test_of_two_forms_the_one_that_can_be_read_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "cur").mkdir()
        (tmp_path / "cur" / "u,S=1,C=x9,U=1:2,").touch()
        assert find_file(tmp_path, "u") == "u,S=1,C=x9,U=1:2,"
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "u,S=1").touch()
        assert find_file(tmp_path, "u") == "u,S=1"


def test_reading_says_why_not(rig: Rig) -> None:
    rig.fill(2)
    encode(rig)
    with pytest.raises(Unavailable, match="encoded as 'x9' by a later release"):
        rig.shard.octets(HOME, rig.inbox.id, 1)
    with pytest.raises(Unavailable, match="C=x9"):
        rig.shard.open(HOME, rig.inbox.id, 1)
    assert rig.shard.octets(HOME, rig.inbox.id, 2) == letter("Number 1")


def test_verify_names_it_and_keeps_it(rig: Rig) -> None:
    rig.fill(2)
    known, stray = encode(rig, 1), encode(rig, 2, row=False)
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM message WHERE uid = 2")
    octets = known.read_bytes(), stray.read_bytes()
    found = {(kind, path) for kind, path in old(rig) if kind != "count"}
    assert found == {("unreadable", relative(rig, known)), ("unreadable", relative(rig, stray))}
    assert (known.read_bytes(), stray.read_bytes()) == octets


def test_rebuild_refuses_and_changes_nothing(rig: Rig) -> None:
    rig.fill(2)
    coded = encode(rig)
    rows = rig.shard.rows(HOME, rig.inbox.id, None, ["uid", "modseq", "subject", "flags"])
    with pytest.raises(Unavailable, match=r"1 files were encoded by a later release, such as .*C=x9"):
        rebuild(rig.shard)
    assert rig.shard.rows(HOME, rig.inbox.id, None, ["uid", "modseq", "subject", "flags"]) == rows
    assert coded.exists()


def test_rebuild_refuses_for_the_vault_too(rig: Rig) -> None:
    rig.fill(1)
    encode(rig)
    rig.shard.expunge_uids(HOME, rig.inbox.id, None)
    rig.shard.sweep()
    with pytest.raises(Unavailable, match="by a later release"):
        rebuild(rig.shard)


def test_flags_and_names_go_on(rig: Rig) -> None:
    """A row says it, or only the file does: the namer keeps what the file says."""
    rig.fill(2)
    encode(rig, 1), encode(rig, 2, row=False)
    rig.shard.store_flags(HOME, rig.inbox.id, None, "add", ["\\Seen"])
    rig.shard.settle_names()
    said = [parse_name(path.name) for path in rig.files()]
    assert [(each.coding, each.uid) for each in said] == [("x9", 1), ("x9", 2)]
    assert all(path.name.endswith("S") for path in rig.files())
    assert {kind for kind, _ in old(rig)} == {"unreadable"}


def test_copy_and_move_keep_the_coding(rig: Rig) -> None:
    rig.fill(1)
    octets = encode(rig).read_bytes()
    rig.shard.create(HOME, "Box")
    rig.shard.copy(HOME, rig.inbox.id, None, "Box")
    rig.shard.move(HOME, rig.inbox.id, None, "Box")
    rig.shard.settle_names()
    rig.shard.sweep()
    assert [(path.read_bytes(), parse_name(path.name).coding) for path in rig.files()] == [(octets, "x9")] * 2


@pytest.mark.parametrize("row", [True, False])
def test_the_vault_takes_it_and_does_not_give_it_back_as_if_it_were_plain(rig: Rig, row: bool) -> None:
    rig.fill(2)
    octets = encode(rig, row=row).read_bytes()
    rig.shard.expunge_uids(HOME, rig.inbox.id, None)
    rig.shard.sweep()
    items = list(find(rig.shard.site, [1]))
    coded = rig.path / items[0].path
    assert (coded.read_bytes(), parse_name(coded.name).coding) == (octets, "x9")
    assert [kind for kind, _ in old(rig)] == ["unreadable"]
    done = restore(rig.store, "s1", [1], Filter(), HOME)
    assert (done.messages, [item.id for item in done.missing]) == (1, [items[0].id])
    assert coded.read_bytes() == octets
    assert [item.id for item in find(rig.shard.site, [1])] == [items[0].id]
    assert prune.purge(rig.shard.site, 1) == 1  # an admin may
    rig.shard.sweep()
    assert not coded.exists()


def test_the_sweeper_takes_no_other_form_for_a_leftover(rig: Rig) -> None:
    """A later release has replaced a plain file and left it to the sweeper, which was cut short behind that."""
    rig.fill(1)
    rig.shard.settle_names()
    (plain,) = rig.files()
    coded = encode(rig)
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO leaving (account_id, mailbox_id, path, at) VALUES (1, ?, ?, 0)",
            (rig.inbox.id, relative(rig, plain)),
        )
    rig.shard.sweep()
    assert coded.exists()


def test_append_beside_it(rig: Rig) -> None:
    rig.fill(1)
    encode(rig)
    rig.append(new())
    assert rig.shard.octets(HOME, rig.inbox.id, 2) == letter()
