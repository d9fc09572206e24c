"""After a restart, with all clients still: the whole platform over IMAP against the ledger. What was open is settled
by what is found; what is found against the ledger is a broken promise."""

import re
from collections import Counter
from collections.abc import Callable

from tests.crash.clients import ARCHIVE, INBOX, WORK, Mailbox, Scene, look
from tests.crash.imap import Answer
from tests.crash.ledger import Batch, Box, Flags, Key, Ledger

_ROW = re.compile(rb"FETCH \((.*)\)\Z")
_VALIDITY = re.compile(rb"UIDVALIDITY (\d+)")
_UID = re.compile(rb"UID (\d+)")
_MODSEQ = re.compile(rb"MODSEQ \((\d+)\)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_DATE = re.compile(rb'INTERNALDATE "([^"]*)"')

Rows = dict[int, tuple[int, Flags, bytes]]  # MODSEQ, flags, INTERNALDATE


def inspect(
    scene: Scene, queued: Callable[[], Counter[str]], *, deep: bool = False, rebuilt: bool = False
) -> None:
    """`queued`: how many messages wait in the platform's queue for each account (what SMTP took for both shards may).
    `deep`: every message is read again, and every guest looked at. `rebuilt`: indexes were made anew since the
    last inspection. Raises ConnectionError, OSError when the platform dies meanwhile; then it is done once more."""
    ledger = scene.ledger
    scan(scene, deep=deep, rebuilt=rebuilt)
    waiting: Counter[str] = Counter()
    if any(box.owed or box.maybe - present(box) for box in ledger.boxes.values()):
        waiting = queued()
        scan(scene, deep=False, rebuilt=rebuilt)  # what left the queue before we asked is in its mailbox now
    settle(ledger, waiting, rebuilt=rebuilt)
    ledger.counts["deep inspections" if deep else "inspections"] += 1


def scan(scene: Scene, *, deep: bool, rebuilt: bool) -> None:
    ledger = scene.ledger
    guests = {account for account, _ in ledger.boxes} - set(scene.accounts)
    open_ = {box.key[0] for box in ledger.boxes.values() if box.owed or box.maybe}
    for account in (*scene.accounts, *sorted(guests if deep else guests & open_)):
        mailbox = Mailbox(scene, account)
        try:
            scratches = settle_scratches(scene, mailbox, rebuilt=rebuilt)
            names = (INBOX, WORK, ARCHIVE) if account in scene.accounts else (INBOX,)
            for name in (*names, *sorted(scratches)):
                inspect_box(mailbox, ledger.box(account, name), deep=deep, rebuilt=rebuilt)
        finally:
            mailbox.imap.close()


def present(box: Box) -> set[str]:
    return {box.names[uid] for uid in box.live}


def settle_scratches(scene: Scene, mailbox: Mailbox, *, rebuilt: bool) -> set[str]:
    """Mailboxes that clients made and deleted: those that are there must be, and the other way round."""
    answer = mailbox.must(b'LIST "" "Scratch*"')
    found = {line.rsplit(b" ", 1)[1].strip(b'"').decode() for line, _ in answer.lines if b" LIST " in line}
    for key, wanted in list(scene.exists.items()):
        if key[0] != mailbox.account:
            continue
        there = key[1] in found
        if there and rebuilt and not wanted and key in scene.unmade:
            settle_unmade(scene, mailbox, key)
        elif wanted is not None and there != wanted:
            scene.ledger.violated("mailbox", f"{key} {'came back' if there else 'is gone'}")
        scene.exists[key] = there
        if not there:
            if wanted is None:
                scene.unmade.add(key)
            forget(scene, key)
    return {name for name in found if scene.exists.get((mailbox.account, name))}


def settle_unmade(scene: Scene, mailbox: Mailbox, key: Key) -> None:
    """A rebuild has found the folder of a mailbox whose creation was never answered: not one that was deleted."""
    answer = mailbox.must(b'STATUS "%s" (UIDVALIDITY)' % key[1].encode())
    uidvalidity = next(int(found[1]) for line, _ in answer.lines if (found := _VALIDITY.search(line)))
    if uidvalidity in scene.told.get(key, ()):
        scene.ledger.violated("mailbox", f"{key} came back under {uidvalidity}, and was deleted")
    scene.validity[key] = uidvalidity - 1
    scene.unmade.discard(key)
    scene.ledger.counts["mailboxes adopted by a rebuild"] += 1


def forget(scene: Scene, key: Key) -> None:
    """A mailbox that was deleted, though nobody was told."""
    box = scene.ledger.boxes.pop(key, None)
    if box is not None:
        scene.validity[key] = max(box.uidvalidity, scene.validity.get(key, 0))
        scene.ledger.batches = [batch for batch in scene.ledger.batches if batch.target is not box]


def inspect_box(mailbox: Mailbox, box: Box, *, deep: bool, rebuilt: bool) -> None:
    ledger = mailbox.ledger
    mailbox.selected = None
    answer = mailbox.must(b"SELECT " + box.key[1].encode())
    least = box.modseq
    mailbox.check_numbers(box, least, answer)
    uidnext = int(answer.code(b"UIDNEXT") or 0)
    if uidnext < box.listed:
        ledger.violated("reused", f"{box.key}: UIDNEXT {uidnext} after {box.listed}")
    rows = read_rows(mailbox.must(b"UID FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE)"))
    unread = [uid for uid in rows if deep or uid not in box.dates]
    for start in range(0, len(unread), 50):
        look(mailbox, box, unread[start : start + 50])
    for uid, row in rows.items():
        check_row(ledger, box, uid, row, rebuilt=rebuilt)
    for uid in set(box.live) - set(rows):
        if uid not in box.leaving:
            ledger.violated("missing", f"{box.key}: UID {uid}, {box.names[uid]}, is gone")
        box.live.pop(uid)
        box.gone.add(uid)
    box.rows = {uid: (modseq, flags) for uid, (modseq, flags, _) in rows.items()}
    box.listed = max(uidnext, box.listed)
    box.inspected = box.modseq


def read_rows(answer: Answer) -> Rows:
    rows: Rows = {}
    for line, _ in answer.lines:
        found = _ROW.search(line)
        if found:
            uid, modseq, flags, date = (each.search(found[1]) for each in (_UID, _MODSEQ, _FLAGS, _DATE))
            if not (uid and modseq and flags and date):
                raise ValueError(f"not what was asked for: {line!r}")
            words = frozenset(flags[1].decode().split()) - {"\\Recent"}
            rows[int(uid[1])] = int(modseq[1]), words, date[1]
    return rows


def check_row(ledger: Ledger, box: Box, uid: int, row: tuple[int, Flags, bytes], *, rebuilt: bool) -> None:
    """One message that is there."""
    modseq, flags, date = row
    token = box.names.get(uid, "")
    ledger.counts["messages compared"] += 1
    if uid in box.gone:
        ledger.violated("returned", f"{box.key}: UID {uid}, {token}, was expunged")
    if box.dates.setdefault(uid, date) != date:
        ledger.violated("date", f"{box.key}: UID {uid} was of {box.dates[uid]!r} and is of {date!r}")
    changed = uid not in box.rows or box.rows[uid][1] != flags
    if changed and modseq <= box.inspected:
        story = f"{box.key}: UID {uid} changed under {modseq}, and {box.inspected} was shown before"
        ledger.violated("modseq", story)
    if uid not in box.live:
        newcomer(ledger, box, uid, token, rebuilt=rebuilt)
        box.live[uid] = None
    wanted = box.live[uid]
    if wanted is not None and wanted != flags:
        ledger.violated("flags", f"{box.key}: UID {uid} has {sorted(flags)}, not {sorted(wanted)}")
    box.live[uid] = flags
    box.owed.discard(token)


def newcomer(ledger: Ledger, box: Box, uid: int, token: str, *, rebuilt: bool) -> None:
    """A message whose UID was told to nobody."""
    if uid < box.listed:
        ledger.violated("reused", f"{box.key}: UID {uid}, {token}, came below UIDNEXT {box.listed}")
    twin = [each for each in box.live if each != uid and box.names.get(each) == token]
    if twin:
        kind = ledger.twins(box, twin[0], uid)
        ledger.violated(kind, f"{box.key}: {token} is UID {twin[0]} and UID {uid}")
    elif token in box.late and rebuilt:
        box.late.discard(token)
        ledger.counts["adopted by a rebuild"] += 1
    elif token not in box.owed and token not in box.maybe:
        ledger.violated("returned", f"{box.key}: UID {uid}, {token}, was neither owed nor open")


def settle(ledger: Ledger, waiting: Counter[str], *, rebuilt: bool) -> None:
    """Everything has been seen: what is still owed waits in the queue or is lost, what was open and is not there did
    not happen. `waiting`: messages in the queue for each account."""
    for batch in ledger.batches:
        settle_batch(ledger, batch, present(batch.target), rebuilt=rebuilt)
    appended = {token for batch in ledger.batches for token in batch.tokens}
    ledger.batches.clear()
    for box in ledger.boxes.values():
        queued = waiting[box.key[0]] if box.key[1] == INBOX else 0
        for token in sorted(box.owed)[: max(len(box.owed) - queued, 0)]:
            ledger.violated("missing", f"{box.key}: {token} was acknowledged")
            box.owed.discard(token)
        here = present(box)
        absent = {token for token in box.maybe - here if not queued or token in appended}
        ledger.counts["unanswered, done"] += len(box.maybe & here)
        ledger.counts["unanswered, not done"] += len(absent)
        box.late |= absent
        box.maybe -= here | absent
        box.busy.clear()
        box.leaving.clear()


def settle_batch(ledger: Ledger, batch: Batch, here: set[str], *, rebuilt: bool) -> None:
    """An append, copy or move that nobody answered: all of it, or nothing."""
    came = [token for token in batch.tokens if token in here]
    if came and len(came) < len(batch.tokens) and not rebuilt:
        ledger.violated(
            "half", f"{batch.target.key}: {len(came)} of {len(batch.tokens)} came: {batch.tokens}"
        )
    if batch.source is not None:
        for uid, token in zip(batch.uids, batch.tokens, strict=True):
            left = uid not in batch.source.live
            if left != (token in came):
                kind = "missing" if left else "doubled"
                ledger.violated(kind, f"{batch.source.key}: {token}, UID {uid}, moved to {batch.target.key}")
