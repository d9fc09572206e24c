"""Mailboxes that were renamed, made or deleted here since the commit. They are known by MAILBOXID, never by name or
UIDVALIDITY alone: a name may be another mailbox's by now, and a backend may give one UIDVALIDITY twice.

A name that is in the way there is made free by moving its mailbox aside; whatever is aside is renamed or removed in
the end, because it is known here too.
"""

from dataclasses import dataclass, field, replace

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store import Mailbox
from migration.back.returning import Return
from migration.book import Round
from migration.errors import Halt
from migration.origins import Origin, require
from migration.sources.contract import SourceMailbox, Survey
from migration.sources.names import encode_name

# Of a mailbox that has to make room for a while.
ASIDE = "mailplat-aside-"
# Renames in one round: more of them than mailboxes, and they turn in a circle.
MOST = 10_000


@dataclass(slots=True)
class Names:
    survey: Survey
    pairs: list[tuple[SourceMailbox, Origin, Mailbox]] = field(default_factory=list)
    leaving: list[tuple[SourceMailbox, Origin]] = field(default_factory=list)  # deleted here


async def follow(returning: Return, done: Round) -> Names:
    """Every mailbox here has its own there, under its name. Raises Halt, Unavailable."""
    origins = require(
        await returning.book(returning.origins.of, returning.account_id), returning.move.address
    )
    ours = {each.object_id: each for each in (await returning.here.mailboxes()).values()}
    survey = await returning.there.survey()
    await _readmit(returning, origins, ours, survey)
    for _ in range(MOST):
        step = _next(returning, origins, ours, survey)
        if step is None:
            break
        origin, name = step
        await _rename(returning, origins, origin, name, survey)
        done.mailboxes += 1
        survey = await returning.there.survey()
    else:
        raise Unavailable("mailboxes are renamed here as fast as they are there")
    for mailbox in sorted(ours.values(), key=lambda each: each.name):  # parents first
        if await _make(returning, origins, mailbox, survey):
            done.mailboxes += 1
    survey = await returning.there.survey()
    there = {each.name: each for each in survey.mailboxes}
    names = Names(survey)
    for object_id, origin in origins.items():
        source = there.get(origin.name)
        if object_id not in ours:
            status = survey.statuses.get(origin.name)
            if source is not None and status is not None and status.uidvalidity == origin.uidvalidity:
                names.leaving.append((source, origin))
            else:  # it is not there any more; what has its name now is another one
                await returning.drop(object_id)
        elif source is not None:
            names.pairs.append((source, origin, ours[object_id]))
    names.pairs.sort(key=lambda pair: (pair[2].name != "INBOX", pair[2].name))
    return names


async def _readmit(
    returning: Return, origins: dict[str, Origin], ours: dict[str, Mailbox], survey: Survey
) -> None:
    """Mailboxes that the backend does not have any more, or under another UIDVALIDITY: deleted and made again, or an
    index rebuilt. Its UIDs mean other messages to clients. When that is accepted each message there is compared by
    its octets with what is here, and what is missing is appended. Nothing is removed by what was known before."""
    there = {each.name for each in survey.mailboxes}
    for object_id, origin in list(origins.items()):
        mine, status = ours.get(object_id), survey.statuses.get(origin.name)
        if mine is None or not origin.wire or (status and status.uidvalidity == origin.uidvalidity):
            continue
        renamed = survey.statuses.get(mine.name)
        if origin.name not in there and renamed and renamed.uidvalidity == origin.uidvalidity:
            continue  # by us, before a crash
        what = f"UIDVALIDITY {status.uidvalidity} there now" if status else "gone there"
        if not returning.move.renumbering_allowed:
            raise Halt(
                f"mailbox {origin.name!r} had UIDVALIDITY {origin.uidvalidity} on the backend and is {what}. Nothing"
                " was changed there. It can go back whole, clients then download it again: mailplat migrate rollback"
                f" {returning.move.domain} --accept-new-uids"
            )
        if status is None:
            del origins[object_id]
            await returning.drop(object_id)
            continue
        origins[object_id] = replace(
            origin, uidvalidity=status.uidvalidity, first=1, below=1, modseq=0, seen_modseq=0
        )
        await returning.put(origins[object_id])


def _next(
    returning: Return, origins: dict[str, Origin], ours: dict[str, Mailbox], survey: Survey
) -> tuple[Origin, str] | None:
    """The next mailbox to be renamed there, and its new name."""
    there = {each.name for each in survey.mailboxes}
    holders = {origin.name: origin for origin in origins.values() if origin.wire}
    blocked: list[str] = []
    for object_id, origin in sorted(origins.items(), key=lambda item: item[1].name):
        mine = ours.get(object_id)
        if mine is None or not origin.wire or mine.name == origin.name:
            continue
        status = survey.statuses.get(mine.name)
        if origin.name not in there:
            if status is not None and status.uidvalidity == origin.uidvalidity:
                return origin, mine.name  # done before a crash: only written down
            raise Halt(f"mailbox {origin.name!r} was deleted or renamed on the backend after the cutover")
        if mine.name not in there:
            return origin, mine.name
        blocked.append(mine.name)
    # Made here under a name that another mailbox still has there.
    fresh = [each.name for each in ours.values() if each.object_id not in origins and each.name in there]
    for name in [*blocked, *fresh]:
        holder = holders.get(name)
        if holder is None:
            if name in blocked:
                raise Halt(f"mailbox {name!r} was made on the backend after the cutover; rename it there")
            continue  # taken for ours, see _make
        return holder, f"{ASIDE}{holder.object_id[:40]}"
    return None


async def _rename(
    returning: Return, origins: dict[str, Origin], origin: Origin, name: str, survey: Survey
) -> None:
    """With all below it. Step: back.renamed."""
    there = returning.there
    known = next((each.wire for each in survey.mailboxes if each.name == origin.name), None)
    if known is not None:  # else it was before a crash: the survey shows it under its new name
        await there.rename(known, encode_name(name, await there.separator()))
    disk.step("back.renamed")
    old = origin.name
    present = {each.name: each for each in (await there.survey()).mailboxes}
    for object_id, each in list(origins.items()):
        if each.name == old or each.name.startswith(f"{old}/"):
            new = name + each.name[len(old) :]
            if new in present:
                origins[object_id] = replace(each, name=new, wire=present[new].wire, seen_modseq=0)
                await returning.put(origins[object_id])


async def _make(returning: Return, origins: dict[str, Origin], mailbox: Mailbox, survey: Survey) -> bool:
    """A mailbox that was made here. It gets a UIDVALIDITY of the backend's: no server lets us choose one. Step:
    back.made."""
    known = origins.get(mailbox.object_id)
    if known is not None and (known.wire or (not mailbox.messages and mailbox.uidnext == 1)):
        return False  # a parent that cannot be opened there stays one
    there, found = returning.there, {each.name: each for each in survey.mailboxes}
    made = mailbox.name not in found
    if made:
        prefix = (await there.namespaces())[0]
        wire = encode_name(mailbox.name, await there.separator())
        if prefix and not wire.startswith(prefix) and wire.upper() != b"INBOX":
            raise Halt(
                f"the backend takes mailboxes below {prefix.decode('utf-8', 'replace')!r} only, {mailbox.name!r}"
                " was made beside it here; move it below, or delete it"
            )
        await there.create(wire)
        disk.step("back.made")
    survey = await there.survey()
    source = next((each for each in survey.mailboxes if each.name == mailbox.name), None)
    status = survey.statuses.get(mailbox.name)
    if source is None or status is None:
        raise Halt(f"the backend has made mailbox {mailbox.name!r} and does not show it")
    if status.uidvalidity != mailbox.uidvalidity and any(
        each.uidvalidity == status.uidvalidity and each.name.startswith(ASIDE) for each in origins.values()
    ):
        raise Halt(
            f"the backend gave {mailbox.name!r} the UIDVALIDITY of the mailbox that had this name before"
        )
    origin = Origin(
        object_id=mailbox.object_id,
        name=mailbox.name,
        wire=source.wire,
        uidvalidity=status.uidvalidity,
        first=1,
        below=1,
        modseq=0,
    )
    origins[mailbox.object_id] = origin
    await returning.put(origin)
    return made
