"""Accounts to move, as a planner knows them: how many, how large, how unequal."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

# Of the logarithm of mailbox sizes. Few users have most of the mail: with 1.5 the largest hundredth of the accounts
# has 17 % of the octets, and the median is a third of the mean.
SPREAD = 1.5


@dataclass(frozen=True, slots=True)
class Account:
    messages: float
    octets: float


def population(
    accounts: int, octets_each: float, message_octets: float, *, spread: float = SPREAD, seed: int = 1
) -> Sequence[Account]:
    """`octets_each`: the mean. The sum is exact: drawn sizes are scaled to it. `spread` 0: all are alike."""
    rng = random.Random(seed)
    drawn = [rng.lognormvariate(0.0, spread) for _ in range(accounts)]
    scale = accounts * octets_each / sum(drawn)
    return [Account(size * scale / message_octets, size * scale) for size in drawn]
