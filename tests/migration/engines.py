"""Engines that are killed: each a process of its own, over a platform's folder."""

import subprocess
import sys
from pathlib import Path

# A process that has imported everything and forks an engine for each line "ROOT STEP" that it reads: the engine runs
# until it dies after that step, for 60 s at most. It answers with how the engine ended.
SERVER = """
import asyncio, os, sys
from pathlib import Path
from mailplat.core import disk
from tests.migration.house import House
from tests.until import until

async def main(root):
    here = House(Path(root), None, [])
    async with here.engine():
        await until(lambda: False, 60)
    here.close()

for line in sys.stdin:
    root, step = line.split()
    if (child := os.fork()) == 0:
        os.environ[disk.DIE_AT] = step
        disk._armed.update(disk._plan())
        sys.stdout = sys.stderr
        asyncio.run(main(root))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Engines:
    """`run` starts one and waits for its end. Call it in a thread."""

    def __init__(self, script: str = SERVER) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, root: Path, step: str) -> int:
        """An engine that dies right after `step`; how it ended (subprocess.Popen.returncode)."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{root} {step}\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def close(self) -> None:
        self._server.communicate()
