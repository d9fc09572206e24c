"""After the commit: what reached the legacy platform nevertheless, by a client that knew its address or a queue that
was not ours. Such a stray comes over with a fresh UID; nothing that is here changes.

Identity of a stray is its place at the source (mailbox, UIDVALIDITY, UID), kept by the store as a dedupe key: a sweep
that is run again stores nothing twice.
"""

from collections.abc import Sequence

from mailplat.core.errors import NotFound
from mailplat.store import Appended, NewMessage
from migration import flags
from migration.book import Round, Watermark
from migration.copy import batches
from migration.crossing import Crossing
from migration.sources.contract import Listed, Source, Status
from migration.target import Target

# When to look again after the commit, seconds; retries of other platforms' queues come later and are swept by
# hand until the domain is closed.
SWEEPS_S = (2.0, 60.0, 900.0)


async def sweep(crossing: Crossing) -> Round:
    """One look. Strays are counted as added, flags that changed late as changed (they are only reported: the user
    may have changed them here since)."""
    clock = crossing.clock
    began, done = clock.monotonic(), Round("sweep", clock.now())
    survey = await crossing.source.survey()
    marks = await crossing.book(crossing.ledger.watermarks, crossing.account_id)
    for mailbox in survey.mailboxes:
        status, mark = survey.statuses.get(mailbox.name), marks.get(mailbox.name)
        if status is None or (mark is not None and mark.status == status):
            continue
        status = await crossing.source.examine(mailbox)
        known = mark.status if mark is not None and mark.status.uidvalidity == status.uidvalidity else None
        listed = await crossing.source.scan(since=known.modseq if known and status.modseq else None)
        first = (known.uidnext or 1) if known else 1
        strays = [each for each in listed if each.uid >= first]
        appended = await bring(crossing.source, crossing.target, mailbox.name, status, strays, done)
        done.added += sum(not each.duplicate for each in appended.values())
        if known and known.modseq and status.modseq:
            done.changed += len(listed) - len(strays)
        await crossing.book(
            crossing.ledger.put_watermarks,
            crossing.account_id,
            [Watermark(mailbox.name, mailbox.wire, status)],
        )
    done.seconds = clock.monotonic() - began
    return done


async def bring(
    source: Source,
    target: Target,
    name: str,
    status: Status,
    strays: Sequence[Listed],
    done: Round,
    *,
    keep_uids: bool = False,
) -> dict[int, Appended]:
    """These messages of the examined mailbox, what became of each. `keep_uids`: under their UIDs,
    which must be free."""
    sized = await source.scan(details=True, uids=[each.uid for each in strays])
    brought: dict[int, Appended] = {}
    for batch in batches(sized):
        fetched = await source.fetch([each.uid for each in batch])
        fetched.sort(key=lambda one: one.uid)
        messages = [
            NewMessage(
                body=each.body,
                flags=flags.keep(each.flags)[0],
                internaldate=each.internaldate,
                internaldate_zone=each.zone,
                dedupe=f"stray:{name}:{status.uidvalidity}:{each.uid}",
                uid=each.uid if keep_uids else None,
            )
            for each in fetched
        ]
        try:
            try:
                appended = await target.append(name, messages)
            except NotFound:  # a mailbox that was made there late, or deleted here since: mail goes to INBOX
                appended = await target.append("INBOX", messages)
        finally:
            for each in fetched:
                each.body.close()
        brought |= {each.uid: one for each, one in zip(fetched, appended, strict=True)}
        done.octets += sum(each.size or 0 for each in batch)
    return brought
