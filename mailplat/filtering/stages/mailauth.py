"""SPF, DKIM and DMARC, and the Authentication-Results field that tells their results (RFC 8601).

By itself only DMARC decides: SPF breaks with every forward and DKIM with many lists, so a failure of one says
little. Where the author's domain publishes p=reject and nothing authentic matches it, the message is refused
550 5.7.26, as the large providers do; with `dmarc = "mark"` it is only marked. p=quarantine is only marked.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.errors import InvalidInput
from mailplat.core.network import Networks
from mailplat.core.reply import Reply
from mailplat.filtering.mailauth import dkim, dmarc, results, spf
from mailplat.filtering.mailauth.author import find_author
from mailplat.filtering.mailauth.organization import public_suffixes
from mailplat.filtering.mailauth.policy import Disposition
from mailplat.filtering.settings import nearest
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import Action, Transaction, Verdict

# RFC 7372 3.4: multiple authentication checks failed.
REFUSED = Reply(550, "5.7.26", "Message is not authentic and its author's domain asks to reject it (DMARC)")
# A look-up failed that might have authenticated the message.
UNDECIDED = Reply(451, "4.7.26", "Message could not be authenticated now, try again later (DMARC)")

MODES = ("enforce", "mark")


@dataclass(frozen=True)
class Settings:
    """`dmarc`: "enforce" refuses where the author's domain says p=reject, "mark" never refuses. `trusted_networks`:
    peers that relay for us (a legacy platform that forwards, a list server); for them SPF is not asked, because their
    addresses are nobody's, and DMARC only marks. `timeout` covers 20 s of SPF (RFC 7208 4.6.4) and the DNS of DMARC
    behind it, in seconds."""

    dmarc: str = "enforce"
    trusted_networks: tuple[str, ...] = ()
    timeout: float = 60.0
    on_failure: Rule = Rule.DEFER

    def __post_init__(self) -> None:
        if self.dmarc not in MODES:
            raise InvalidInput(f"filter.mailauth.dmarc = {self.dmarc!r} is wrong{nearest(self.dmarc, MODES)}")
        for network in self.trusted_networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise InvalidInput(
                    f"filter.mailauth.trusted_networks: {network!r} is no network: {error}"
                ) from error


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MESSAGE})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings
        self._context = context
        public_suffixes()  # loads now, not while the first message waits
        self._trusted = Networks(settings.trusted_networks)

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        dns, executors = self._context.dns, self._context.executors
        peer, header = transaction.peer, transaction.header
        trusted = bool(peer.account) or peer.address in self._trusted
        async with asyncio.TaskGroup() as group:
            spf_task = group.create_task(
                _nothing()
                if trusted
                else spf.check(peer, transaction.envelope, transaction.hostname, dns, executors)
            )
            dkim_task = group.create_task(
                dkim.verify(header, transaction.body, dns, executors, transaction.received_at)
            )
        spf_result, dkim_results = spf_task.result(), dkim_task.result()
        dmarc_result = await dmarc.evaluate(find_author(header), spf_result, dkim_results, dns)
        field = results.render(transaction.hostname, spf_result, dkim_results, dmarc_result)
        reasons = _reasons(spf_result, dkim_results, dmarc_result)
        refuse = self.settings.dmarc == "enforce" and not trusted
        if refuse and dmarc_result.disposition is Disposition.REJECT:
            if dmarc_result.undecided:
                return Verdict(Action.DEFER, UNDECIDED, headers=(field,), reasons=reasons)
            return Verdict(Action.REFUSE, REFUSED, headers=(field,), reasons=reasons)
        return Verdict(headers=(field,), reasons=reasons)


async def _nothing() -> None:
    return None


def _reasons(
    spf_result: spf.SpfResult | None, dkim_results: list[dkim.DkimResult], dmarc_result: dmarc.DmarcResult
) -> tuple[str, ...]:
    """For the log: what did not pass."""
    reasons = [
        f"dkim={one.result} {one.domain} {one.reason}".rstrip()
        for one in dkim_results
        if one.result != "pass"
    ]
    if spf_result is not None and spf_result.result not in ("pass", "none"):
        reasons.append(f"spf={spf_result.result} {spf_result.domain}")
    if dmarc_result.result not in ("pass", "none"):
        reasons.append(f"dmarc={dmarc_result.result} {dmarc_result.domain} {dmarc_result.reason}".rstrip())
    return tuple(reasons)
