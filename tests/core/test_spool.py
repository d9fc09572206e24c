"""core/spool.py: bounded memory, what save leaves on disk, and how a disk's refusals look."""

import errno
import os
import random
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import DiskFull, Unavailable
from mailplat.core.spool import MEMORY_LIMIT, Body
from tests.core.limited import files_of_at_most

BLOCK = bytes(range(256)) * 256  # 64 KiB


def test_a_small_body_makes_no_file(tmp_path: Path) -> None:
    body = Body.create(tmp_path / "does not exist")
    body.write(b"Subject: x\r\n")
    body.write(b"\r\nhello\r\n")
    assert body.in_memory
    assert body.octets() == b"Subject: x\r\n\r\nhello\r\n"
    assert body.size == 21


def test_a_big_body_costs_bounded_memory_and_leaves_no_name(tmp_path: Path) -> None:
    body = Body.create(tmp_path)
    tracemalloc.start()
    for _ in range(800):  # 50 MiB
        body.write(BLOCK)
    body.save(tmp_path / "kept", b"Received: us\r\n", "test")
    with body.open() as reader:
        assert sum(len(piece) for piece in iter(lambda: reader.read(65536), b"")) == 800 * len(BLOCK)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert body.size == 800 * len(BLOCK)
    assert peak < 2 * 1024 * 1024
    assert os.listdir(tmp_path) == ["kept"]
    body.close()


@pytest.mark.parametrize("blocks", [0, 1, 4, 5, 40])
def test_save_writes_prefix_and_octets(tmp_path: Path, blocks: int) -> None:
    body = Body.create(tmp_path)
    for _ in range(blocks):
        body.write(BLOCK)
    body.save(tmp_path / "kept", b"Received: us\r\n", "test")
    assert (tmp_path / "kept").read_bytes() == b"Received: us\r\n" + BLOCK * blocks
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP])
def test_save_copies_by_hand_where_the_kernel_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    body = Body.create(tmp_path)
    octets = random.Random(7).randbytes(3 * MEMORY_LIMIT + 17)
    body.write(octets)
    body.save(tmp_path / "kept", b"prefix\r\n", "test")
    assert (tmp_path / "kept").read_bytes() == b"prefix\r\n" + octets


def test_save_goes_on_by_hand_after_a_partial_copy_in_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.copy_file_range, []

    def once(source: int, target: int, count: int, offset: int) -> int:
        calls.append(offset)
        return real(source, target, 1000, offset) if len(calls) == 1 else 0

    monkeypatch.setattr(os, "copy_file_range", once)
    body = Body.create(tmp_path)
    octets = random.Random(8).randbytes(2 * MEMORY_LIMIT)
    body.write(octets)
    body.save(tmp_path / "kept", b"", "test")
    assert (tmp_path / "kept").read_bytes() == octets
    assert calls == [0, 1000]


def test_a_filesystem_without_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: object, flags: int, mode: int = 0o777, **more: object) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, mode, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    body = Body.create(tmp_path, memory_limit=10)
    body.write(b"x" * 100)
    assert not body.in_memory
    assert body.octets() == b"x" * 100
    assert os.listdir(tmp_path) == []


def test_save_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"first")
    with pytest.raises(Unavailable, match="File exists"):
        Body.of(b"second").save(tmp_path / "kept", b"", "test")
    assert (tmp_path / "kept").read_bytes() == b"first"


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Body.of(b"x").save(tmp_path / "gone" / "kept", b"", "test")
    body = Body.create(tmp_path / "gone", memory_limit=1)
    with pytest.raises(Unavailable):
        body.write(b"more than one")


def test_a_full_disk_is_disk_full_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = Body.create(tmp_path)
    for _ in range(8):
        body.write(BLOCK)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(DiskFull, match="No space"):
        body.save(tmp_path / "kept", b"prefix", "test")
    with pytest.raises(DiskFull):
        body.write(BLOCK)
    assert os.listdir(tmp_path) == []


def fill(body: Body) -> None:
    for _ in range(40):
        body.write(BLOCK)


def test_a_real_full_tmpfs(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"cannot mount a small tmpfs here: {made.stderr.decode().strip()}")
    try:
        body = Body.create(mount)
        with pytest.raises(DiskFull):
            fill(body)
        body.close()
        again = Body.create(mount)  # the space came back
        again.write(BLOCK * 6)
        with pytest.raises(DiskFull):
            again.save(mount / "kept", BLOCK * 8, "test")
        assert os.listdir(mount) == []
        again.close()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_the_file_size_limit_of_the_process_is_unavailable(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from pathlib import Path
from mailplat.core.errors import DiskFull, Unavailable
from mailplat.core.spool import Body
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    Body.of(b"x" * 200_000).save(Path({str(tmp_path)!r}) / "kept", b"", "test")
except Unavailable as error:
    print(type(error).__name__, "File too large" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Unavailable True\n"
    assert os.listdir(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


@pytest.mark.parametrize("at", ["test.write", "test.fsync"])
def test_save_names_its_durable_steps(tmp_path: Path, at: str) -> None:
    program = f"""
from pathlib import Path
from mailplat.core.spool import Body
Body.of(b"whole").save(Path({str(tmp_path)!r}) / "kept", b"", "test")
"""
    environment = {**os.environ, "MAILPLAT_DIE_AT": at}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -9
    assert (tmp_path / "kept").read_bytes() == b"whole"


def test_several_readers_at_once(tmp_path: Path) -> None:
    body = Body.create(tmp_path, memory_limit=10)
    octets = random.Random(3).randbytes(600_000)
    body.write(octets)
    one, two = body.open(), body.open()
    assert one.read(1000) == octets[:1000]
    assert two.read(300_000) == octets[:300_000]
    assert one.read() == octets[1000:]
    two.seek(-10, os.SEEK_END)
    assert two.read() == octets[-10:]


@given(
    octets=st.binary(max_size=300),
    limit=st.sampled_from([0, 10, 1000]),
    heads=st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=40)), max_size=3),
    cut=st.integers(0, 350),
)
def test_a_replaced_head_reads_the_same_everywhere(
    tmp_path_factory: pytest.TempPathFactory,
    octets: bytes,
    limit: int,
    heads: list[tuple[int, bytes]],
    cut: int,
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    body = Body.create(folder, memory_limit=limit)
    body.write(octets)
    expected = octets
    for wanted, head in heads:
        length = min(wanted, len(expected))
        body.replace_head(length, head)
        expected = head + expected[length:]
    assert body.size == len(expected)
    assert body.octets() == expected
    assert body.head(cut) == expected[:cut]
    assert body.open().read() == expected
    body.save(folder / "kept", b"P", "test")
    assert (folder / "kept").read_bytes() == b"P" + expected
    body.close()
    body.close()


@pytest.mark.parametrize("before", [0, MEMORY_LIMIT - len(BLOCK), 2 * MEMORY_LIMIT])
def test_a_body_is_carried_elsewhere_after_a_write_that_was_refused(tmp_path: Path, before: int) -> None:
    """Whether it was in memory still, was going to a file (which then has a part of it), or was in one."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    octets = random.Random(before).randbytes(before)
    body = Body.create(tmp_path / "here")
    for start in range(0, before, len(BLOCK)):
        body.write(octets[start : start + len(BLOCK)])
    with (
        files_of_at_most(before * 3 // 4 if before <= MEMORY_LIMIT else before + 100),
        pytest.raises(Unavailable),
    ):
        body.write(BLOCK * 8)
    with pytest.raises(Unavailable):
        body.carry(tmp_path / "nowhere", BLOCK * 8)
    carried = body.carry(tmp_path / "there", BLOCK * 8)
    assert carried.octets() == octets + BLOCK * 8
    assert body.size == 0


def test_a_complete_body_takes_no_more() -> None:
    body = Body.of(b"x")
    with pytest.raises(ValueError, match="complete"):
        body.write(b"y")
