"""What is on the backend above the last UID that is known to have gone back.

After a lost reply or a crash it may be what we appended: recognised by its octets, never appended twice. It may be a
filler. Or it is a stray: something else wrote there. A stray whose UID was never used here comes over with that UID,
which nobody notices. One whose UID was used here for another message is a conflict: one UID would be two messages
under one UIDVALIDITY, so nothing goes back until a person accepts new UIDs. Then the messages here that are in the
way get fresh UIDs, and so does the stray; clients download those again, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailplat.store import Mailbox
from migration.back.returning import Return
from migration.book import Round
from migration.copy import batches
from migration.errors import Halt
from migration.origins import Origin
from migration.sources.contract import Listed, Status
from migration.sweep import bring


def filler(uid: int) -> bytes:
    """What holds a UID for a moment."""
    return (
        b"From: mailplat <postmaster@mailplat.invalid>\r\nSubject: placeholder, to be expunged\r\n"
        b"X-Mailplat-Placeholder: UID %d is not used again\r\n\r\n" % uid
    )


@dataclass(slots=True)
class Findings:
    fillers: list[int] = field(default_factory=list)  # there
    misplaced: list[int] = field(default_factory=list)  # there: ours, under another UID than it has here
    fresh: list[int] = field(default_factory=list)  # there: strays whose UID was never used here
    strays: list[int] = field(default_factory=list)  # there: strays whose UID was used here
    blocked: list[int] = field(default_factory=list)  # here: cannot have their UID there any more


async def judge(
    returning: Return,
    origin: Origin,
    mailbox: Mailbox,
    listed: Mapping[int, Listed],
    have: Mapping[int, object],
    uidnext: int,
) -> Findings:
    """Of the opened mailbox. `have`: UIDs here; `uidnext`: there."""
    found = Findings()
    doomed = returning.doomed.get(origin.object_id, set())
    above = [uid for uid in listed if uid >= origin.below and uid not in doomed]
    found.blocked = [uid for uid in have if uid not in listed and uid < uidnext]
    pending = {uid for uid in have if uid >= origin.below and uid not in listed}
    sizes = dict(await returning.here.rows(mailbox.id, ("uid", "size"), pending)) if pending else {}
    sized = await returning.there.scan(details=True, uids=above)
    for batch in batches(sized):
        for each in await returning.there.fetch([one.uid for one in batch]):
            with each.body.open() as file:
                octets = file.read()
            each.body.close()
            await _judge_one(returning, mailbox, each.uid, octets, have, sizes, found)
    return found


async def _judge_one(
    returning: Return,
    mailbox: Mailbox,
    uid: int,
    octets: bytes,
    have: Mapping[int, object],
    sizes: Mapping[int, int],
    found: Findings,
) -> None:
    if uid in have:
        if await returning.here.content(mailbox.id, uid) != octets:
            found.strays.append(uid)
            found.blocked.append(uid)
        return
    if octets == filler(uid):
        found.fillers.append(uid)
        return
    for other in [each for each, size in sizes.items() if size == len(octets)]:
        if await returning.here.content(mailbox.id, other) == octets:
            found.misplaced.append(uid)
            return
    (found.fresh if uid >= mailbox.uidnext else found.strays).append(uid)


async def settle(
    returning: Return,
    origin: Origin,
    mailbox: Mailbox,
    status: Status,
    listed: Mapping[int, Listed],
    found: Findings,
    done: Round,
) -> bool:
    """True when something changed here, so that the mailbox has to be looked at again. Raises Halt."""
    doomed = returning.doomed.setdefault(origin.object_id, set())
    doomed.update(found.misplaced)
    if found.fresh:
        strays = [listed[uid] for uid in found.fresh]
        came = await bring(
            returning.there, returning.here, mailbox.name, status, strays, done, keep_uids=True
        )
        # It came before, by a sweep, under another UID.
        found.strays += [uid for uid, one in came.items() if one.uid != uid]
        if not found.strays:
            return True
    if not found.strays and not found.blocked:
        return False
    if not returning.move.renumbering_allowed:
        raise Halt(_text(returning, mailbox, found))
    await bring(
        returning.there, returning.here, mailbox.name, status, [listed[u] for u in found.strays], done
    )
    doomed.update(found.strays)
    if found.blocked:
        # Above all that the backend has used, too.
        await returning.here.raise_numbers(mailbox.id, status.uidnext or max(listed, default=0) + 1, 1)
        count = await returning.here.renumber(mailbox, found.blocked)
        renumbered = returning.move.renumbered + count
        await returning.book(returning.ledger.set, returning.account_id, renumbered=renumbered)
    return True


def _text(returning: Return, mailbox: Mailbox, found: Findings) -> str:
    uids = sorted({*found.strays, *found.blocked})
    some = ", ".join(map(str, uids[:5])) + " ..." * (len(uids) > 5)
    return (
        f"mailbox {mailbox.name!r}: the backend has used UID {some} for something else since the cutover;"
        f" clients know {len(found.blocked)} messages by those. Nothing was removed. They can go back"
        f" under new UIDs, clients then download them again: mailplat migrate rollback {returning.move.domain}"
        " --accept-new-uids"
    )
