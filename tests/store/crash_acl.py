"""Rights given and taken, cut short by kill -9 after each step of the table in store/acl.py. Run as a program by
test_acl.py: it prints a JSON line for each step, with what the index says then, and what a rebuild without it.

    python -m tests.store.crash_acl FOLDER
"""

import json
import os
import sys
from pathlib import Path

from mailplat.core import disk
from mailplat.core.rights import parse, render
from mailplat.store import Shard
from mailplat.store.repair import rebuild
from tests.store.conftest import HOME
from tests.store.crash import Deaf

BOB = "bob@example.test"
STEPS = ("mailbox.write", "mailbox.fsync", "mailbox.rename", "mailbox.dirsync", "index.apply", "index.commit")


def opened(folder: Path, *, mend: bool = False) -> Shard:
    return Shard("s1", folder / "s1", Deaf(), upkeep=False, mend=mend)


def rights(shard: Shard) -> str:
    entry = shard.acl(HOME, shard.mailbox(HOME, "INBOX").id).get(BOB)
    return "" if entry is None else render(entry.rights)


def change(shard: Shard, letters: str) -> None:
    shard.change_acl(HOME, shard.mailbox(HOME, "INBOX").id, BOB, 2, "", parse(letters))


def cut_short(folder: Path, before: str, after: str, step: str) -> dict[str, object]:
    folder.mkdir()
    shard = opened(folder)
    shard.grant(HOME.account_id, HOME.epoch)
    change(shard, before)
    shard.close()
    child = os.fork()
    if child == 0:
        try:
            shard = opened(folder)
            disk._armed = {step: 1}
            change(shard, after)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    shard = opened(folder)
    index = rights(shard)
    shard.close()
    for path in (folder / "s1").glob("index.db*"):
        path.unlink()
    shard = opened(folder, mend=True)
    rebuild(shard)
    file = rights(shard)
    shard.close()
    return {"step": step, "status": os.waitstatus_to_exitcode(status), "index": index, "file": file}


def main() -> None:
    root = Path(sys.argv[1])
    for before, after in (("lr", ""), ("l", "lr")):
        for step in STEPS:
            found = cut_short(root / f"{before}-{step}", before, after, step)
            print(json.dumps(found | {"before": before, "after": after}), flush=True)


if __name__ == "__main__":
    main()
