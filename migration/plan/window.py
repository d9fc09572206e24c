"""When accounts are cut over: hours of weekdays, in a time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_TIME = re.compile(r"([01]\d|2[0-4]):([0-5]\d)", re.ASCII)
_DAY = 24 * 60


def minutes(text: str) -> int:
    """Of the day: "22:30", at most "24:00". Raises ValueError."""
    found = _TIME.fullmatch(text)
    at = int(found[1]) * 60 + int(found[2]) if found else _DAY + 1
    if at > _DAY:
        raise ValueError(f"{text!r} is no time of day, such as 22:30")
    return at


@dataclass(frozen=True, slots=True)
class Window:
    """`opens`, `closes`: minutes of the day; where it closes before it opens it is open over midnight, and belongs to
    the day on which it opens."""

    days: frozenset[int]  # 0: Monday
    opens: int
    closes: int
    zone: ZoneInfo

    def is_open(self, at: float) -> bool:
        """`at`: Unix time."""
        day = datetime.fromtimestamp(at, self.zone).date()
        return any(self._of(each, at) for each in (day - timedelta(days=1), day))

    def next_open(self, at: float) -> float:
        """`at`, where it is open then; else when it opens. Unix time."""
        if self.is_open(at):
            return at
        day = datetime.fromtimestamp(at, self.zone).date()
        # Two weeks: an hour that is skipped in one of them is there in the other.
        coming = (self._edges(day + timedelta(days=ahead)) for ahead in range(15))
        return next(edges[0] for edges in coming if edges is not None and edges[0] >= at)

    def _of(self, day: date, at: float) -> bool:
        edges = self._edges(day)
        return edges is not None and edges[0] <= at < edges[1]

    def _edges(self, day: date) -> tuple[float, float] | None:
        if day.weekday() not in self.days:
            return None
        closes = self.closes if self.closes > self.opens else self.closes + _DAY
        edges = self._instant(day, self.opens), self._instant(day, closes)
        return edges if edges[0] < edges[1] else None  # all of it is in the hour that the clock skips

    def _instant(self, day: date, minute: int) -> float:
        """On the clock of the zone: where that is put forward, 02:30 is an hour later than it looks."""
        days, within = divmod(minute, _DAY)
        shown = datetime.combine(day + timedelta(days=days), datetime.min.time()) + timedelta(minutes=within)
        return shown.replace(tzinfo=self.zone).astimezone(UTC).timestamp()
