"""The source once more, where it still answers: the octets that it gives now against the digests that were taken
while it was copied, and POP3's list against ours.

Of an account below `compared.WHOLE_BELOW` every message; of a larger one the share of `compared.SAMPLE_SHARE` of each
mailbox, and all that came after the first copy.
"""

import contextlib
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, NotFound
from mailplat.core.route import Residence, ShardHome
from mailplat.directory import Backend
from migration.certificate import digests, merkle
from migration.certificate.digests import Digest, sha256_of
from migration.certificate.grades import Finding, Grade
from migration.certificate.manifest import Numbers
from migration.compared import SAMPLE_LEAST, SAMPLE_SHARE, WHOLE_BELOW, Compared
from migration.copy import fetch_ahead
from migration.ledger import Move
from migration.numbering import numbering_of
from migration.sources.contract import Listed, Source, Survey
from migration.sources.opening import open_source
from migration.sources.pop3 import read_uidls
from migration.target import Target

# UIDLs of a list that are named when the two differ.
SHOWN = 3


@dataclass(slots=True)
class Resample:
    messages: int = 0
    octets: int = 0
    whole: bool = False
    gone: int = 0  # at the source since; the legacy platform is not closed yet
    reason: str = ""  # why it could not be asked

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


async def resample(
    platform: Platform, move: Move, numbers: list[Numbers], octets: int, spool: Path, found: list[Finding]
) -> tuple[Resample, dict[str, Any]]:
    """What was read again, and POP3's list. Differences are added to `found`; a source that does not answer is one
    that was not looked at."""
    done, pop3 = Resample(whole=octets < WHOLE_BELOW), {"compared": False, "format": move.uidl_format}
    try:
        backend = await platform.executors.run("directory", platform.directory.backend, move.backend)
        given = numbering_of(platform, move)
        source = await open_source(backend, move.address, spool, platform.executors, given)
        try:
            survey = await source.survey()
            for each in numbers:
                await _mailbox(platform, move, source, survey, each, done, found)
        finally:
            await source.close()
        if not backend.imap:
            text = "flags, folders, subscriptions, dates: the source has only POP3, which has none to compare with"
            found.append(Finding(Grade.GOOD, move.address, text))
        if backend.pop3:
            pop3 |= await _uidls(platform, move, backend, numbers, found)
    except (MailplatError, OSError) as error:
        done.reason = str(error) or type(error).__name__
        covered = Compared.from_json(move.verified)
        grade = Grade.GOOD if covered.hashed else Grade.INVESTIGATE
        found.append(Finding(grade, move.address, "the source could not be read once more after the move"))
    return done, pop3


async def _mailbox(
    platform: Platform,
    move: Move,
    source: Source,
    survey: Survey,
    numbers: Numbers,
    done: Resample,
    found: list[Finding],
) -> None:
    where = f"{move.address} {numbers.mailbox}"
    mailbox = next((each for each in survey.mailboxes if each.name == numbers.mailbox), None)
    if mailbox is None:
        done.gone += numbers.messages
        return
    try:
        status = await source.examine(mailbox)
    except NotFound:
        done.gone += numbers.messages
        return
    if status.uidvalidity != numbers.uidvalidity:
        found.append(Finding(Grade.GOOD, where, "the source gave it another UIDVALIDITY since the commit"))
        return
    chosen = await platform.executors.run("migration", _choose, platform, move, numbers, done.whole)
    wanted = [Listed(each.uid, (), size=each.size) for each in chosen.values()]
    async with contextlib.aclosing(fetch_ahead(source, wanted)) as stream:
        async for batch, fetched in stream:
            done.gone += len(batch) - len(fetched)
            for each in fetched:
                kept = chosen[each.uid]
                digest = await platform.executors.run("migration", sha256_of, each.body)
                done.messages, done.octets = done.messages + 1, done.octets + each.body.size
                each.body.close()
                if digest != kept.sha256:
                    text = f"UID {each.uid}: the source gives other octets than when it was copied"
                    found.append(Finding(Grade.INVESTIGATE, where, text))


def _choose(platform: Platform, move: Move, numbers: Numbers, whole: bool) -> dict[int, Digest]:
    """By UID. Which they are depends on the account and the commit, not on the day."""
    every = digests.read(platform.database, move.account_id, numbers.mailbox, numbers.uidvalidity)
    if whole:
        return {each.uid: each for each in every}
    first = Compared.from_json(move.verified).copied.get(numbers.mailbox)
    new = first[1] if first and first[0] == numbers.uidvalidity else 0
    choice = random.Random(f"{move.account_id} {move.route.epoch} {numbers.mailbox}")
    share = max(SAMPLE_SHARE, min(1.0, SAMPLE_LEAST / max(1, numbers.messages)))
    return {each.uid: each for each in every if each.uid >= new or choice.random() < share}


async def _uidls(
    platform: Platform, move: Move, backend: Backend, numbers: list[Numbers], found: list[Finding]
) -> dict[str, Any]:
    """Order and words of the two lists; what came after the commit, and what is gone on one side, is left out. POP3's
    list here is read from the index: a pass opens IMAP only."""
    inbox = next((each for each in numbers if each.mailbox == "INBOX"), None)
    home = move.route.home
    if inbox is None or not isinstance(home, ShardHome):
        return {}
    there = [uidl for uidl, _ in await read_uidls(backend, move.address)]
    target = Target(
        platform.store, platform.executors, Residence(move.account_id, home.shard, move.route.epoch)
    )
    ours = (await target.mailboxes())["INBOX"]
    here = [uidl for uid, uidl in await target.maildrop(ours.id) if uid < inbox.our_uidnext]
    common = set(there) & set(here)
    left, right = [each for each in there if each in common], [each for each in here if each in common]
    unknown = [each for each in here if each not in common]
    order = sum(a != b for a, b in zip(left, right, strict=False))
    if order:
        text = f"POP3 lists {order} messages in another order than the source"
        found.append(Finding(Grade.INVESTIGATE, f"{move.address} INBOX", text))
    if unknown and len(unknown) > inbox.messages - len(there):
        text = f"{len(unknown)} UIDLs are here that the source does not list: {', '.join(unknown[:SHOWN])}"
        found.append(Finding(Grade.INVESTIGATE, f"{move.address} INBOX", text))
    return {
        "compared": True,
        "source": len(there),
        "target": len(here),
        "out_of_order": order,
        "only_target": len(unknown),
        "list_sha256": merkle.root_of(each.encode() for each in right).hex(),
    }
