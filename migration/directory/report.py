"""What a takeover finds, told row by row as it goes: nothing of it is kept but the numbers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from migration.directory.entries import Remark

# Words of `change`. Whatever is not REFUSED, LEFT or GONE was done, or would be in a dry run.
ADDED, CHANGED, REMOVED, GONE, LEFT, REFUSED, NOTED = (
    "added",
    "changed",
    "removed",
    "gone",
    "left",
    "refused",
    "noted",
)

# What makes the directory different.
WRITES = (ADDED, CHANGED, REMOVED)


@dataclass(frozen=True, slots=True)
class Row:
    change: str
    what: str  # "account", "alias", "domain"; "" where it speaks of a line
    subject: str
    detail: str


@dataclass(slots=True)
class Report:
    tell: Callable[[Row], None]
    figures: Counter[str] = field(default_factory=Counter)  # "account added": how many

    def row(self, change: str, what: str, subject: str, detail: str = "") -> None:
        self.count(change, what)
        self.tell(Row(change, what, subject, detail))

    def count(self, change: str, what: str, number: int = 1) -> None:
        self.figures[f"{what} {change}".strip()] += number

    def remark(self, remark: Remark) -> None:
        self.row(REFUSED if remark.refused else NOTED, "", remark.place, remark.text)

    @property
    def writes(self) -> int:
        return sum(number for name, number in self.figures.items() if name.rpartition(" ")[2] in WRITES)

    @property
    def refusals(self) -> int:
        return self.figures[REFUSED]
