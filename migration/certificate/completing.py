"""Digests that were not taken while copying: of messages that were in the store already, brought back by a rollback
and moved again, or copied by an earlier release. The source is asked for them now, before anything is compared."""

import contextlib
from pathlib import Path

from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, NotFound
from migration.certificate import digests, manifest
from migration.certificate.grades import Finding, Grade
from migration.certificate.manifest import Numbers
from migration.copy import fetch_ahead
from migration.ledger import Move
from migration.numbering import numbering_of
from migration.sources.contract import Listed, Source
from migration.sources.opening import open_source


async def complete(
    platform: Platform, move: Move, numbers: list[Numbers], spool: Path, found: list[Finding]
) -> int:
    """How many were taken. What the source does not give (any more) stays without; that is a finding of the
    comparison. `found` says of a source that does not answer."""
    missing = {
        each: await platform.executors.run("migration", _missing, platform, move, each) for each in numbers
    }
    if not any(missing.values()):
        return 0
    taken = 0
    try:
        backend = await platform.executors.run("directory", platform.directory.backend, move.backend)
        given = numbering_of(platform, move)
        source = await open_source(backend, move.address, spool, platform.executors, given)
        try:
            wires = {each.name: each for each in (await source.survey()).mailboxes}
            for each, uids in missing.items():
                if not uids or each.mailbox not in wires:
                    continue
                with contextlib.suppress(NotFound):  # deleted there since
                    if (await source.examine(wires[each.mailbox])).uidvalidity == each.uidvalidity:
                        taken += await _take(platform, move, source, each, uids)
        finally:
            await source.close()
    except (MailplatError, OSError) as error:
        text = f"the source could not be asked for digests that are missing: {str(error)[:200]}"
        found.append(Finding(Grade.INVESTIGATE, move.address, text))
    return taken


def _missing(platform: Platform, move: Move, numbers: Numbers) -> list[int]:
    kept = digests.read(platform.database, move.account_id, numbers.mailbox, numbers.uidvalidity)
    at = next(kept, None)
    missing = []
    for uid, _ in manifest.read(platform.database, move.account_id, numbers.mailbox):
        while at is not None and at.uid < uid:
            at = next(kept, None)
        if at is None or at.uid != uid:
            missing.append(uid)
    return missing


async def _take(platform: Platform, move: Move, source: Source, numbers: Numbers, uids: list[int]) -> int:
    sized = await source.scan(details=True, uids=uids)
    taken = 0
    async with contextlib.aclosing(
        fetch_ahead(source, [Listed(e.uid, (), size=e.size) for e in sized])
    ) as all_:
        async for _, fetched in all_:
            try:
                await platform.executors.run(
                    "migration",
                    digests.keep,
                    platform.database,
                    move.account_id,
                    numbers.mailbox,
                    numbers.uidvalidity,
                    fetched,
                )
            finally:
                for each in fetched:
                    each.body.close()
            taken += len(fetched)
    return taken
