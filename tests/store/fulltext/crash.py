"""Text that is kept and removed, cut short by kill -9 after a named step. Run as a program by test_crash.py.

python -m tests.store.fulltext.crash FOLDER     reads lines "STEP[:N]" or "" from stdin; for each it forks a child
                                                that lives in FOLDER/<number>, and prints its exit status and
                                                which steps were reached, a JSON line
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from mailplat.core import disk
from mailplat.store import StoreLimits
from mailplat.wire.imap import search as keys
from tests.store.conftest import HOME, Rig, letter, new

EVERYTHING = keys.Or((keys.Text("secret"), keys.Header("subject", "secret")))


def begin(folder: Path) -> None:
    """Once: to make a shard takes longer than what is tested."""
    rig = Rig(folder / "s1")
    rig.append(*(new(letter(f"secret{n}", f"hidden{n}\r\n")) for n in range(4)))
    rig.close()


def live(folder: Path) -> None:
    shutil.copytree(folder.parent / "begun", folder, dirs_exist_ok=True)
    rig = Rig(folder / "s1")
    rig.shard.search(HOME, rig.inbox.id, EVERYTHING)
    rig.shard.keep_texts()
    rig.append(*(new(letter(f"secret{n}", f"hidden{n}\r\n")) for n in range(4, 6)))
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 3)])
    rig.shard.keep_texts()
    rig.append(new(letter("secret6", "hidden6\r\n")))
    rig.limits = StoreLimits(fulltext="off")
    rig.reopen()
    rig.shard.keep_texts()
    rig.close()


def run(folder: Path, armed: str, what: Callable[[Path], None] = live) -> dict[str, object]:
    folder.mkdir()
    reached = folder / "steps"
    child = os.fork()
    if child == 0:
        os.environ[disk.DIE_AT] = armed
        disk._armed = disk._plan()  # as it would be read when a process starts
        original = disk.step

        def step(name: str) -> None:
            with open(reached, "a") as file:
                file.write(f"{name}\n")
            original(name)

        disk.step = step
        status = 1
        try:
            what(folder)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return {"status": os.waitstatus_to_exitcode(status), "steps": reached.read_text().split()}


def main() -> None:
    run(Path(sys.argv[1]) / "begun", "", begin)
    for number, line in enumerate(sys.stdin):
        print(json.dumps(run(Path(sys.argv[1]) / str(number), line.strip())), flush=True)


if __name__ == "__main__":
    main()
