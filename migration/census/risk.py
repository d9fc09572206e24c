"""How likely a domain's move is to need a person: a sum of weights, each with its reason. 100 at most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from migration.census.summary import Summary


@dataclass(frozen=True, slots=True)
class Risk:
    """`degree`: from 0.0, it does not apply, to 1.0; `reason` for people, with the numbers."""

    name: str
    weight: int
    degree: Callable[[Summary], float]
    reason: Callable[[Summary], str]


@dataclass(frozen=True, slots=True)
class Reason:
    name: str
    points: int
    text: str


def _any(count: int) -> float:
    return 1.0 if count else 0.0


def _share(count: int, of: Summary) -> float:
    return count / of.accounts if of.accounts else 0.0


RISKS: Sequence[Risk] = (
    Risk(
        "unreadable",
        30,
        lambda s: _any(len(s.unreadable)),
        lambda s: f"{len(s.unreadable)} accounts could not be read: {s.some(s.unreadable)}",
    ),
    Risk(
        "collisions",
        20,
        lambda s: _any(len(s.colliding)),
        lambda s: (
            f"{len(s.colliding)} accounts have mailboxes whose names would be one here, and halt: "
            f"{s.some(s.colliding)}"
        ),
    ),
    Risk(
        "uidls",
        10,
        lambda s: _any(len(s.pop3_troubled)),
        lambda s: (
            f"POP3 could not be read of {len(s.pop3_troubled)} accounts, whose UIDLs must be kept: "
            f"{s.some(s.pop3_troubled)}"
        ),
    ),
    Risk(
        "pop3",
        10,
        lambda s: _share(len(s.leaving_mail), s),
        lambda s: (
            f"{len(s.leaving_mail)} accounts look like POP3 users who leave their mail on the server: "
            "a UIDL that changes is a mailbox downloaded again"
        ),
    ),
    Risk(
        "passwords",
        10,
        lambda s: _share(s.passwords_unknown, s),
        lambda s: f"of {s.passwords_unknown} accounts no password is known here yet",
    ),
    Risk(
        "oversized",
        10,
        lambda s: _any(len(s.oversized)),
        lambda s: f"{len(s.oversized)} accounts are oversized: {s.some(s.oversized)}",
    ),
    Risk(
        "ties",
        5,
        lambda s: _any(len(s.tied_to)),
        lambda s: f"aliases, forwards and lists tie it to {s.some(s.tied_to)}",
    ),
    Risk(
        "no_condstore",
        5,
        lambda s: _share(s.without_condstore, s),
        lambda s: f"{s.without_condstore} accounts without CONDSTORE: each round lists all flags anew",
    ),
)


def reasons(summary: Summary) -> list[Reason]:
    """The heaviest first. One that applies is at least one point."""
    found = []
    for each in RISKS:
        if (degree := each.degree(summary)) > 0.0:
            found.append(Reason(each.name, max(1, round(each.weight * degree)), each.reason(summary)))
    return sorted(found, key=lambda reason: -reason.points)
