"""What a worker asks of the system before it begins."""

import subprocess
import sys

import pytest

# Blocks below the size that glibc maps one by one, in threads that all live at once; then the heaps of threads, which
# glibc aligns to 64 MiB.
_PROGRAM = """
import sys, threading
from mailplat.app.supervisor import use_one_arena
if sys.argv[1:]:
    use_one_arena()
together = threading.Barrier(9)
def fill():
    kept = [bytes(50_000) for _ in range(20)]
    together.wait()
    together.wait()
threads = [threading.Thread(target=fill) for _ in range(8)]
for thread in threads: thread.start()
together.wait()
with open("/proc/self/maps") as maps:
    starts = [int(line.split("-")[0], 16) for line in maps if len(line.split()) == 5]
together.wait()
print(sum(start % (64 << 20) == 0 for start in starts))
"""


def heaps(*arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_threads_share_one_heap() -> None:
    apart = heaps()
    if apart < 4:
        pytest.skip("this C library gives threads no heaps of their own")
    assert heaps("one") <= 1  # something else may lie there by chance
