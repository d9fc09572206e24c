"""Which descriptions are taken over again and again, and what came of it the last time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.db.engine import Database
from migration.directory.tables import source


@dataclass(frozen=True, slots=True)
class Registered:
    backend: str
    file: str
    began: float  # Unix time
    ended: float  # 0.0: never
    note: str
    figures: Mapping[str, int]


class Register:
    """For threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def all(self) -> list[Registered]:
        with self._database.read() as connection:
            rows = connection.execute(sa.select(source).order_by(source.c.backend)).fetchall()
        return [
            Registered(row.backend, row.file, row.began, row.ended, row.note, json.loads(row.figures))
            for row in rows
        ]

    def check(self, backend: str, file: str) -> None:
        """Raises InvalidInput where another description is the backend's: what it alone names would be gone."""
        for each in self.all():
            if each.backend == backend and each.file != file:
                raise InvalidInput(
                    f"backend {backend} is taken over from {each.file}; first: mailplat migrate directory forget"
                    f" {backend}"
                )

    def put(self, backend: str, file: str, began: float, figures: Mapping[str, int]) -> None:
        """After a takeover that came to its end."""
        values = {
            "file": file,
            "began": began,
            "ended": self._clock.now(),
            "note": "",
            "figures": json.dumps(figures),
        }
        with self._database.write() as connection:
            mine = source.update().where(source.c.backend == backend)
            if not connection.execute(mine.values(**values)).rowcount:
                connection.execute(source.insert().values(backend=backend, **values))

    def begin(self, each: Registered) -> bool:
        """Claims it. False where another process was faster, or it was forgotten."""
        mine = sa.and_(source.c.backend == each.backend, source.c.began == each.began)
        with self._database.write() as connection:
            change = source.update().where(mine).values(began=self._clock.now())
            return connection.execute(change).rowcount == 1

    def end(self, backend: str, note: str, figures: Mapping[str, int] | None) -> None:
        """`note`: why it did not come to its end. A description that was forgotten meanwhile stays so."""
        values: dict[str, object] = {"note": note}
        if figures is not None:
            values |= {"ended": self._clock.now(), "figures": json.dumps(figures)}
        with self._database.write() as connection:
            connection.execute(source.update().where(source.c.backend == backend).values(**values))

    def forget(self, backend: str) -> None:
        """What came from it stays. Raises NotFound."""
        with self._database.write() as connection:
            if not connection.execute(source.delete().where(source.c.backend == backend)).rowcount:
                raise NotFound(
                    f"no directory of backend {backend} is taken over; see mailplat migrate directory list"
                )
