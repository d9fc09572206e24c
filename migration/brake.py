"""The brake on deletions: where much is gone at a source, nothing is deleted here before a person has looked. A
mailbox that shows nothing is more often a disk that is not mounted than a tidy user.

What a user is seen to have done is not counted:
    * a message that was marked \\Deleted when it was last seen: an EXPUNGE followed;
    * one whose octets appeared in another mailbox in the same round: it was moved there. One arrival explains one;
    * one that was in a mailbox for trash or junk, which are there to be emptied, as long as others still show mail.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailplat.core.limits.brake import BrakeLimits
from mailplat.store import Mailbox
from migration.certificate import digests
from migration.crossing import Crossing
from migration.errors import Halt
from migration.sources.contract import Survey

# Messages of a round in one mailbox that are remembered as having come: whoever moves more at once is asked about.
ARRIVALS = 20_000

_EMPTIED = frozenset({"\\trash", "\\junk"})

Octets = tuple[int, bytes]  # size, SHA-256


@dataclass(slots=True)
class Departed:
    """UIDs of a mailbox that are here, and gone at the source."""

    mailbox: Mailbox
    gone: Sequence[int]
    marked: frozenset[int] = frozenset()  # \\Deleted


@dataclass(slots=True)
class Arrivals:
    """What came in this round: by mailbox its UIDVALIDITY and UIDs."""

    uids: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    def add(self, mailbox: str, uidvalidity: int, uids: Sequence[int]) -> None:
        known = self.uids.setdefault(mailbox, (uidvalidity, []))[1]
        known += uids[: max(0, ARRIVALS - len(known))]


async def check(
    crossing: Crossing,
    departed: Sequence[Departed],
    arrivals: Arrivals,
    survey: Survey,
    ours: Mapping[str, Mailbox],
) -> None:
    """Raises Halt."""
    if crossing.twin is not None:
        return  # our own index says what was expunged and deleted; nothing is concluded from what it does not show
    total = sum(each.messages for each in ours.values())
    gone = sum(len(each.gone) for each in departed)
    allowed = crossing.move.deletions_allowed
    if not _too_many(crossing.brake, gone, total, allowed):
        return
    left = {each.mailbox.name: [uid for uid in each.gone if uid not in each.marked] for each in departed}
    if _too_many(crossing.brake, _count(left), total, allowed):
        await _take_off_moved(crossing, left, arrivals, ours)
    if _others_show_mail(survey, ours):
        for name in [name for name in left if _is_emptied(ours[name])]:
            del left[name]
    if (unexplained := _count(left)) and _too_many(crossing.brake, unexplained, total, allowed):
        where = ", ".join(f"{name} ({len(uids)})" for name, uids in left.items() if uids)
        rest = f"; of {gone - unexplained} more it was seen why" if gone > unexplained else ""
        raise Halt(
            f"{unexplained} of {total} messages are gone at the source: {where[:300]}{rest}. Nothing was deleted"
            f" here. If that is right: mailplat migrate resume {crossing.move.domain} --allow-deletions {gone}"
        )


def _too_many(limits: BrakeLimits, gone: int, total: int, allowed: int) -> bool:
    much = gone > limits.number or gone > limits.share * total
    return gone > limits.free and much and gone > allowed


def _count(left: Mapping[str, Sequence[int]]) -> int:
    return sum(map(len, left.values()))


async def _take_off_moved(
    crossing: Crossing, left: dict[str, list[int]], arrivals: Arrivals, ours: Mapping[str, Mailbox]
) -> None:
    came: Counter[Octets] = Counter()
    for name, (uidvalidity, uids) in arrivals.uids.items():
        came += Counter((await _octets(crossing, name, uidvalidity, uids)).values())
    for name in left:
        known = await _octets(crossing, name, ours[name].uidvalidity, left[name])
        rest = []
        for uid in left[name]:
            octets = known.get(uid)
            if octets is not None and came[octets] > 0:
                came[octets] -= 1
            else:
                rest.append(uid)
        left[name] = rest


async def _octets(crossing: Crossing, name: str, uidvalidity: int, uids: Sequence[int]) -> dict[int, Octets]:
    wanted = set(uids)

    def read() -> dict[int, Octets]:
        found = digests.read(crossing.ledger.database, crossing.account_id, name, uidvalidity)
        return {each.uid: (each.size, each.sha256) for each in found if each.uid in wanted}

    return await crossing.book(read) if wanted else {}


def _is_emptied(mailbox: Mailbox) -> bool:
    return (mailbox.special_use or "").lower() in _EMPTIED


def _others_show_mail(survey: Survey, ours: Mapping[str, Mailbox]) -> bool:
    """Of the mailboxes that are not there to be emptied, and have mail here."""
    return any(
        (status := survey.statuses.get(name)) is not None and status.messages > 0
        for name, mailbox in ours.items()
        if mailbox.messages and not _is_emptied(mailbox)
    )
