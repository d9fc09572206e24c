"""Where faults happen: each account has arms, transitions behind which the engine that has it there stops itself, so
that the drill lets something go wrong at exactly that moment."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TRANSITIONS = (
    "move.seeding", "move.batch", "move.tracking", "move.ready", "move.fenced", "move.acknowledged", "move.closed",
    "move.delta", "move.origin", "move.granted", "move.committed", "move.aborted", "move.released",
)  # fmt: skip
# Where the fence must be made to fail, for the step behind that.
BEFORE_ABORT, ABORTED = "move.acknowledged", "move.aborted"


@dataclass(frozen=True)
class Arm:
    """`between`: the fault comes a little after the step. `strikes`: False where it only leads to ABORTED."""

    address: str
    step: str
    between: bool = False
    strikes: bool = True


class Arms:
    """In a folder, so that any of several engines that comes there first takes it (tests/crash/nursery.py)."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.decks: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
        self._rng = rng
        self._laid: dict[str, Arm] = {}  # by what the file says

    def draw(self, fault: str, count: int) -> list[tuple[str, bool]]:
        """Different steps. Each once, and once a little after it, before any comes again."""
        drawn: dict[str, bool] = {}
        while len(drawn) < count:
            deck = self.decks[fault]
            if not deck:
                deck += [(name, between) for name in TRANSITIONS for between in (False, True)]
                self._rng.shuffle(deck)
            step, between = deck.pop()
            drawn.setdefault(step, between)
        return list(drawn.items())

    def lay(self, address: str, places: Sequence[tuple[str, bool]]) -> None:
        for step, between in places:
            self._set(Arm(address, step, between))
        steps = {step for step, _ in places}
        if ABORTED in steps and BEFORE_ABORT not in steps:
            self._set(Arm(address, BEFORE_ABORT, strikes=False))

    def _set(self, arm: Arm) -> None:
        name = f"{arm.address}:{arm.step}"
        self._laid[name] = arm
        (self.folder / f".{name}").write_text(name)
        (self.folder / f".{name}").rename(self.folder / name)

    def leads_to_abort(self, arm: Arm) -> bool:
        """The fence of its account is to fail now."""
        return arm.step == BEFORE_ABORT and f"{arm.address}:{ABORTED}" in self._laid

    def met(self, pid: int) -> Arm | None:
        """Where the process with this pid, which is stopped, has stopped itself."""
        try:
            name = (self.folder / str(pid)).read_text()
        except FileNotFoundError:
            return None
        (self.folder / str(pid)).unlink()
        return self._laid.pop(name)

    def clear(self) -> set[int]:
        """What nobody came to. Processes that came to one at the last moment, and stop: nobody looks for them."""
        stopping: set[int] = set()
        while left := list(self.folder.iterdir()):  # one may become another's under our hands
            stopping.update(int(each.name) for each in left if each.name.isdigit())
            for each in left:
                each.unlink(missing_ok=True)
        self._laid.clear()
        return stopping


def is_stopped(pid: int) -> bool:
    """By SIGSTOP (proc(5), third field of stat)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1] == b"T"
