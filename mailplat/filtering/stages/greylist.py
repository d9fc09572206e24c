"""Greylisting (RFC 6647): who sends for the first time is asked to come again, which spam programs rarely do.

Nothing is stored but rate counters on the bus, under hashes of network, sender and recipient. Losing them all asks
everybody to come again once. A sender's domain that came again as it should from one network need not any more.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.address import Address
from mailplat.core.network import network_of
from mailplat.core.reply import Reply
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

# RFC 6647 5: 4.7.1 is what most say.
COME_AGAIN = Reply(451, "4.7.1", "Please come again in a few minutes")

_DAY_S = 86_400.0


@dataclass(frozen=True)
class Settings:
    """`delay`: seconds before which another try counts for none; RFC 6647 5 has one minute to 24 hours. `remembered`:
    days that a first try, and a sender who came again, are known.
    """

    delay: float = 60.0
    remembered: float = 30.0
    timeout: float = 5.0
    on_failure: Rule = Rule.SKIP


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.RCPT})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self._bus = context.bus

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        network, sender = network_of(transaction.peer.address), transaction.envelope.reverse_path
        (recipient,) = transaction.recipients
        long = self.settings.remembered * _DAY_S
        known = _key("known", network, sender.domain)
        if await self._bus.count(known, long, 0):
            return ACCEPTED
        triple = _key("triple", network, _text(sender), _text(recipient))
        first = await self._bus.count(triple, long) == 1
        early = await self._bus.count(f"{triple}:now", self.settings.delay) > 1
        if first or early:
            return Verdict(Action.DEFER, COME_AGAIN, reasons=("first" if first else "too early",))
        await self._bus.count(known, long)
        return ACCEPTED


def _key(*words: str) -> str:
    digest = hashlib.blake2b("\0".join(words).encode("utf-8", "surrogatepass"), digest_size=16)
    return f"greylist:{digest.hexdigest()}"


def _text(address: Address) -> str:
    return f"{address.local}@{address.domain}".casefold()
