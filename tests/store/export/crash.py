"""Exports of one shard, each cut short by kill -9 after a named step. Run as a program by test_crash.py.

python -m tests.store.export.crash FOLDER     FOLDER/s1 is the shard. Reads lines "STEP[:N]" or "" from stdin; for
                                              each it forks a child that exports into FOLDER/<number>, and prints
                                              a JSON line: exit status and how often each step was reached
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mailplat.core import disk
from mailplat.store import Shard
from mailplat.store.export import export
from tests.store.crash import Deaf
from tests.store.export.conftest import ANN


def run(root: Path, number: int, armed: str) -> dict[str, Any]:
    counts = root / f"{number}.steps"
    child = os.fork()
    if child == 0:
        os.environ[disk.DIE_AT] = armed
        disk._armed = disk._plan()  # as it would be read when a process starts
        reached: Counter[str] = Counter()
        original = disk.step

        def step(name: str) -> None:
            reached[name] += 1
            original(name)

        disk.step = step
        status = 1
        try:
            shard = Shard("s1", root / "s1", Deaf(), upkeep=False)
            export(shard, root / str(number), "dovecot", [ANN])
            counts.write_text(json.dumps(reached))
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    steps = json.loads(counts.read_text()) if counts.exists() else {}
    return {"status": os.waitstatus_to_exitcode(status), "steps": steps}


def main() -> None:
    for number, line in enumerate(sys.stdin):
        print(json.dumps(run(Path(sys.argv[1]), number, line.strip())), flush=True)


if __name__ == "__main__":
    main()
