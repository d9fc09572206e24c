"""Ends mail loops (RFC 5321 6.3): by the number of hops, and by how often the message has been here."""

import re
from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.errors import InvalidInput
from mailplat.core.reply import LOOP
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

# RFC 5321 6.3: "normally set to at least 100 Received entries".
LEAST_HOPS = 100


@dataclass(frozen=True)
class Settings:
    """`hops`: Received fields of any host. `own_hops`: those that say "by" our host name; a list or a forward may
    bring a message here a few times, a loop does not stop at eight."""

    hops: int = LEAST_HOPS
    own_hops: int = 8
    timeout: float = 5.0
    on_failure: Rule = Rule.DEFER

    def __post_init__(self) -> None:
        if self.hops < LEAST_HOPS:
            raise InvalidInput(
                f"filter.loops.hops = {self.hops} is below {LEAST_HOPS}, the least of RFC 5321 6.3"
            )
        if self.own_hops < 1:
            raise InvalidInput(
                f"filter.loops.own_hops = {self.own_hops} would refuse all mail; write 1 or more"
            )


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MESSAGE})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        host = re.escape(context.hostname.encode("idna" if not context.hostname.isascii() else "ascii"))
        # RFC 5321 4.4: By-domain = CFWS "BY" FWS Extended-Domain
        self._by_us = re.compile(rb"(?:^|[\s)])by\s+" + host + rb"\.?(?=[\s;(]|$)", re.IGNORECASE)

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        received = transaction.header.named(b"received")
        if len(received) > self.settings.hops:
            return Verdict(Action.REFUSE, LOOP, reasons=(f"{len(received)} Received fields",))
        if len(received) < self.settings.own_hops:
            return ACCEPTED
        own = sum(1 for field in received if self._by_us.search(field.value))
        if own >= self.settings.own_hops:
            return Verdict(Action.REFUSE, LOOP, reasons=(f"has been here {own} times",))
        return ACCEPTED
