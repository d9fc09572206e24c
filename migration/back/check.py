"""Both sides compared before the commit, from what each says now: names, UIDVALIDITY, UIDNEXT, every UID and flag,
subscriptions; of messages that went back size, date and octets too, once."""

import contextlib
from collections.abc import Sequence
from typing import Any

from mailplat.store import Mailbox
from migration import flags
from migration.back.returning import Return
from migration.copy import fetch_ahead
from migration.errors import Halt
from migration.origins import Origin, require
from migration.sources.contract import SourceMailbox

MAX_DIFFERENCES = 100


async def compare(returning: Return) -> list[str]:
    """What differs. A mailbox that is on the backend alone was made there since, and stays."""
    found: list[str] = []
    origins = require(
        await returning.book(returning.origins.of, returning.account_id), returning.move.address
    )
    survey = await returning.there.survey()
    there = {each.name: each for each in survey.mailboxes}
    ours = await returning.here.mailboxes()
    for name, mailbox in ours.items():
        origin = origins.get(mailbox.object_id)
        source = there.get(name)
        if origin is None or (source is None and origin.wire):
            found.append(f"{name}: is not on the backend")
        elif source is not None and origin.wire:
            await _mailbox(returning, source, origin, mailbox, found)
    wanted = await returning.here.subscriptions()
    if wanted & there.keys() != survey.subscriptions & there.keys():
        found.append("subscriptions differ")
    return found[:MAX_DIFFERENCES]


async def _mailbox(
    returning: Return, source: SourceMailbox, origin: Origin, mailbox: Mailbox, found: list[str]
) -> None:
    name = source.name
    status = await returning.there.select(source)
    if status.uidvalidity != origin.uidvalidity:
        found.append(f"{name}: UIDVALIDITY {origin.uidvalidity} before, {status.uidvalidity} now")
        return
    listed = {each.uid: each for each in await returning.there.scan()}
    columns = ("uid", "flags", "size", "internaldate")
    rows = {uid: rest for uid, *rest in await returning.here.rows(mailbox.id, columns)}
    if status.uidnext is not None and status.uidnext < mailbox.uidnext:
        found.append(f"{name}: UIDNEXT {mailbox.uidnext} here, {status.uidnext} on the backend")
    found += [f"{name} UID {uid}: is not on the backend" for uid in sorted(rows.keys() - listed.keys())]
    found += [f"{name} UID {uid}: is on the backend alone" for uid in sorted(listed.keys() - rows.keys())]
    permanent = returning.there.permanent
    for uid in sorted(rows.keys() & listed.keys()):
        if flags.fold(tuple(permanent.keep(rows[uid][0]))) != flags.fold(listed[uid].flags):
            found.append(f"{name} UID {uid}: flags {rows[uid][0]} here, {listed[uid].flags} on the backend")
    first = returning.checked.get(mailbox.object_id, origin.first)
    new = [uid for uid in listed if uid >= first and uid in rows]
    if not await _octets(returning, mailbox, new, rows, found):
        returning.checked[mailbox.object_id] = max(new, default=first - 1) + 1


async def _octets(
    returning: Return, mailbox: Mailbox, uids: Sequence[int], rows: dict[int, list[Any]], found: list[str]
) -> bool:
    """Whether any of them differs."""
    different = False
    sized = await returning.there.scan(details=True, uids=uids)
    for each in sized:
        mine, theirs = tuple(rows[each.uid][1:3]), (each.size, each.internaldate)
        if mine != theirs:  # the zone is shown as the server likes; the instant counts
            found.append(f"{mailbox.name} UID {each.uid}: size, date {mine} here, {theirs} on the backend")
            different = True
    async with contextlib.aclosing(fetch_ahead(returning.there, sized)) as stream:
        async for _, fetched in stream:
            try:
                wrong = await returning.here.compare(mailbox.id, fetched)
            finally:
                for one in fetched:
                    one.body.close()
            found += [f"{mailbox.name} UID {uid}: its octets differ" for uid in wrong]
            different = different or bool(wrong)
            returning.checkpoint()
    return different


def refuse(differences: Sequence[str], comparisons: int) -> None:
    if differences:
        raise Halt(
            f"the two sides differ after {comparisons} comparisons; the account stays here:"
            f" {'; '.join(differences)[:600]}"
        )
