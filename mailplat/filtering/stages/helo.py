"""What a client calls itself (RFC 5321 4.1.1.1). Nobody but us has our name; the rest only adds points, since mail is
not to be refused for it (RFC 5321 4.1.4)."""

import re
from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.network import parse_ip
from mailplat.core.reply import Reply
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

OURS = Reply(550, "5.7.1", "You are not who you say you are")

_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]", re.IGNORECASE)
_NAME = re.compile(
    r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)


@dataclass(frozen=True)
class Settings:
    """Points of a name with no dot (`short`), of what is no name at all or an address without brackets (`wrong`), and
    of an address in brackets that is another's (`other`)."""

    short: float = 1.0
    wrong: float = 2.0
    other: float = 2.0
    timeout: float = 5.0
    on_failure: Rule = Rule.SKIP


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.HELO})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self._ours = context.hostname.lower().rstrip(".")

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        helo, settings = transaction.peer.helo, self.settings
        if helo.lower().rstrip(".") == self._ours:
            return Verdict(Action.REFUSE, OURS, reasons=("says our name",))
        literal = _LITERAL.fullmatch(helo)
        if literal is not None:
            said, true = parse_ip(literal[1]), parse_ip(transaction.peer.address)
            return ACCEPTED if said == true else Verdict(score=settings.other, reasons=("another's address",))
        if parse_ip(helo) is not None or not _NAME.fullmatch(helo):
            return Verdict(score=settings.wrong, reasons=("no name of a host",))
        if "." not in helo.rstrip("."):
            return Verdict(score=settings.short, reasons=("a name without a domain",))
        return ACCEPTED
