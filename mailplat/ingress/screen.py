"""What the pipeline says of connection, greeting and sender, before there is a message.

They are looked at while the client reads our answer to MAIL, and what is against them is said at RCPT: by then it is
known whom the message is for, the log can name him, and a postmaster is reached whatever lists say (RFC 5321 4.5.1).
"""

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace

from mailplat.core.address import Address
from mailplat.filtering.pipeline import ALWAYS, Pipeline
from mailplat.filtering.stage import Phase
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

# What the phases of a connection said: they are not asked again for its next message.
Known = MutableMapping[Phase, Verdict]

FIELD = "X-Mailplat-Verdict"
# Characters of what is told of reasons in that field.
_MOST = 900
_WIDTH = 70


class Screen:
    """Of one message, from MAIL on. `close` it."""

    def __init__(self, pipeline: Pipeline, transaction: Transaction, known: Known) -> None:
        self._pipeline = pipeline
        self._transaction = transaction
        self._known = known
        self._early = asyncio.ensure_future(self._look())

    async def early(self) -> Verdict:
        return await asyncio.shield(self._early)

    async def recipient(self, address: Address) -> Verdict:
        early = await self.early()
        if address.local.casefold() in ALWAYS:
            return ACCEPTED
        if early.action is not Action.ACCEPT:
            return early
        return await self._pipeline.run(Phase.RCPT, replace(self._transaction, recipients=(address,)))

    def close(self) -> None:
        self._early.cancel()

    async def _look(self) -> Verdict:
        together = ACCEPTED
        for phase in (Phase.CONNECT, Phase.HELO, Phase.MAIL):
            verdict = self._known.get(phase)
            if verdict is None:
                verdict = await self._pipeline.run(phase, self._transaction)
                if phase is not Phase.MAIL:
                    self._known[phase] = verdict
            together += verdict
            if together.action is not Action.ACCEPT:
                break
        return together


def looks(pipeline: Pipeline) -> bool:
    """Whether there is anything to be said so early."""
    return any(map(pipeline.looks, (Phase.CONNECT, Phase.HELO, Phase.MAIL, Phase.RCPT)))


def field(verdict: Verdict) -> bytes:
    """Score and reasons, for whoever reads the message later. Printable ASCII, whatever the reasons quote."""
    text = "; ".join(verdict.reasons).encode("ascii", "replace").decode()
    words = "".join(each if each.isprintable() else "?" for each in text)[:_MOST].split(" ")
    lines, line = [], f"{FIELD}: score={verdict.score:.1f};"
    for word in words:
        if len(line) + len(word) > _WIDTH:
            lines.append(line)
            line = "\t"
        line += word if line == "\t" else f" {word}"
    return ("\r\n".join([*lines, line]).rstrip(" ;\t") + "\r\n").encode()
