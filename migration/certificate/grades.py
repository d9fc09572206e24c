"""What a finding means, what a grade is, who may let pass what.

    Perfect      everything was looked at and is the same
    Good         everything that could be looked at is the same; something happened that its users may have noticed,
                 or their own changes since the commit kept us from looking at all of it
    Investigate  something is different, or was not looked at, that a person may accept, item by item, by name
    Poor         mail is lost, changed or renumbered. Nobody can accept that

The worst finding is the grade of its mailbox, the worst mailbox that of its account, the worst account that of its
domain. An approval does not better a grade: it lets pass what it lists. It is bound to the item's text; what differs
otherwise tomorrow is another item.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum

import sqlalchemy as sa

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.db.engine import Database
from mailplat.directory.audit import Audit
from migration.certificate import tables

# Octets of SHA-256 that name an item, in hexadecimal.
_NAME_DIGITS = 12


class Grade(IntEnum):
    PERFECT = 0
    GOOD = 1
    INVESTIGATE = 2
    POOR = 3

    @property
    def label(self) -> str:
        return self.name.capitalize()


@dataclass(frozen=True, slots=True)
class Finding:
    grade: Grade
    where: str  # an address, or an address and a mailbox
    text: str

    @property
    def item(self) -> str:
        """Its name in approvals."""
        octets = f"{self.where}\n{self.text}".encode()
        return hashlib.sha256(octets).hexdigest()[:_NAME_DIGITS]


@dataclass(frozen=True, slots=True)
class Approval:
    item: str
    text: str
    who: str
    reason: str
    at: float


def worst(findings: Iterable[Finding]) -> Grade:
    return max((each.grade for each in findings), default=Grade.PERFECT)


def approvals(database: Database, domain: str) -> dict[str, Approval]:
    """By item."""
    column = tables.approval.c
    query = sa.select(column.item, column.text, column.who, column.reason, column.at)
    with database.read() as connection:
        rows = connection.execute(query.where(column.domain == domain).order_by(column.item)).fetchall()
    return {row[0]: Approval(*row) for row in rows}


def approve(
    database: Database,
    clock: Clock,
    domain: str,
    findings: Collection[Finding],
    items: Collection[str],
    who: str,
    reason: str,
) -> list[Finding]:
    """Let these items pass. Audited first. Raises NotFound for an item that the certificate does not have,
    InvalidInput for a Poor one, one that needs no approval, and an approval without a name or a reason; then none is
    approved."""
    if not who.strip() or not reason.strip():
        raise InvalidInput("an approval has a name and a reason")
    known = {each.item: each for each in findings}
    for item in items:
        if item not in known:
            raise NotFound(f"{domain} has no item {item}; mailplat migrate report {domain} lists them")
        if known[item].grade is Grade.POOR:
            raise InvalidInput(f"item {item} is Poor, which nobody can approve: {known[item].text}")
        if known[item].grade is not Grade.INVESTIGATE:
            raise InvalidInput(f"item {item} is {known[item].grade.label}: it needs no approval")
    chosen = [known[item] for item in dict.fromkeys(items)]
    listed = {each.item: f"{each.where}: {each.text}" for each in chosen}
    Audit(database, clock).record(who, "migrate.approve", domain, after={"reason": reason, "items": listed})
    with database.write() as connection:
        for each in chosen:
            mine = sa.and_(tables.approval.c.domain == domain, tables.approval.c.item == each.item)
            connection.execute(tables.approval.delete().where(mine))
            connection.execute(
                tables.approval.insert().values(
                    domain=domain,
                    item=each.item,
                    text=listed[each.item],
                    who=who,
                    reason=reason,
                    at=clock.now(),
                )
            )
    return chosen


def blocked_by(findings: Iterable[Finding], approved: Collection[str]) -> Finding | None:
    """The worst finding that lets nothing pass; None where nothing is in the way."""
    stopping = [
        each
        for each in findings
        if each.grade is Grade.POOR or (each.grade is Grade.INVESTIGATE and each.item not in approved)
    ]
    return max(stopping, key=lambda each: each.grade, default=None)
