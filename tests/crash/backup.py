"""`make backup-drill ROUNDS=10`: points are taken under full load, the platform is lost, and an empty one is restored
from them and compared with the ledger as it was when the point began.

    python -m tests.crash.backup [--rounds N] [--seed N] [--folder DIR]

Each round is a platform with a life of some seconds and a backup of each shard, taken twice. Then it is killed, and
another directory, made by `mailplat init`, is restored from one of the two points: directory rows, mail, all of it.
What was acknowledged before a point began must be there: whole, once, with its UIDVALIDITY, UID and flags, or where
it was moved to, unless it was expunged meanwhile. What came later may be there, and is whole. No UID that anybody was
ever shown names another message, also after new mail came into each mailbox.

Clients write to one shard each, so that one commit decides of each delivery: the queue is no part of a shard.
"""

import argparse
import copy
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.crash.clients import (
    ARCHIVE,
    INBOX,
    WORK,
    Client,
    Mailbox,
    Postman,
    Reader,
    Scene,
    Sender,
    Writer,
    look,
)
from tests.crash.drill import WORKERS, Drill
from tests.crash.inspection import Rows, read_rows
from tests.crash.ledger import Batch, Box, Flags, Key, Ledger
from tests.crash.workers import Nursery
from tests.rig import Rig

# Seconds of load before the first point, between the two, and after the second.
LOAD_S = 1.5
SHARDS = ("s1", "s2")
# Of the clients of each shard.
KINDS: list[type[Client]] = [Sender, Postman, Writer, Writer, Reader]
PROMISES = (
    "missing", "doubled", "torn", "changed", "reused", "returned", "uidvalidity", "modseq", "flags", "mailbox",
    "verify",
)  # fmt: skip


class Journal(Ledger):
    """A ledger that keeps what came of each message after a point began."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: dict[tuple[Key, str], set[Key]] = defaultdict(set)  # mailbox and token -> where to
        self.leaves: set[tuple[Key, str]] = set()  # an expunge of them began
        self.changes: dict[tuple[Key, int], list[Flags | None]] = defaultdict(list)  # None: not answered yet

    def begin(self, batch: Batch) -> None:
        with self.lock:
            super().begin(batch)
            if batch.source is not None:
                for token in batch.tokens:
                    self.moves[batch.source.key, token].add(batch.target.key)

    def expunging(self, box: Box, uids: Iterable[int]) -> None:
        with self.lock:
            uids = list(uids)
            super().expunging(box, uids)
            self.leaves.update((box.key, box.names[uid]) for uid in uids)

    def flagging(self, box: Box, uids: Iterable[int]) -> list[Flags]:
        with self.lock:
            uids = list(uids)
            for uid in uids:
                self.changes[box.key, uid].append(None)
            return super().flagging(box, uids)

    def flagged(self, box: Box, uids: Iterable[int], flags: Iterable[Flags]) -> None:
        with self.lock:
            uids, flags = list(uids), list(flags)
            for uid, each in zip(uids, flags, strict=True):
                self.changes[box.key, uid][-1] = each
            super().flagged(box, uids, flags)


@dataclass
class Moment:
    """What the world knew when a point began."""

    boxes: dict[Key, Box]
    exists: dict[Key, bool | None]


@dataclass
class Found:
    """A mailbox after the restore."""

    uidvalidity: int
    rows: Rows
    tokens: dict[int, str]


class BackupDrill(Drill):
    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        super().__init__(folder / "lost", seed, guests=0)
        self.ledger = self.journal = Journal()
        self.scene = Scene(self.ledger, self.rig.ports, self.scene.accounts)
        # Each shard's accounts by themselves (Drill makes them in turns).
        self.scenes = [replace(self.scene, accounts=self.scene.accounts[n::2], exists={}) for n in range(2)]
        self.points: dict[str, list[tuple[str, Moment]]] = {name: [] for name in SHARDS}

    @contextmanager
    def load(self) -> Iterator[None]:
        stop = threading.Event()
        clients = [
            kind(scene, number, random.Random(self.rng.random()), stop)
            for number, (scene, kind) in enumerate(itertools.product(self.scenes, KINDS))
        ]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            stop.set()
            for client in clients:
                client.join(60.0)
                if client.is_alive():
                    self.scene.errors.append(f"{client.name} hangs")

    def back_up(self) -> None:
        for number, name in enumerate(SHARDS):
            with self.ledger.lock:
                accounts = set(self.scenes[number].accounts)
                boxes = {key: box for key, box in self.ledger.boxes.items() if key[0] in accounts}
                moment = Moment(copy.deepcopy(boxes), dict(self.scenes[number].exists))
            acknowledged = self.ledger.counts["acknowledged"]
            done = self.rig.attempt("shard", "backup", "run", name, str(self.folder / name), "--json")
            if done.returncode:
                self.ledger.violated("verify", f"backup of {name}: {done.stderr}")
                continue
            (row,) = json.loads(done.stdout)
            self.points[name].append((row["point"], moment))
            self.ledger.counts["points"] += 1
            self.ledger.counts["acknowledged while points were taken"] += (
                self.ledger.counts["acknowledged"] - acknowledged
            )
            self.ledger.counts["messages in points"] += row["messages"]
            self.ledger.counts["octets read for points"] += row["read_octets"]
            self.ledger.counts["gone in points"] += row["gone"]

    def live(self, points: int = 2) -> None:
        """Until the platform is lost."""
        self.prepare()
        self.start_rest()
        with self.load():
            for _ in range(points):
                time.sleep(LOAD_S)
                self.back_up()
            time.sleep(LOAD_S / 2)
        for index in range(WORKERS):
            self.nursery.kill(index)
            self.bury(index, "")
        self.nursery.close()

    def restore(self, which: int) -> Rig:
        """A new machine."""
        rig = Rig(self.folder / f"new{which}")
        for name in SHARDS:
            point, _ = self.points[name][which]
            folder = str(self.folder / name)
            for command in (
                ("backup", "verify", folder, "--deep"),
                ("restore", name, folder, "--point", point, "--directory"),
                ("verify", name),
            ):
                try:
                    rig.call("shard", *command)
                except RuntimeError as error:
                    self.ledger.violated("verify", str(error))
        return rig

    def compare(self, which: int) -> None:
        rig = self.restore(which)
        nursery = Nursery(rig)
        try:
            nursery.start(0)
            for number, name in enumerate(SHARDS):
                scene = replace(self.scenes[number], ports=rig.ports)
                _, moment = self.points[name][which]
                for account in scene.accounts:
                    Comparison(self.journal, scene, account, moment).make()
        finally:
            nursery.close()


class Comparison:
    """One account of the new platform with what was acknowledged when its point began."""

    def __init__(self, journal: Journal, scene: Scene, account: str, moment: Moment) -> None:
        self.journal = journal
        self.scene = scene
        self.account = account
        self.moment = moment
        self.found: dict[str, Found] = {}

    def make(self) -> None:
        # A ledger of its own for what is read: what it finds torn counts, what it sees does not.
        reader = Mailbox(replace(self.scene, ledger=Ledger()), self.account)
        try:
            self.read_all(reader)
            self.compare()
            for name, found in self.found.items():
                self.append_to(reader, name, found)
        finally:
            reader.imap.close()
        self.journal.counts["messages compared"] += sum(len(found.rows) for found in self.found.values())
        for story in reader.ledger.stories:
            kind, _, rest = story.partition(": ")
            self.violated(kind, rest)

    def compare(self) -> None:
        self.compare_mailboxes()
        for (account, name), box in self.moment.boxes.items():
            if account == self.account and name in self.found:
                self.compare_box(box, self.found[name])
        for name, found in self.found.items():
            self.check_later(name, found)

    def violated(self, kind: str, story: str) -> None:
        self.journal.violated(kind, story)

    def read_all(self, reader: Mailbox) -> None:
        answer = reader.must(b'LIST "" "*"')
        names = [
            line.rsplit(b" ", 1)[1].strip(b'"').decode() for line, _ in answer.lines if b" LIST " in line
        ]
        for name in names:
            selected = reader.must(b"SELECT " + name.encode())
            rows = read_rows(reader.must(b"UID FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE)"))
            box = Box((self.account, name))
            tokens: dict[int, str] = {}
            uids = sorted(rows)
            for start in range(0, len(uids), 50):
                tokens |= look(reader, box, uids[start : start + 50])
            self.found[name] = Found(int(selected.code(b"UIDVALIDITY") or 0), rows, tokens)

    def compare_mailboxes(self) -> None:
        now = self.scene.exists
        for name in (INBOX, WORK, ARCHIVE):
            if name not in self.found:
                self.violated("mailbox", f"{self.account}: {name} is gone")
        for key, there in self.moment.exists.items():
            before, after = self.moment.boxes.get(key), self.journal.boxes.get(key)
            stays = there and now.get(key) and before and after and before.uidvalidity == after.uidvalidity
            if key[0] == self.account and stays and key[1] not in self.found:
                self.violated("mailbox", f"{key} is gone")

    def compare_box(self, box: Box, found: Found) -> None:
        scratch = box.key[1] not in (INBOX, WORK, ARCHIVE)
        if box.uidvalidity and found.uidvalidity != box.uidvalidity:
            if not scratch:  # which clients make and delete
                self.violated("uidvalidity", f"{box.key}: {found.uidvalidity}, was {box.uidvalidity}")
            return
        for uid, flags in box.live.items():
            if uid in found.tokens:
                self.compare_flags(box, uid, flags, found.rows[uid][1])
            elif not self.may_lack(box.key, box.names[uid]):
                self.violated("missing", f"{box.key}: UID {uid}, {box.names[uid]}")
        here = set(found.tokens.values())
        for token in box.owed - here:
            if not self.may_lack(box.key, token):
                self.violated("missing", f"{box.key}: {token} was acknowledged, nobody was told its UID")
        for uid in found.tokens.keys() & box.gone:
            self.violated("returned", f"{box.key}: UID {uid}, {found.tokens[uid]}, was expunged before")
        self.journal.counts["acknowledged before the point, compared"] += len(box.live) + len(box.owed)

    def may_lack(self, key: Key, token: str) -> bool:
        """Expunged since the point began, or moved, and there."""
        if (key, token) in self.journal.leaves:
            return True
        for target in self.journal.moves.get((key, token), ()):
            found = self.found.get(target[1])
            if (found is not None and token in found.tokens.values()) or self.may_lack(target, token):
                return True
        return False

    def compare_flags(self, box: Box, uid: int, before: Flags | None, now: Flags) -> None:
        allowed = [before, *self.journal.changes.get((box.key, uid), ())]
        if None not in allowed and now not in allowed:
            text = [sorted(each) for each in allowed if each is not None]
            self.violated("flags", f"{box.key}: UID {uid} has {sorted(now)}, not one of {text}")

    def check_later(self, name: str, found: Found) -> None:
        """What anybody ever saw under a UID is what is there; nothing is twice; all of it was sent."""
        box = self.journal.boxes.get((self.account, name))
        twice = len(found.tokens) - len(set(found.tokens.values()))
        if twice:
            self.violated("doubled", f"{self.account}, {name}: {twice} messages are twice in it")
        for token in set(found.tokens.values()):
            for target in self.journal.moves.get(((self.account, name), token), ()):
                other = self.found.get(target[1])
                if other is not None and token in other.tokens.values():
                    self.violated(
                        "doubled", f"{self.account}: {token} is in {name} and was moved to {target[1]}"
                    )
        if box is None or box.uidvalidity != found.uidvalidity:
            return
        for uid, token in found.tokens.items():
            if box.names.get(uid, token) != token:
                self.violated("changed", f"{box.key}: UID {uid} was {box.names[uid]} and is {token}")
            if token not in box.tokens:
                self.violated("returned", f"{box.key}: {token} was never sent here")

    def append_to(self, reader: Mailbox, name: str, found: Found) -> None:
        """New mail: under a UID that nobody was ever shown, MODSEQ goes on too."""
        text = b"Subject: after\r\n\r\nafter\r\n"
        code = reader.must(b"APPEND " + name.encode() + b" ", (text,)).code(b"APPENDUID") or b"0 0"
        validity, uid = map(int, code.split())
        box = self.journal.boxes.get((self.account, name))
        if box is not None and box.uidvalidity == validity:
            if uid <= max([0, *box.names]):
                self.violated("reused", f"{box.key}: UID {uid} was given again")
            answer = reader.must(b"STATUS " + name.encode() + b" (HIGHESTMODSEQ)")
            modseq = int(
                b" ".join(line for line, _ in answer.lines).rsplit(b"HIGHESTMODSEQ ", 1)[1].split(b")")[0]
            )
            if modseq <= box.modseq:
                self.violated("modseq", f"{box.key}: {modseq} after {box.modseq} was shown")
        if uid in found.rows:
            self.violated("reused", f"{self.account}, {name}: UID {uid} is taken")


def print_table(journals: Sequence[Ledger], errors: Sequence[str], seconds: float) -> None:
    counts: Any = sum((each.counts for each in journals), start=type(journals[0].counts)())
    broken: Any = sum((each.broken for each in journals), start=type(journals[0].broken)())
    for story in [story for each in journals for story in each.stories][:40]:
        print(f"BROKEN {story}")
    for error in errors:
        print(f"ERROR {error}")
    print(f"\n{'done':<42}")
    for name, count in sorted(counts.items()):
        print(f"  {name:<40}{count:>12}")
    print(f"{'promises broken':<42}")
    for name in dict.fromkeys((*PROMISES, *broken)):
        print(f"  {name:<40}{broken[name]:>12}")
    print(f"{len(journals)} rounds in {seconds:.0f} s: {'FAILED' if broken or errors else 'all kept'}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="backup-drill")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    args = parser.parse_args()
    print(json.dumps({"rounds": args.rounds, "seed": args.seed}), flush=True)
    began = time.monotonic()
    journals: list[Ledger] = []
    errors: list[str] = []
    for number in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix="backup-drill.") as temporary:
            drill = BackupDrill((args.folder or Path(temporary)) / str(number), args.seed + number)
            drill.live()
            drill.compare(drill.rng.randrange(2))
        journals.append(drill.journal)
        errors += drill.scene.errors
        acknowledged = sum(each.counts["acknowledged"] for each in journals)
        broken = sum(each.broken.total() for each in journals)
        print(f"round {number + 1}: {acknowledged} acknowledged, {broken} broken promises", flush=True)
    print_table(journals, errors, time.monotonic() - began)
    return 1 if errors or any(each.broken for each in journals) else 0


if __name__ == "__main__":
    sys.exit(main())
