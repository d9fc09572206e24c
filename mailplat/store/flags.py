"""STORE: change flags (RFC 3501 6.4.6, RFC 7162 3.1.3). Work grows with the sets of flags, then with the rows."""

from collections.abc import Collection

from sqlalchemy.engine import Connection

from mailplat.core.hint import MailboxChanged
from mailplat.core.rights import ALL, Rights, of_flag
from mailplat.core.route import Residence
from mailplat.db.driver import change
from mailplat.store.fetch import select_messages
from mailplat.store.flagsets import DELETED, SEEN, Numbering
from mailplat.store.mailboxes import advance
from mailplat.store.site import Site
from mailplat.store.types import FlagMode, UidRanges

Changed = list[tuple[int, int, tuple[str, ...]]]


def store_flags(
    site: Site,
    residence: Residence,
    mailbox_id: int,
    uids: UidRanges,
    mode: FlagMode,
    flags: Collection[str],
    unchanged_since: int | None = None,
    *,
    rights: Rights = ALL,
) -> tuple[Changed, list[int]]:
    """(uid, modseq, flags) of each message whose flags are now other than before, and the UIDs of those that
    were left alone because their MODSEQ is above `unchanged_since`. A message that has the flags already keeps
    its MODSEQ and is in neither. Flags that `rights` do not allow stay as they are (RFC 4314 4). Raises NotFound,
    StaleEpoch, InvalidInput, LimitReached."""
    flags = [flag for flag in flags if of_flag(flag) in rights]
    touched = mask_within(rights)

    def apply(connection: Connection) -> tuple[Changed, list[int]]:
        site.check_epoch(connection, residence)
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        numbering = Numbering(connection, site.library, mailbox_id, site.limits)
        given = numbering.mask_of(flags, create=mode != "remove")
        found = [
            each
            for piece in select_messages(connection, mailbox_id, uids, "m.uid, m.modseq, m.flagset")
            for each in piece
        ]
        failed: list[int] = []
        if unchanged_since is not None:
            failed = [uid for uid, modseq, _ in found if modseq > unchanged_since]
            found = [each for each in found if each[1] <= unchanged_since]
        becomes: dict[int, int] = {}
        masks: dict[int, int] = {}
        for number in {each[2] for each in found}:
            masks[number] = numbering.mask(number)
            becomes[number] = numbering.number_of(_combine(mode, masks[number], given, touched))
        changed = [(uid, old, becomes[old]) for uid, _, old in found if becomes[old] != old]
        if not changed:
            return [], failed
        modseq = row.modseq + 1
        seen = {number: bool(numbering.mask(number) & SEEN) for pair in changed for number in pair[1:]}
        unseen = sum(seen[old] - seen[new] for _, old, new in changed)
        advance(site, connection, row, row.uidnext, modseq, unseen=unseen)
        change(
            connection,
            "UPDATE message SET modseq = ?, flagset = ? WHERE mailbox_id = ? AND uid = ?",
            *((modseq, new, mailbox_id, uid) for uid, _, new in changed),
        )
        names = {new: numbering.flags(new) for _, _, new in changed}
        return [(uid, modseq, names[new]) for uid, _, new in changed], failed

    result = site.write(apply)
    if result[0]:
        site.publish(MailboxChanged(residence.account_id, mailbox_id))
    return result


def mask_within(rights: Rights) -> int:
    """The bits of the flags that may be changed; all of the keywords', also of those to come, or none."""
    mask = ~(SEEN | DELETED) if "w" in rights else 0
    return mask | (SEEN if "s" in rights else 0) | (DELETED if "t" in rights else 0)


def _combine(mode: FlagMode, old: int, given: int, touched: int) -> int:
    if mode == "add":
        return old | given
    return old & ~given if mode == "remove" else (old & ~touched) | given
