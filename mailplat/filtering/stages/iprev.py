"""Whether the client's address has a name that leads back to it (RFC 8601 2.7.3): every mail server has one, few
machines of a botnet do."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.network import parse_ip
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import ACCEPTED, Transaction, Verdict

# Names of one address that are looked up: RFC 7208 4.6.4 has the same.
MAX_NAMES = 10


@dataclass(frozen=True)
class Settings:
    """Points of a client `without` a name, and of one whose names all lead elsewhere (`wrong`). `timeout` in
    seconds."""

    without: float = 2.0
    wrong: float = 1.0
    timeout: float = 6.0
    on_failure: Rule = Rule.SKIP


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.CONNECT})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self._dns = context.dns

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        address = parse_ip(transaction.peer.address)
        if address is None:
            return ACCEPTED
        pointers = await self._dns.query(address.reverse_pointer, "PTR")
        if pointers.status == "temperror":
            return Verdict(reasons=("temperror",))
        if not pointers.names:
            return Verdict(score=self.settings.without, reasons=("no name",))
        kind = "A" if address.version == 4 else "AAAA"
        names = pointers.names[:MAX_NAMES]
        answers = await asyncio.gather(*(self._dns.query(name, kind) for name in names))
        if any(parse_ip(text) == address for answer in answers for text in answer.names):
            return ACCEPTED
        if any(answer.status == "temperror" for answer in answers):
            return Verdict(reasons=("temperror",))
        return Verdict(score=self.settings.wrong, reasons=("its name leads elsewhere",))
