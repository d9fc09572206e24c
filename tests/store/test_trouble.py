"""Disks that are full, indexes that are locked, processes that share a shard."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mailplat.core.errors import DiskFull, MailplatError, NotFound, Unavailable
from mailplat.store import StoreLimits
from mailplat.store.index.tables import metadata
from mailplat.store.repair import verify
from mailplat.store.vault.prune import purge
from tests.store.conftest import HOME, Rig, letter, new

ROOT = Path(__file__).resolve().parents[2]


def test_tables_and_revisions_agree(rig: Rig) -> None:
    with rig.shard.site.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        listed = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
    found = {row[0]: row[1] for row in listed}
    for table in metadata.sorted_tables:
        clustered = "WITHOUT ROWID" in found[table.name]
        assert clustered == (table.dialect_kwargs.get("sqlite_with_rowid") is False), table.name


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 8 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small tmpfs")
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)], capture_output=True, text=True
    )
    if mount.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mount.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_refuses_and_recovers(small: Path) -> None:
    rig = Rig(small / "s1")
    stored = 0
    for number in range(1000):
        try:
            rig.append(new(letter(str(number), "x" * 99_998 + "\r\n")))
        except DiskFull:
            break
        stored += 1
    assert stored > 20
    for attempt in (
        lambda: rig.append(*(new(letter(text="y" * 99_998)) for _ in range(30))),
        lambda: rig.deliver([(HOME, "INBOX", 0)], new(b"z" * 4_000_000)),
    ):
        with pytest.raises(DiskFull):
            attempt()
    assert rig.inbox.messages == len(rig.files()) == stored
    assert not os.listdir(rig.shard.tmp)  # nothing half stored
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 10)])
    rig.shard.sweep()
    with pytest.raises(DiskFull):  # the vault has them: for its days nothing is removed
        rig.append(new(b"fits again"))
    assert purge(rig.shard.site, HOME.account_id) == 10
    rig.shard.sweep()
    (done,) = rig.append(new(b"fits again"))
    assert rig.shard.octets(HOME, rig.inbox.id, done.uid) == b"fits again"
    assert verify(rig.shard, sweep_hours=0).problems == []
    rig.close()


def test_a_disk_full_to_the_last_block_keeps_what_it_has(small: Path) -> None:
    """Not even the index can grow."""
    rig = Rig(small / "s1")
    rig.fill(20)
    ballast = os.open(small / "ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(ballast, b"\0" * 4096)
    os.close(ballast)
    before = rig.shard.snapshot(HOME, rig.inbox.id)
    refused = 0
    for number in range(40):
        for change in (
            lambda number=number: rig.append(new(letter("x" * 900 + str(number), "y" * 4096))),
            lambda number=number: rig.shard.create(HOME, f"box {number}"),
            lambda number=number: rig.shard.store_flags(
                HOME, rig.inbox.id, None, "set", [f"k{number}" * 10, "\\Seen"]
            ),
        ):
            try:
                change()
            except DiskFull:
                refused += 1
    assert refused
    assert rig.shard.snapshot(HOME, rig.inbox.id).uids[:20] == before.uids
    (small / "ballast").unlink()
    rig.fill(1)
    assert len(dict(rig.shard.octets_many(HOME, rig.inbox.id, None))) == rig.inbox.messages
    assert verify(rig.shard, sweep_hours=0).problems == []
    rig.close()


def test_a_locked_index_is_unavailable_once_for_all_who_wait(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(lock_wait=0.3))
    rig.append(new())
    locker = sqlite3.connect(tmp_path / "s1" / "index.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")

    async def all_at_once() -> list[object]:
        calls = [rig.store.append(HOME, "INBOX", [new()]) for _ in range(30)]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    began = time.monotonic()
    results = asyncio.run(all_at_once())
    assert all(isinstance(result, Unavailable) for result in results)
    assert time.monotonic() - began < 30 * 0.3 / 2  # not one after the other
    assert list(rig.shard.snapshot(HOME, rig.inbox.id).uids) == [1]  # readers go on
    locker.execute("ROLLBACK")
    locker.close()
    assert rig.append(new())[0].uid == 2
    assert len(rig.files()) == 2
    assert not os.listdir(rig.shard.tmp)
    rig.close()


def test_two_processes_share_a_shard(tmp_path: Path) -> None:
    """Each has its own writer, caches and namer."""
    one, two = Rig(tmp_path / "s1", upkeep=True), Rig(tmp_path / "s1", upkeep=True)

    async def work(rig: Rig, name: str) -> list[int]:
        uids: list[int] = []
        for number in range(15):
            done = await rig.store.append(
                HOME, "INBOX", [new(f"{name}{number}.{n}".encode()) for n in range(3)]
            )
            uids += [each.uid for each in done]
            call = rig.executors.run
            await call("store", rig.shard.store_flags, HOME, 1, None, "add", [f"{name}{number % 4}"])
            await call("store", rig.shard.expunge_uids, HOME, 1, [(uids[0], uids[0])])
            del uids[0]
        return uids

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: asyncio.run(work(one, "a")))
        second = pool.submit(lambda: asyncio.run(work(two, "b")))
        kept = first.result() + second.result()
    assert sorted(kept) == list(one.shard.snapshot(HOME, 1).uids)
    assert one.shard.snapshot(HOME, 1) == two.shard.snapshot(HOME, 1)
    assert one.inbox.uidnext == 91
    one.close()
    two.close()
    rig = Rig(tmp_path / "s1")
    report = verify(rig.shard, sweep_hours=0)
    assert (report.problems, report.swept, report.messages) == ([], 0, 60)
    rig.close()


def test_a_mailbox_deleted_or_renamed_by_another_process(tmp_path: Path) -> None:
    one, two = Rig(tmp_path / "s1"), Rig(tmp_path / "s1")
    one.shard.create(HOME, "Box")
    one.append(new(), mailbox="Box")
    two.shard.rename(HOME, "Box", "Elsewhere")
    with pytest.raises(NotFound):
        one.append(new(), mailbox="Box")
    two.shard.create(HOME, "Box")
    one.append(new(b"into the new one"), mailbox="Box")
    two.shard.delete(HOME, "Box")
    two.shard.sweep()
    with pytest.raises(NotFound):
        one.append(new(), mailbox="Box")
    two.shard.create(HOME, "Box")
    assert one.append(new(), mailbox="Box")[0].uid == 1
    assert one.shard.mailbox(HOME, "Elsewhere").messages == 1
    assert not os.listdir(one.shard.tmp)
    one.close()
    two.close()


def test_every_verb_at_once(rig: Rig) -> None:
    """Nothing but expected refusals, and a shard in order at the end."""
    rig.fill(20)
    wrong: list[BaseException] = []

    def run(*verbs: object) -> None:
        for _ in range(12):
            for verb in verbs:
                try:
                    verb()  # type: ignore[operator]
                except MailplatError:
                    pass
                except BaseException as error:  # noqa: BLE001 - told to the test
                    wrong.append(error)

    shard, inbox = rig.shard, rig.inbox.id
    work = [
        (lambda: rig.append(new(), new()), lambda: rig.append(new(), mailbox="A")),
        (
            lambda: shard.create(HOME, "A"),
            lambda: shard.rename(HOME, "A", "B/C"),
            lambda: shard.delete(HOME, "B/C"),
        ),
        (lambda: shard.copy(HOME, inbox, [(1, 5)], "A"), lambda: shard.move(HOME, inbox, [(6, 8)], "A")),
        (
            lambda: shard.store_flags(HOME, inbox, None, "add", ["x"]),
            lambda: shard.expunge_uids(HOME, inbox, [(9, 9)]),
        ),
        (shard.settle_names, shard.sweep, lambda: shard.snapshot(HOME, inbox)),
    ]
    threads = [threading.Thread(target=run, args=verbs) for verbs in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert verify(shard, sweep_hours=0).problems == []


_LARGE = """
import asyncio, resource, sys, tempfile
from pathlib import Path
from tests.store.conftest import HOME, Rig
from mailplat.core.spool import Body
from mailplat.store import NewMessage
rig = Rig(Path(tempfile.mkdtemp(dir=sys.argv[1])) / "s1")
body = Body.create(rig.shard.tmp)
body.write(b"Subject: large\\r\\nMIME-Version: 1.0\\r\\n")
body.write(b"Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\n--b\\r\\n\\r\\n")
rig.append(NewMessage(Body.of(b"warm")))
line = b"x" * 76 + b"\\r\\n"
for _ in range(50 * 1024 * 1024 // len(line) // 1000):
    body.write(line * 1000)
body.write(b"\\r\\n--b--\\r\\n")
def private():
    return int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1])
before = private()
peak = 0
async def watch(task):
    global peak
    while not task.done():
        peak = max(peak, private() - before)
        await asyncio.sleep(0.002)
async def main():
    task = asyncio.ensure_future(rig.store.append(HOME, "INBOX", [NewMessage(body)]))
    await watch(task)
    return await task
(done,) = asyncio.run(main())
assert rig.shard.rows(HOME, 1, [(done.uid, done.uid)], ["size"])[0][0] == body.size
print(peak)
"""


def test_a_large_message_costs_no_memory_of_ours(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured in /proc")
    done = subprocess.run(
        [sys.executable, "-c", _LARGE, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert int(done.stdout) < 5 * 1024  # KiB, for 50 MiB of message


def test_a_shard_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "s1").write_text("a file, not a folder")
    with pytest.raises(Unavailable):
        Rig(tmp_path / "s1")


def test_an_unknown_shard(rig: Rig) -> None:
    with pytest.raises(NotFound, match="known: s1"):
        rig.store.shard("s9")


def test_a_closed_store_refuses(rig: Rig) -> None:
    rig.close()
    with pytest.raises(Unavailable):
        rig.shard.grant(5, 1)
