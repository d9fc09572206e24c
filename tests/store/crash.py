"""A day in the life of a shard, cut short by kill -9 after a named step. Run as a program by test_crash.py.

    python -m tests.store.crash FOLDER            reads lines "STEP[:N]" or "" from stdin; for each it forks a child
                                                  that lives the day in FOLDER/<number>, and prints a JSON line:
                                                  exit status and how often each step was reached

Beside the shard the child writes a ledger, one JSON line before each operation and one after it: what the caller of
the store was told. The page cache survives kill -9, so that the ledger does.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mailplat.core import disk
from mailplat.core.executors import Executors
from mailplat.core.hint import Hint
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store import NewMessage, Shard, Store, StoreLimits
from mailplat.store.repair import rebuild
from mailplat.store.tombstones import forget_tombstones

ANN, BOB, EVE = (Residence(number, "s1", 1) for number in (1, 2, 3))

# Asked for, and never reached: the totals of account and pool must be those of the rows whatever happens.
QUOTA = Quota(1 << 20, "example.test", 1 << 20)


class Deaf:
    def publish(self, hint: Hint) -> None:
        pass


class Day:
    def __init__(self, folder: Path) -> None:
        self._ledger = open(folder / "ledger", "a")  # noqa: SIM115 - dies with the process
        self._executors = Executors({"spool": 2, "store": 2})
        limits = StoreLimits(tombstones=1)
        self._store = Store({"s1": folder / "s1"}, self._executors, Deaf(), limits=limits, upkeep=False)  # type: ignore[arg-type]
        self._shard = self._store.shard("s1")
        self._count = 0

    def live(self) -> None:
        shard = self._shard
        for home in (ANN, BOB, EVE):
            shard.grant(home.account_id, home.epoch)
        with self._noted("create", ANN, "Box"):
            shard.create(ANN, "Box")
        self._append(ANN, "INBOX", 3)
        self._append(ANN, "INBOX", 1, uid=1500)  # beyond the block of UIDs that is reserved
        self._deliver("INBOX", ANN, BOB, EVE)
        inbox, box = shard.mailbox(ANN, "INBOX").id, shard.mailbox(ANN, "Box").id
        with self._noted("flags", ANN, "INBOX", "\\Seen"):
            shard.store_flags(ANN, inbox, None, "add", ["\\Seen", "keyword"])
        self._copy("copy", "INBOX", inbox, 1, "Box")
        shard.settle_names()
        self._copy("move", "INBOX", inbox, 2, "Box")
        with self._noted("expunge", ANN, "INBOX", [3]):
            shard.expunge_uids(ANN, inbox, [(3, 3)])
        self._append(ANN, "Box", 2)
        shard.sweep()
        with self._noted("create", ANN, "Gone"):
            shard.create(ANN, "Gone")
        self._append(ANN, "Gone", 1)
        with self._noted("delete", ANN, "Gone"):
            shard.delete(ANN, "Gone")
        with self._noted("remove", EVE):
            shard.remove_account(EVE)
        shard.sweep()
        shard.settle_names()
        with self._noted("expunge", ANN, "Box", [1]):
            shard.expunge_uids(ANN, box, [(1, 1)])
        forget_tombstones(shard.site)
        self._append(BOB, "INBOX", 1)
        self._append(BOB, "INBOX", 20)  # many: one syncfs
        self._render_later()
        self._replace(ANN, "Box", box, 3, "INBOX")
        shard.sweep()
        shard.settle_names()
        self._store.close()

    def _render_later(self) -> None:
        """Messages that are rendered when somebody asks, behind, and never."""
        shard = self._shard
        with self._noted("create", BOB, "Old"):
            shard.create(BOB, "Old")
        self._append(BOB, "Old", 4, later=True)
        old = shard.mailbox(BOB, "Old").id
        assert shard.rows(BOB, old, [(1, 1)], ("message_id",)) == [("",)]
        with self._noted("expunge", BOB, "Old", [2]):
            shard.expunge_uids(BOB, old, [(2, 2)])
        shard.sweep()
        shard.render_all()

    def _append(
        self, home: Residence, mailbox: str, count: int, uid: int | None = None, *, later: bool = False
    ) -> None:
        texts = [self._text() for _ in range(count)]
        messages = [NewMessage(Body.of(text.encode()), uid=uid, render_later=later) for text in texts]
        append = self._store.append(home, mailbox, messages, quota=QUOTA)
        with self._noted("append", home, mailbox, texts) as told:
            told += [each.uid for each in asyncio.run(append)]

    def _replace(self, home: Residence, name: str, mailbox_id: int, uid: int, target: str) -> None:
        text = self._text()
        message = NewMessage(Body.of(text.encode()))
        append = self._store.append(home, target, [message], quota=QUOTA, replacing=(mailbox_id, uid))
        with self._noted("replace", home, name, uid, text, target) as told:
            told += [each.uid for each in asyncio.run(append)]

    def _deliver(self, mailbox: str, *homes: Residence) -> None:
        text = self._text()
        copies = [(home, mailbox, QUOTA) for home in homes]
        with self._noted("deliver", homes[0], mailbox, text, [home.account_id for home in homes]) as told:
            done = asyncio.run(self._store.deliver(copies, NewMessage(Body.of(text.encode()))))
            told += [each.uid for each in done]

    def _copy(self, verb: str, name: str, mailbox_id: int, uid: int, target: str) -> None:
        with self._noted(verb, ANN, name, uid, target) as told:
            uids = [(uid, uid)]
            if verb == "copy":
                told += self._shard.copy(ANN, mailbox_id, uids, target, quota=QUOTA).target_uids
            else:
                told += self._shard.move(ANN, mailbox_id, uids, target).target_uids

    def _text(self) -> str:
        self._count += 1
        return f"Subject: {self._count}\r\n\r\nmessage {self._count}\r\n"

    @contextmanager
    def _noted(self, verb: str, home: Residence, *arguments: Any) -> Iterator[list[Any]]:
        told: list[Any] = []
        self._note({"verb": verb, "account": home.account_id, "arguments": arguments})
        yield told
        self._note({"told": told})

    def _note(self, entry: dict[str, Any]) -> None:
        self._ledger.write(json.dumps(entry) + "\n")
        self._ledger.flush()


def repair(folder: Path) -> None:
    """A rebuild of what was prepared in `folder`."""
    shard = Shard("s1", folder / "s1", Deaf(), upkeep=False, mend=True)
    rebuild(shard)
    shard.close()


def run(folder: Path, armed: str) -> dict[str, Any]:
    """In a child process: the day, or a rebuild where the folder has a shard already."""
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
            if (folder / "s1").exists():
                repair(folder)
            else:
                Day(folder).live()
            counts.write_text(json.dumps(reached))
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    steps = json.loads(counts.read_text()) if counts.exists() else {}
    return {"status": os.waitstatus_to_exitcode(status), "steps": steps}


def main() -> None:
    root = Path(sys.argv[1])
    for number, line in enumerate(sys.stdin):
        folder = root / str(number)
        folder.mkdir(exist_ok=True)
        print(json.dumps(run(folder, line.strip())), flush=True)


if __name__ == "__main__":
    main()
