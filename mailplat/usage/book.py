"""The table `usage`. For threads."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from mailplat.core import disk
from mailplat.db.engine import Database
from mailplat.usage.counts import NAMES, Counts
from mailplat.usage.meter import Key

metadata = sa.MetaData()

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("domain", sa.String(255), primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),  # Unix time of its beginning
    sa.Column("home", sa.String(80), primary_key=True),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in NAMES),
    sa.Index("usage_hour", "hour"),
)

# Rows of one statement: at 15 values a row well below the 32,766 that SQLite takes (and the 65,535 of PostgreSQL).
ROWS = 500

# Domains of one question, for the same reason.
DOMAINS = 10_000

_COLUMNS = ("domain", "hour", "home", *NAMES)
# Both dialects have it (SQLite from 3.24 on).
_ADD = (
    f"INSERT INTO usage ({', '.join(_COLUMNS)}) VALUES %s ON CONFLICT (domain, hour, home) DO UPDATE SET "
    + ", ".join(f"{name} = usage.{name} + excluded.{name}" for name in NAMES)
)


@dataclass(frozen=True, slots=True)
class UsageRow:
    domain: str
    hour: int
    home: str
    counts: Counts


class UsageBook:
    """Raises Unavailable and InDoubt, as the database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, counts: Mapping[Key, Counts]) -> None:
        """In one transaction; rows in the order of their keys, so that two processes never wait for each other in a
        ring."""
        rows = sorted(counts.items())
        with self._database.write() as connection:
            for start in range(0, len(rows), ROWS):
                some = rows[start : start + ROWS]
                places = ", ".join(_placeholders(number) for number in range(len(some)))
                connection.execute(sa.text(_ADD % places), _values(some))
        disk.step("usage.added")

    def read(self, since: float, until: float, domains: Collection[str] | None = None) -> list[UsageRow]:
        """Hours that begin at `since` or later and before `until` (Unix times), of these domains or all, by domain
        and hour."""
        query = sa.select(*(usage.c[name] for name in _COLUMNS)).where(
            usage.c.hour >= since, usage.c.hour < until
        )
        if domains is not None:
            query = query.where(usage.c.domain.in_(list(domains)))
        query = query.order_by(usage.c.domain, usage.c.hour, usage.c.home)
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        return [UsageRow(domain, hour, home, Counts(*numbers)) for domain, hour, home, *numbers in rows]

    def by_hour(
        self, since: float, until: float, domains: Collection[str], *, home: str = ""
    ) -> list[Counts]:
        """As `read`, all of these domains together: one for each hour in which there was something, the eldest first.
        `home`: of accounts with a home that begins so."""
        hours: dict[int, Counts] = {}
        names = sorted(domains)
        sums = [sa.func.sum(usage.c[name]) for name in NAMES]
        query = sa.select(usage.c.hour, *sums).where(usage.c.hour >= since, usage.c.hour < until)
        if home:
            query = query.where(usage.c.home.startswith(home, autoescape=True))
        with self._database.read() as connection:
            for start in range(0, len(names), DOMAINS):
                some = query.where(usage.c.domain.in_(names[start : start + DOMAINS])).group_by(usage.c.hour)
                for hour, *numbers in connection.execute(some).fetchall():
                    # PostgreSQL's sum of bigint is a numeric
                    hours.setdefault(hour, Counts()).add(Counts(*(int(number) for number in numbers)))
        return [hours[hour] for hour in sorted(hours)]

    def prune(self, before: float) -> int:
        """Hours that began before this Unix time go; how many rows."""
        with self._database.write() as connection:
            return int(connection.execute(usage.delete().where(usage.c.hour < before)).rowcount)


def _placeholders(number: int) -> str:
    return f"({', '.join(f':{name}_{number}' for name in _COLUMNS)})"


def _values(rows: list[tuple[Key, Counts]]) -> dict[str, object]:
    return {
        f"{name}_{number}": value
        for number, (key, counts) in enumerate(rows)
        for name, value in {**key._asdict(), **asdict(counts)}.items()
    }
