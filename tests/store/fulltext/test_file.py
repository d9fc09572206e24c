"""The file: made by who holds the lock, not believed where it is of another release, index or nobody's."""

import sqlite3
from contextlib import closing

import pytest

from mailplat.db.engine import Damaged
from mailplat.store import Shard
from mailplat.store.fulltext.file import FILES
from mailplat.wire.imap import search as keys
from tests.store.conftest import HOME, Hints, Rig
from tests.store.fulltext.conftest import find, keep, scanned

KEY = keys.Text("number 3")


def change(rig: Rig, statement: str) -> None:
    with closing(sqlite3.connect(rig.path / "fulltext.db")) as file, file:
        file.execute(statement)


def is_read(rig: Rig) -> bool:
    with rig.shard.site.fulltext.read() as connection:
        return connection is not None


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 999",
        "UPDATE origin SET identity = 'another'",
        "UPDATE origin SET serial = serial + 1000",  # the index is an older one than this was made from
    ],
)
def test_a_file_of_something_else_is_made_anew(kept: Rig, statement: str) -> None:
    change(kept, statement)
    change(kept, "UPDATE block SET texts = replace(texts, '3', '4')")  # what it says is not so
    kept.reopen()
    assert find(kept, KEY) == [4]
    assert not is_read(kept)
    kept.shard.keep_texts()
    assert is_read(kept)
    keep(kept)
    change(kept, "UPDATE block SET texts = zeroblob(octets)")  # and now it is believed
    assert find(kept, KEY) == []


def test_a_damaged_file_is_made_anew(kept: Rig) -> None:
    kept.shard.site.fulltext.close()
    for name in FILES[1:]:
        (kept.path / name).unlink(missing_ok=True)
    (kept.path / FILES[0]).write_bytes(b"x" * 100_000)
    assert find(kept, KEY) == [4]
    with pytest.raises(Damaged), kept.shard.site.fulltext.read():
        pass
    kept.shard.keep_texts()
    assert not kept.shard.site.fulltext.exists
    keep(kept)
    assert is_read(kept)
    assert find(kept, KEY) == [4]


def test_a_file_without_tables_is_made_anew(rig: Rig) -> None:
    """What a crash between the two leaves."""
    rig.fill(4)
    (rig.path / FILES[0]).touch()
    assert find(rig, KEY) == [4]
    rig.shard.keep_texts()
    assert is_read(rig)


def test_who_has_an_old_file_open_finds_the_new_one(kept: Rig) -> None:
    other = Shard("s1", kept.path, Hints(), upkeep=False)
    assert other.search(HOME, kept.inbox.id, KEY) == [4]
    kept.shard.site.fulltext.remove()
    keep(kept)
    change(kept, "UPDATE block SET texts = zeroblob(octets)")
    assert other.search(HOME, kept.inbox.id, KEY) == []
    kept.shard.site.fulltext.remove()
    assert other.search(HOME, kept.inbox.id, KEY) == [4]
    other.close()


def test_one_process_at_a_time(kept: Rig) -> None:
    other = Shard("s1", kept.path, Hints(), upkeep=False)
    with other.site.fulltext.held() as theirs, kept.shard.site.fulltext.held() as ours:
        assert theirs
        assert not ours
    with kept.shard.site.fulltext.held() as ours:
        assert ours
    other.close()


def test_a_rebuild_removes_it(kept: Rig) -> None:
    kept.rebuild()
    assert not list(kept.path.glob("fulltext.db*"))
    assert find(kept, KEY) == scanned(kept.shard, KEY, kept.inbox.id) == [4]
