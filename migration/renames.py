"""Mailboxes that were renamed at the source between two rounds: renamed here too, instead of copied again.

The same UIDVALIDITY alone proves nothing: Dovecot gives one number to every mailbox made in the same second, and
files can be copied. So the pair must be the only one with that number, and the messages in it must be the same by
UID, size and date. Nor does it prove anything of a name that stayed, where others have the number too: they may have
exchanged names.
"""

from collections import Counter

from mailplat.store import Mailbox
from migration.book import Watermark
from migration.crossing import Crossing
from migration.errors import Halt
from migration.sources.contract import SourceMailbox, Survey


async def follow(crossing: Crossing, survey: Survey, marks: dict[str, Watermark]) -> int:
    """Rename what was renamed; how many. `marks` is brought up to date."""
    done = 0
    for old, new in _candidates(survey, marks):
        ours = await crossing.target.mailboxes()
        if old not in ours or new.name in ours or not await _same_messages(crossing, ours[old], new):
            continue
        await crossing.target.rename(old, new.name)
        await crossing.book(crossing.ledger.rename_watermarks, crossing.account_id, old, new.name)
        marks.clear()
        marks.update(await crossing.book(crossing.ledger.watermarks, crossing.account_id))
        done += 1
    return done


def _candidates(survey: Survey, marks: dict[str, Watermark]) -> list[tuple[str, SourceMailbox]]:
    """(old name, mailbox with a new name), parents first."""
    there = {each.name: each for each in survey.mailboxes}
    missing = {name: mark.status.uidvalidity for name, mark in marks.items() if name not in there}
    fresh = {
        name: survey.statuses[name].uidvalidity
        for name in there
        if name not in marks and name in survey.statuses
    }
    lost, found = Counter(missing.values()), Counter(fresh.values())
    pairs = []
    for old, uidvalidity in sorted(missing.items()):
        if lost[uidvalidity] == 1 and found[uidvalidity] == 1:
            new = next(name for name, number in fresh.items() if number == uidvalidity)
            pairs.append((old, there[new]))
    return pairs


def doubtful(survey: Survey) -> set[str]:
    """Names of mailboxes that share their UIDVALIDITY with another one, and have no id either (RFC 8474)."""
    numbers = Counter(status.uidvalidity for status in survey.statuses.values())
    return {
        each.name
        for each in survey.mailboxes
        if each.object_id is None
        and each.name in survey.statuses
        and numbers[survey.statuses[each.name].uidvalidity] > 1
    }


async def check(crossing: Crossing, ours: Mailbox, there: SourceMailbox) -> None:
    """Halt where a doubtful mailbox has other messages under the UIDs that are known of it. Reads a line of every
    message."""
    if await _same_messages(crossing, ours, there) is False:
        raise Halt(
            f"mailbox {there.name!r} shares its UIDVALIDITY with another one of the account, and other messages have"
            " its UIDs now: the two may have exchanged names. Nothing was changed here. To copy the account afresh:"
            f" mailplat migrate resume {crossing.move.domain} --afresh {crossing.move.address}"
        )


async def _same_messages(crossing: Crossing, ours: Mailbox, new: SourceMailbox) -> bool | None:
    """None: they have no UID in common."""
    await crossing.source.examine(new)
    common = False
    for span in await crossing.source.spans():
        listed = await crossing.source.scan(details=True, span=span)
        there = {each.uid: (each.size, each.internaldate) for each in listed}
        columns = ("uid", "size", "internaldate")
        here = {
            uid: (size, date) for uid, size, date in await crossing.target.rows(ours.id, columns, None, span)
        }
        both = there.keys() & here.keys()
        common = common or bool(both)
        if any(there[uid] != here[uid] for uid in both):
            return False
    return common or None
