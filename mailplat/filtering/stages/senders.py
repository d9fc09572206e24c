"""Whether the sender's domain can be answered: mail from a domain that takes none (RFC 7505) or is not there could
never be bounced, and hardly anybody means it."""

from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.address import NULL_SENDER
from mailplat.core.reply import Reply
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

# RFC 7505 4.2.
NULL_MX = Reply(550, "5.7.27", "Sender's domain takes no mail (null MX)")
NO_DOMAIN = Reply(550, "5.1.8", "Sender's domain does not exist, or has no mail server")
NOT_NOW = Reply(451, "4.1.8", "Sender's domain cannot be looked up now, try again later")


@dataclass(frozen=True)
class Settings:
    """`defer`: what cannot be looked up now is deferred; else it is let in."""

    defer: bool = True
    timeout: float = 12.0
    on_failure: Rule = Rule.DEFER


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MAIL})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self._dns = context.dns

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        sender = transaction.envelope.reverse_path
        if sender == NULL_SENDER or sender.domain.startswith("["):
            return ACCEPTED
        answer = await self._dns.query(sender.domain, "MX")
        if answer.exchanges:
            if all(name == "" for _, name in answer.exchanges):
                return Verdict(Action.REFUSE, NULL_MX, reasons=("null MX",))
            return ACCEPTED
        if answer.status == "nxdomain":
            return Verdict(Action.REFUSE, NO_DOMAIN, reasons=("no such domain",))
        if answer.status == "temperror":
            return self._undecided()
        for kind in ("A", "AAAA"):  # RFC 5321 5.1: the domain's address is its mail server
            answer = await self._dns.query(sender.domain, kind)
            if answer.names:
                return ACCEPTED
            if answer.status == "temperror":
                return self._undecided()
        return Verdict(Action.REFUSE, NO_DOMAIN, reasons=("no mail server",))

    def _undecided(self) -> Verdict:
        if self.settings.defer:
            return Verdict(Action.DEFER, NOT_NOW, reasons=("temperror",))
        return Verdict(reasons=("temperror",))
