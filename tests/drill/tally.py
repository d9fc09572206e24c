"""What became of the cutovers of a drill, and its table."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.drill import oracle
from tests.drill.arms import TRANSITIONS

if TYPE_CHECKING:
    from tests.drill.cutovers import CutoverDrill


@dataclass
class Cell:
    """What became of the cutovers with one fault at one transition."""

    runs: int = 0
    legacy: int = 0
    new: int = 0
    broken: int = 0


@dataclass
class Tally:
    cells: defaultdict[tuple[str, str], Cell] = field(default_factory=lambda: defaultdict(Cell))
    missed: int = 0
    seconds: list[float] = field(default_factory=list)  # from a round's last fault to its last account's rest


PROMISES = ("missing", "doubled", "delivered twice", "renumbered", "reused", "returned", "changed", "octets", "torn",
            "half", "flags", "date", "modseq", "uidvalidity", "mailbox", "cache", "downloaded again", "order",
            "login", "halted", "between")  # fmt: skip


def print_table(drill: "CutoverDrill", seconds: float) -> None:
    """By transition and fault: how many ended at the legacy platform / here."""
    for error in drill.scene.errors:
        print(f"ERROR {error}")
    cells = drill.tally.cells
    print(f"\nended LEGACY/NEW{'':<4}" + "".join(f"{name:>16}" for name in drill.kinds))
    for transition in TRANSITIONS:
        texts = []
        for kind in drill.kinds:
            cell = cells[kind, transition]
            broken = f" BROKEN {cell.broken}" if cell.broken else ""
            texts.append(f"{cell.legacy}/{cell.new}{broken}" if cell.runs else "-")
        print(f"{transition:<20}" + "".join(f"{text:>16}" for text in texts))
    for name, why in drill.skipped.items():
        print(f"not done: {name}: {why}")
    counts, ledger = drill.ledger.counts, drill.ledger
    print(f"\n{'done':<40}")
    for name, count in sorted(counts.items()):
        print(f"  {name:<38}{count:>8}")
    for name, value in oracle.percentiles(drill.tally.seconds).items():
        print(f"  {'s from the last fault to rest, ' + name:<38}{value:>8.1f}")
    print(f"  {'accounts that met no fault':<38}{drill.tally.missed:>8}")
    print(f"{'promises broken':<40}")
    for name in dict.fromkeys((*PROMISES, *ledger.broken)):
        print(f"  {name:<38}{ledger.broken[name]:>8}")
    legacy, new = sum(c.legacy for c in cells.values()), sum(c.new for c in cells.values())
    bad = sum(c.broken for c in cells.values())
    print(
        f"{drill.done} cutovers with a fault in {seconds:.0f} s: {legacy} ended LEGACY, {new} NEW, {bad} broken:"
        f" {'FAILED' if ledger.broken or drill.scene.errors else 'all kept'}"
    )
