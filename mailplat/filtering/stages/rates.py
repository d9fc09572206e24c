"""How much one address, and one network, may bring. Counted on the bus for all processes together; where the bus is
away each process counts for itself."""

from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.errors import InvalidInput
from mailplat.core.network import network_of
from mailplat.core.reply import Reply
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

MESSAGES = Reply(451, "4.7.1", "Too many messages from your address, try again later")
RECIPIENTS = Reply(451, "4.7.1", "Too many recipients from your address, try again later")

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Settings:
    """An hour, 0: no limit. `messages` and `recipients` of one address; a /24 or /64 may have `network` times as
    much. The largest senders bring some thousand an hour from one address to a platform of 10,000 domains."""

    messages: int = 0
    recipients: int = 0
    network: float = 5.0
    timeout: float = 5.0
    on_failure: Rule = Rule.SKIP

    def __post_init__(self) -> None:
        if self.messages < 0 or self.recipients < 0 or self.network < 1:
            raise InvalidInput("filter.rates: messages and recipients are 0 or more, network is 1 or more")


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MAIL, Phase.RCPT})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self._bus = context.bus

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        first = phase is Phase.MAIL
        most = self.settings.messages if first else self.settings.recipients
        if not most:
            return ACCEPTED
        address = transaction.peer.address
        for key, limit in ((address, most), (network_of(address), int(most * self.settings.network))):
            if await self._bus.count(f"rates:{phase.value}:{key}", _HOUR_S) > limit:
                reply = MESSAGES if first else RECIPIENTS
                return Verdict(Action.DEFER, reply, reasons=(f"{key} has had its {limit} an hour",))
        return ACCEPTED
