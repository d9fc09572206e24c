"""What an attempt means to do with each recipient, and in which groups."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailplat.core.outcome import Outcome
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.delivery.flights import Flight
from mailplat.queue import LeasedRecipient


@dataclass(frozen=True, slots=True)
class Serve:
    residence: Residence
    quota: Quota


@dataclass(frozen=True, slots=True)
class Forward:
    next_hop: str
    backend: str  # "" for the smart host


class Hold:
    """Fenced, or we may not know better: again in a second."""


Plan = Serve | Forward | Hold | Outcome


@dataclass(frozen=True, slots=True)
class Relay:
    """Recipients of one message that share a next hop."""

    hop: Forward
    recipients: Sequence[LeasedRecipient]
    flight: Flight


def by_shard(
    served: Sequence[tuple[LeasedRecipient, Serve]],
) -> list[list[tuple[LeasedRecipient, Serve]]]:
    """One group for each shard; an account that is there a second time is in a group of its own."""
    groups: dict[tuple[str, int], list[tuple[LeasedRecipient, Serve]]] = defaultdict(list)
    met: Counter[int] = Counter()
    for one, plan in served:
        groups[plan.residence.shard, met[one.account_id]].append((one, plan))
        met[one.account_id] += 1
    return list(groups.values())


def slices(some: Sequence[LeasedRecipient], size: int) -> Iterator[Sequence[LeasedRecipient]]:
    for start in range(0, len(some), size):
        yield some[start : start + size]
