"""One account of a legacy platform, by a few small commands.

Over IMAP: LIST, and STATUS of each mailbox with SIZE where the server has it (RFC 8438); elsewhere the sizes of some
messages of the fullest mailboxes, opened with EXAMINE. Over POP3: LIST and UIDL, which keep the owner's own POP3
client out while they are answered (RFC 1939 4).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailplat.core.errors import MailplatError, Unavailable
from mailplat.core.limits.census import CensusLimits
from mailplat.directory import Backend
from migration.census.facts import Facts
from migration.errors import Misbehaviour, Throttled
from migration.sources import replies
from migration.sources.contract import SourceMailbox
from migration.sources.imap import command
from migration.sources.imap_account import ImapAccount
from migration.sources.names import collisions
from migration.sources.pop3 import read_uidls


@dataclass(frozen=True, slots=True)
class _Numbers:
    mailbox: SourceMailbox
    messages: int
    unseen: int
    octets: int | None


async def read(backend: Backend, address: str, spool: Path, limits: CensusLimits) -> Facts:
    """Raises Unavailable, Throttled, Misbehaviour where it cannot be read."""
    try:
        async with asyncio.timeout(limits.patience):
            if not backend.imap:
                return await _pop3_alone(backend, address)
            source = await ImapAccount.open(backend, address, spool)
            try:
                facts = await _over_imap(source, limits)
            finally:
                await source.close()
            return await _with_pop3(backend, address, facts) if backend.pop3 else facts
    except TimeoutError as error:
        raise Unavailable(f"it took more than {limits.patience:g} s to read") from error


async def _over_imap(source: ImapAccount, limits: CensusLimits) -> Facts:
    mailboxes = await source.mailboxes()
    numbers = await _statuses(source, mailboxes[: limits.mailboxes])
    inbox = next((each for each in numbers if each.mailbox.name == "INBOX"), None)
    octets = sum(each.octets or 0 for each in numbers)
    unknown = [each for each in numbers if each.octets is None and each.messages]
    if unknown:
        octets += await _estimate(source, unknown, limits)
    return Facts(
        mailboxes=len(mailboxes),
        messages=sum(each.messages for each in numbers),
        octets=octets,
        estimated=bool(unknown),
        fullest=max((each.messages for each in numbers), default=0),
        inbox=inbox.messages if inbox else 0,
        inbox_seen=max(0, inbox.messages - inbox.unseen) if inbox else 0,
        collisions=tuple(
            f"{_text(one)} and {_text(other)}"
            for one, other, _ in collisions((each.wire, each.name) for each in mailboxes)
        ),
        condstore=source.condstore,
        uncounted=max(0, len(mailboxes) - limits.mailboxes),
    )


def _text(wire: bytes) -> str:
    return wire.decode("ascii", "backslashreplace")


async def _statuses(source: ImapAccount, mailboxes: Sequence[SourceMailbox]) -> list[_Numbers]:
    """One after another: what is asked all at once makes a busy platform wait for us. One that has gone meanwhile, or
    may not be looked into, is left out."""
    sized = b"STATUS=SIZE" in source.capabilities
    items = b"(MESSAGES UIDNEXT UNSEEN%b)" % (b" SIZE" if sized else b"")
    found = []
    for mailbox in mailboxes:
        status, _, responses = await source.ask(*command(b"STATUS", mailbox.wire, tail=items))
        if status == "BAD":
            raise Misbehaviour(f"the source answered STATUS of {_text(mailbox.wire)}: BAD")
        for response in responses:
            if replies.first(response)[:9].upper() == b"* STATUS ":
                numbers = replies.parse_status_items(response)
                if b"MESSAGES" not in numbers:
                    raise Misbehaviour(f"a STATUS without MESSAGES: {replies.first(response)[:120]!r}")
                size = numbers.get(b"SIZE")
                found.append(_Numbers(mailbox, numbers[b"MESSAGES"], numbers.get(b"UNSEEN", 0), size))
    return found


async def _estimate(source: ImapAccount, unknown: Sequence[_Numbers], limits: CensusLimits) -> int:
    fullest = sorted(unknown, key=lambda each: -each.messages)
    octets, seen, left = 0.0, [], 0
    for number, each in enumerate(fullest):
        sizes = await _sizes(source, each, limits.sampled) if number < limits.sampled_mailboxes else []
        seen += sizes
        if sizes:
            octets += sum(sizes) / len(sizes) * each.messages
        else:
            left += each.messages
    if seen:
        octets += sum(seen) / len(seen) * left
    return round(octets)


async def _sizes(source: ImapAccount, each: _Numbers, most: int) -> list[int]:
    """Of messages spread evenly over the mailbox."""
    status = await source.examine(each.mailbox)
    count = min(most, status.messages)
    if not count:
        return []
    chosen = sorted({1 + place * status.messages // count for place in range(count)})
    _, _, responses = await source.ask(
        b"FETCH %b (RFC822.SIZE)" % b",".join(b"%d" % number for number in chosen)
    )
    found = [replies.parse_fetch(response)[0].size for response in responses if replies.is_fetch(response)]
    return [size for size in found if size is not None]


async def _with_pop3(backend: Backend, address: str, facts: Facts) -> Facts:
    """What POP3 does not tell is no reason not to know the rest; but a platform that asks to wait is heard."""
    values = {name: getattr(facts, name) for name in Facts.__slots__}
    try:
        values["pop3"] = len(await read_uidls(backend, address))
    except Throttled:
        raise
    except MailplatError as error:
        values["pop3_trouble"] = str(error)
    return Facts(**values)


async def _pop3_alone(backend: Backend, address: str) -> Facts:
    entries = await read_uidls(backend, address)
    count = len(entries)
    octets = sum(size for _, size in entries)
    return Facts(
        mailboxes=1,
        messages=count,
        octets=octets,
        fullest=count,
        inbox=count,
        inbox_seen=count,
        condstore=False,
        pop3=count,
    )
