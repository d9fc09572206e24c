"""DNS lists of addresses, of bad ones and of good ones (RFC 5782): each adds its points.

Asked all at once, when a client says MAIL. An answer outside 127.0.0.0/8 is none: a list that was given up, and whose
domain somebody bought, would else list everybody. Nor is one of 127.255.255.0/24, by which lists say that they do not
answer us (too many questions, a public resolver). A list that does not answer says nothing.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.errors import InvalidInput
from mailplat.core.network import parse_ip
from mailplat.core.reply import Reply
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

_LISTED = ipaddress.ip_network("127.0.0.0/8")
_REFUSED = ipaddress.ip_network("127.255.255.0/24")


@dataclass(frozen=True, slots=True)
class DnsList:
    zone: str
    points: float
    answers: tuple[ipaddress.IPv4Network, ...]  # that count; none: all do


@dataclass(frozen=True)
class Settings:
    """`lists`: each "ZONE POINTS [ANSWER ...]", an answer being an address or a network of 127.0.0.0/8; points of
    good ones are negative: "zen.spamhaus.org 4 127.0.0.2/31 127.0.0.4/30", "list.dnswl.org -2". `refuse_at`: points
    of all lists together from which the client is refused at once; 0: never. `timeout` in seconds."""

    lists: tuple[str, ...] = ()
    refuse_at: float = 0.0
    timeout: float = 6.0
    on_failure: Rule = Rule.SKIP

    def __post_init__(self) -> None:
        for text in self.lists:
            parse(text)
        if self.refuse_at < 0:
            raise InvalidInput(f"filter.dnslists.refuse_at = {self.refuse_at} is wrong; write 0 or more")


def parse(text: str) -> DnsList:
    """Raises InvalidInput."""
    zone, *rest = text.split() or [""]
    try:
        return DnsList(
            zone.strip("."), float(rest[0]), tuple(ipaddress.IPv4Network(answer) for answer in rest[1:])
        )
    except (IndexError, ValueError) as error:
        raise InvalidInput(
            f'filter.dnslists.lists: {text!r} is wrong; write "ZONE POINTS [ANSWER ...]"'
        ) from error


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.CONNECT})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self._dns = context.dns
        self._lists = [parse(text) for text in settings.lists]

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        name = reverse_name(transaction.peer.address)
        if name is None:
            return ACCEPTED
        found = await asyncio.gather(*(self._ask(each, name) for each in self._lists))
        points = sum(each.points for each, listed in zip(self._lists, found, strict=True) if listed is True)
        reasons = tuple(
            f"{each.zone} {each.points:+g}" if listed is True else f"{each.zone} does not answer us: {listed}"
            for each, listed in zip(self._lists, found, strict=True)
            if listed
        )
        if 0 < self.settings.refuse_at <= points:
            worst = max(
                (each for each, listed in zip(self._lists, found, strict=True) if listed is True),
                key=lambda each: each.points,
            )
            reply = Reply(554, "5.7.1", f"Your address is on a list of senders of spam: {worst.zone}")
            return Verdict(Action.REFUSE, reply, points, reasons=reasons)
        return Verdict(score=points, reasons=reasons)

    async def _ask(self, each: DnsList, name: str) -> bool | str:
        """Whether it is listed; why nobody can tell."""
        answer = await self._dns.query(f"{name}.{each.zone}", "A")
        if answer.status == "temperror":
            return "no answer"
        addresses = [ipaddress.IPv4Address(text) for text in answer.names]
        if any(address in _REFUSED for address in addresses):
            return "it refuses"
        said = [address for address in addresses if address in _LISTED]
        return any(not each.answers or any(address in wanted for wanted in each.answers) for address in said)


def reverse_name(address: str) -> str | None:
    """RFC 5782 2.1, 2.4: octets or nibbles, the last first."""
    parsed = parse_ip(address)
    if parsed is None:
        return None
    return parsed.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
