"""A shard whose index, or whose disk, is not the one that belongs there is refused, and nothing of it is changed."""

import contextlib
import multiprocessing
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.core.errors import Unavailable
from mailplat.db.engine import Database
from mailplat.directory.shards import ShardRegister
from mailplat.store import Shard, Store, StoreLimits, identity
from mailplat.store.identity import Expected, Refused, read_file
from mailplat.store.repair import verify
from tests.store.conftest import HOME, Hints, Rig, letter, new


def open_shard(path: Path, **more: object) -> Shard:
    return Shard("s1", path, Hints(), upkeep=False, **more)  # type: ignore[arg-type]


def entries(path: Path) -> dict[str, bytes]:
    """Every file but the locks."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and "lock" not in file.name
    }


def refusal(path: Path, **more: object) -> str:
    """The kind; what is there stays as it is."""
    before = entries(path)
    with pytest.raises(Refused, match=r"shard (rebuild|adopt|restore)") as caught:
        open_shard(path, **more)
    after = entries(path)
    assert {name: octets for name, octets in after.items() if not name.startswith("index.db")} == {
        name: octets for name, octets in before.items() if not name.startswith("index.db")
    }
    return caught.value.kind


def remove_index(path: Path) -> None:
    for file in path.glob("index.db*"):
        file.unlink()


@pytest.fixture
def shard(rig: Rig) -> Path:
    """Of a shard with a message, that nobody has open."""
    rig.append(new(letter("Kept")))
    rig.shard.settle_names()
    rig.store.close()
    return rig.path


class TestIndex:
    @pytest.mark.parametrize("damage", ["removed", "emptied", "without tables"])
    def test_missing(self, shard: Path, damage: str) -> None:
        remove_index(shard)
        if damage == "emptied":
            (shard / "index.db").touch()
        elif damage == "without tables":
            database = Database(f"sqlite:///{shard}/index.db")
            with database.write() as connection:
                connection.exec_driver_sql("CREATE TABLE x (y)")
            database.close()
        assert refusal(shard) == identity.MISSING
        (shard / "shard.json").unlink()
        assert refusal(shard) == identity.MISSING, "there are accounts"

    def test_damaged(self, rig: Rig, shard: Path) -> None:
        remove_index(shard)
        (shard / "index.db").write_bytes(b"not a database, certainly\n" * 1000)
        assert refusal(shard) == identity.DAMAGED
        assert [problem.kind for problem in rig.rebuild().problems] == [identity.DAMAGED]
        assert rig.inbox.messages == 1
        (aside,) = shard.glob("replaced-*.db")
        assert aside.read_bytes().startswith(b"not a database")

    def test_of_another_shard(self, rig: Rig, shard: Path, tmp_path: Path) -> None:
        other = Rig(tmp_path / "other")
        other.append(new(letter("Not yours")), new(), new())
        other.shard.subscribe(HOME, "not yours", True)
        other.close()
        remove_index(shard)
        shutil.copy(other.path / "index.db", shard)
        assert refusal(shard) == identity.FOREIGN_INDEX
        rig.rebuild()
        assert rig.inbox.messages == 1
        assert rig.shard.subscriptions(HOME) == []
        assert verify(rig.shard, sweep_hours=0).problems == []

    def test_older_by_one_write(self, rig: Rig, shard: Path) -> None:
        """Each process notes before its first write that it writes."""
        old = (shard / "index.db").read_bytes()
        rig.reopen()
        (seen,) = rig.append(new(letter("Seen by a client")))
        rig.store.close()
        remove_index(shard)
        (shard / "index.db").write_bytes(old)
        assert refusal(shard) == identity.OLDER
        rig.rebuild()
        (later,) = rig.append(new())
        assert later.uid > seen.uid

    def test_older_within_the_life_of_a_process(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path / "s1", StoreLimits(serial_seconds=0))
        rig.append(new())
        backup = tmp_path / "old.db"
        with contextlib.closing(sqlite3.connect(rig.path / "index.db")) as connection:
            connection.execute(f"VACUUM INTO '{backup}'")
        rig.append(new())
        rig.close()
        remove_index(rig.path)
        shutil.copy(backup, rig.path / "index.db")
        assert refusal(rig.path) == identity.OLDER

    def test_unmarked(self, rig: Rig, shard: Path) -> None:
        said = read_file(shard)
        assert said is not None
        for text in ("", "[]", "{"):
            (shard / "shard.json").write_text(text)
            assert refusal(shard) == identity.UNMARKED
        (shard / "shard.json").unlink()
        assert refusal(shard) == identity.UNMARKED
        rig.rebuild()
        again = read_file(shard)
        assert again is not None
        assert again.identity == said.identity
        assert rig.inbox.messages == 1

    def test_of_an_earlier_release_is_taken_once(self, shard: Path) -> None:
        database = Database(f"sqlite:///{shard}/index.db")
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM shard")
        database.close()
        early = (shard / "index.db").read_bytes()
        assert refusal(shard) == identity.OLDER, "the file says that a later release was here"
        (shard / "shard.json").unlink()
        opened = open_shard(shard)
        opened.grant(2, 1)
        opened.close()
        (shard / "index.db").write_bytes(early)
        assert refusal(shard) == identity.OLDER

    def test_a_rebuild_that_was_cut_short_is_not_opened(
        self, rig: Rig, shard: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*_: object) -> None:
            raise Unavailable("stop")

        remove_index(shard)
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["mailplat.store.repair.rebuild"], "recover", stop)
            with pytest.raises(Unavailable, match="stop"):
                rig.rebuild()
        assert refusal(shard) == identity.OLDER
        rig.rebuild()
        assert rig.inbox.messages == 1

    @pytest.mark.parametrize("what", ["removed", "replaced"])
    def test_it_goes_while_it_is_in_use(self, rig: Rig, what: str) -> None:
        rig.append(new())
        rig.limits = StoreLimits(serial_seconds=0)
        rig.reopen()
        rig.append(new())
        index = rig.path / "index.db"
        if what == "replaced":
            shutil.copy(index, rig.path / "copy")
            os.replace(rig.path / "copy", index)
        else:
            index.unlink()
        with pytest.raises(Unavailable, match="removed or replaced while it was in use"):
            rig.append(new())
        with pytest.raises(Unavailable, match="removed or replaced"):
            rig.shard.site.seal.check()
        assert not os.listdir(rig.shard.tmp)


def test_a_shard_copied_back_whole_is_opened(rig: Rig, shard: Path, tmp_path: Path) -> None:
    shutil.copytree(shard, tmp_path / "snapshot")
    rig.reopen()
    rig.append(new())
    rig.store.close()
    shutil.rmtree(shard)
    shutil.copytree(tmp_path / "snapshot", shard)
    rig.reopen()
    assert rig.inbox.messages == 1


def _make(path: str, start: "multiprocessing.synchronize.Event") -> None:
    start.wait()
    shard = open_shard(Path(path))
    shard.grant(os.getpid(), 1)
    shard.close()


def test_processes_that_make_a_shard_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    path = tmp_path / "s1"
    workers = [context.Process(target=_make, args=(str(path), start)) for _ in range(4)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    shard = open_shard(path)
    with shard.site.read() as connection:
        row = identity.read_row(connection)
        assert connection.exec_driver_sql("SELECT count(*) FROM account").scalar() == 4
    shard.close()
    assert row == read_file(path)
    assert row is not None
    assert row.serial == 5


class TestPlatform:
    """What the platform's database knows of its shards."""

    @pytest.fixture
    def register(self, tmp_path: Path) -> ShardRegister:
        from mailplat.db import schema

        database = Database(f"sqlite:///{tmp_path}/platform.db")
        schema.upgrade(database, "platform")
        return ShardRegister(database)

    @pytest.fixture
    def make(self, rig: Rig, register: ShardRegister) -> Callable[[Path], Store]:
        def make(path: Path) -> Store:
            return Store({"s1": path}, rig.executors, rig.hints, upkeep=False, registry=register)  # type: ignore[arg-type]

        return make

    def test_an_empty_directory(
        self, tmp_path: Path, register: ShardRegister, make: Callable[[Path], Store]
    ) -> None:
        path = tmp_path / "disk"
        store = make(path)
        assert register.expected("s1")[1] == ""
        said = store.shard("s1").site.seal.identity
        store.close()
        assert register.expected("s1")[1] == said
        shutil.move(path, tmp_path / "away")
        for prepare in (lambda: None, path.mkdir, (path / "tmp").mkdir, (path / "lost+found").mkdir):
            prepare()
            before = list(tmp_path.rglob("disk/**/*"))
            for attempt in (lambda: make(path).shard("s1"), lambda: make(path).mending("s1").__enter__()):
                with pytest.raises(Refused, match="mount its disk") as caught:
                    attempt()
                assert caught.value.kind == identity.ABSENT
            assert list(tmp_path.rglob("disk/**/*")) == before
        shutil.rmtree(path)
        shutil.move(tmp_path / "away", path)
        store = make(path)
        store.shard("s1")
        store.close()

    def test_the_disk_of_another_shard(
        self, rig: Rig, register: ShardRegister, make: Callable[[Path], Store], tmp_path: Path
    ) -> None:
        store = make(tmp_path / "mine")
        store.shard("s1")
        store.close()
        rig.store.close()
        assert refusal(rig.path, expected=Expected(*register.expected("s1"))) == identity.FOREIGN_SHARD

    def test_two_platforms_and_one_shard(
        self, register: ShardRegister, make: Callable[[Path], Store], tmp_path: Path
    ) -> None:
        path = tmp_path / "disk"
        store = make(path)
        store.shard("s1").grant(1, 1)
        store.close()
        other = Expected("another platform")
        assert refusal(path, expected=other) == identity.FOREIGN_SHARD
        said = identity.adopt("s1", path, "another platform")
        shard = open_shard(path, expected=other)
        shard.grant(2, 1)
        shard.close()
        assert register.expected("s1")[1] == said
        with pytest.raises(Refused, match="belongs to another platform"):
            make(path).shard("s1")
