"""A backup, a prune and a restore of a shard, each cut short by kill -9 behind a named step. Run by test_crash.py.

python -m tests.store.backup.crash            reads lines "VERB FOLDER [STEP:N]" from stdin; for each it forks a
                                              child that does the verb in FOLDER, and prints a JSON line: exit
                                              status and how often each step was reached
"""

import errno
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mailplat.core import disk
from mailplat.core.hint import Hint
from mailplat.store import Shard
from mailplat.store.backup import Catalogue, Repository, back_up, prune, restore_shard


class Deaf:
    def publish(self, hint: Hint) -> None:
        pass


def other_filesystem(*_: object, **__: object) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def do(verb: str, folder: Path) -> None:
    repository = folder / "backup"
    if verb in ("run", "copy"):
        if verb == "copy":
            os.link = other_filesystem
        shard = Shard("s1", folder / "s1", Deaf(), upkeep=False)
        back_up(shard, Repository.create(repository, "s1"), [(1, "ann@example.test")], lambda: b"records")
        shard.close()
    elif verb == "prune":
        prune(Repository.open(repository), 1)
    else:
        opened = Repository.open(repository)
        with Catalogue(opened, opened.point()) as catalogue:
            restore_shard(folder / "target", catalogue, Deaf(), replace=True)


def run(verb: str, folder: Path, armed: str) -> dict[str, Any]:
    counts = folder / "steps"
    child = os.fork()
    if child == 0:
        os.environ[disk.DIE_AT] = armed
        disk._armed = disk._plan()  # as it would be read when a process starts
        reached: Counter[str] = Counter()
        original = disk.step

        def step(name: str) -> None:
            reached[name] += 1
            original(name)

        if not armed:
            disk.step = step
        status = 1
        try:
            do(verb, folder)
            counts.write_text(json.dumps(reached))
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    steps = json.loads(counts.read_text()) if counts.exists() else {}
    return {"status": os.waitstatus_to_exitcode(status), "steps": steps}


def main() -> None:
    for line in sys.stdin:
        verb, folder, *armed = line.split()
        print(json.dumps(run(verb, Path(folder), armed[0] if armed else "")), flush=True)


if __name__ == "__main__":
    main()
