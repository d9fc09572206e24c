"""One account: read again as its user, compared, the source asked once more; what came of it is kept."""

import json
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailplat.app.wiring import Platform
from mailplat.core import disk
from mailplat.core.errors import MailplatError
from mailplat.db.engine import Database
from migration.certificate import digests, manifest, merkle, tables
from migration.certificate.comparison import MailboxResult, compare_messages, compare_numbers
from migration.certificate.completing import complete
from migration.certificate.grades import Finding, Grade, worst
from migration.certificate.manifest import Numbers
from migration.certificate.reader import UserReader
from migration.certificate.resample import resample
from migration.ledger import Move
from migration.sources.contract import SourceMailbox, Survey

# Of an account's findings in a certificate; the number of the others is in it.
MAX_FINDINGS = 1000


async def gather(platform: Platform, move: Move, who: str) -> dict[str, Any]:
    """Of an account that has moved. Kept when this returns. Raises Unavailable where the ledger cannot be read; that
    our IMAP server, or the source, could not be is a finding."""
    epoch, numbers = await platform.executors.run(
        "migration", manifest.numbers, platform.database, move.account_id
    )
    found: list[Finding] = []
    if not numbers:
        text = "nothing was kept of what the source said inside the fence: it was moved by an earlier release"
        found.append(Finding(Grade.INVESTIGATE, move.address, text))
    results = [MailboxResult(each, f"{move.address} {each.mailbox}") for each in numbers]
    rights: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="mailplat-certificate-") as spool:
        late = await complete(platform, move, numbers, Path(spool), found)
        read = await _read(platform, move, who, Path(spool), results, rights, found)
        octets = sum(each.octets for each in results)
        again, pop3 = await resample(platform, move, numbers, octets, Path(spool), found)
    listed, more = choose(move.address, found, results)
    mailboxes = [_mailbox(each, rights) for each in results]
    content = {
        "fence_epoch": epoch,
        "read": read,
        "digests_late": late,
        "mailboxes": mailboxes,
        "source_root": _root(mailboxes, "source_root", "messages").hex(),
        "target_root": _root(mailboxes, "target_root", "read").hex(),
        "resample": again.to_json(),
        "pop3": pop3,
        "grade": worst(listed).label,
        "findings": [
            {"grade": each.grade.label, "where": each.where, "text": each.text, "item": each.item}
            for each in listed
        ],
        "more_findings": more,
    }
    await platform.executors.run("migration", keep, platform.database, move, platform.clock.now(), content)
    return content


def choose(address: str, found: list[Finding], results: list[MailboxResult]) -> tuple[list[Finding], int]:
    """The findings that are listed, the worst first, and how many are not. Who approves approves what he reads: those
    that are not listed are one item more, which has their number in it."""
    everything = [*found, *(finding for each in results for finding in each.findings)]
    everything.sort(key=lambda each: -each.grade)
    listed, rest = everything[:MAX_FINDINGS], everything[MAX_FINDINGS:]
    stopping = sum(each.grade >= Grade.INVESTIGATE for each in rest) + sum(
        each.unapproved for each in results
    )
    if stopping:
        text = f"{stopping} more differences are counted, and not listed one by one"
        listed.append(Finding(Grade.INVESTIGATE, address, text))
    return listed, len(rest) + sum(each.suppressed for each in results)


async def _read(
    platform: Platform,
    move: Move,
    who: str,
    spool: Path,
    results: list[MailboxResult],
    rights: dict[str, dict[str, str]],
    found: list[Finding],
) -> bool:
    """Whether all of it could be read."""
    if not results:
        return False
    try:
        reader = await UserReader.enter(platform, move.account_id, move.address, spool, who)
        try:
            survey = await reader.own(platform.settings.imap.shared_prefix)
            for result in results:
                mailbox = _locate(survey, result, {each.numbers.mailbox for each in results})
                if mailbox is None:
                    continue
                await _read_mailbox(platform, move, reader, mailbox, result)
                rights[result.numbers.mailbox] = await reader.rights(mailbox)
                if result.numbers.subscribed != (mailbox.name in survey.subscriptions):
                    result.find(Grade.GOOD, "its subscription was changed since the commit")
                if result.numbers.special_use != mailbox.special_use:
                    text = f"special use {mailbox.special_use!r} here, {result.numbers.special_use!r} there"
                    result.find(Grade.INVESTIGATE, text)
        finally:
            await reader.close()
    except (MailplatError, OSError) as error:
        found.append(
            Finding(Grade.INVESTIGATE, move.address, f"could not be read over our own IMAP server: {error}")
        )
        return False
    return True


def _locate(survey: Survey, result: MailboxResult, names: set[str]) -> SourceMailbox | None:
    """What the mailbox of the commit is now; None where that cannot be told. The fence found it here, so its owner
    has deleted it, or made another of its name: a person who asks him may say so, and the item lists what is at
    stake."""
    numbers, here = result.numbers, {each.name: each for each in survey.mailboxes}

    def is_it(name: str) -> bool:
        status = survey.statuses.get(name)
        return status is not None and status.uidvalidity == numbers.our_uidvalidity

    if is_it(numbers.mailbox):
        return here[numbers.mailbox]
    renamed = [name for name in here if name not in names and is_it(name)]
    if len(renamed) == 1:
        result.find(Grade.GOOD, f"was renamed to {renamed[0]!r} since the commit")
        return here[renamed[0]]
    what = "is not here" if numbers.mailbox not in here else "is another mailbox, with another UIDVALIDITY,"
    result.find(Grade.INVESTIGATE, f"{what} since the commit; {numbers.messages} messages were in it")
    return None


async def _read_mailbox(
    platform: Platform, move: Move, reader: UserReader, mailbox: SourceMailbox, result: MailboxResult
) -> None:
    numbers, database = result.numbers, platform.database
    opened = await reader.open(mailbox, numbers.our_uidvalidity, numbers.our_modseq)
    status = opened.status
    said = {"uidvalidity": status.uidvalidity, "uidnext": status.uidnext, "modseq": status.modseq}
    compare_numbers(result, said)
    await compare_messages(
        result,
        manifest.read(database, move.account_id, numbers.mailbox),
        digests.read(database, move.account_id, numbers.mailbox, numbers.uidvalidity),
        reader.messages(status, numbers.our_uidnext),
        opened.vanished,
    )
    if result.expunged_since:
        result.find(Grade.GOOD, f"{result.expunged_since} messages were expunged here since the commit")


def _mailbox(result: MailboxResult, rights: dict[str, dict[str, str]]) -> dict[str, Any]:
    numbers: Numbers = result.numbers
    return {
        "name": numbers.mailbox,
        "grade": result.grade.label,
        "uidvalidity": numbers.uidvalidity,
        "messages": numbers.messages,
        "octets": result.octets,
        "read": result.target.leaves,
        "read_octets": result.target_octets,
        "compared": result.compared,
        "changed_since": result.changed_since,
        "expunged_since": result.expunged_since,
        "source": {"uidnext": numbers.uidnext, "highestmodseq": _text(numbers.modseq)},
        "target": {
            "uidvalidity": numbers.our_uidvalidity,
            "uidnext": numbers.our_uidnext,
            "highestmodseq": _text(numbers.our_modseq),
        },
        "special_use": numbers.special_use,
        "subscribed": numbers.subscribed,
        "rights": [
            {"identifier": who, "rights": what}
            for who, what in sorted(rights.get(numbers.mailbox, {}).items())
        ],
        "source_root": result.source.root().hex(),
        "common_root": result.common.root().hex(),
        "target_root": result.target.root().hex(),
    }


def _text(modseq: int | None) -> str | None:
    """A MODSEQ has 63 bits (RFC 7162 7), a number in JSON 53 (RFC 8259 6)."""
    return None if modseq is None else str(modseq)


def _root(mailboxes: list[dict[str, Any]], which: str, count: str) -> bytes:
    return merkle.root_of(
        merkle.mailbox_leaf(each["name"], each["uidvalidity"], each[count], bytes.fromhex(each[which]))
        for each in mailboxes
    )


def keep(database: Database, move: Move, at: float, content: dict[str, Any]) -> None:
    mine = tables.evidence.c.account_id == move.account_id
    with database.write() as connection:
        connection.execute(tables.evidence.delete().where(mine))
        connection.execute(
            tables.evidence.insert().values(
                account_id=move.account_id,
                moved=move.moved,
                at=at,
                content=json.dumps(content, ensure_ascii=False),
            )
        )
    disk.step("cert.evidence")


def find(database: Database, move: Move) -> tuple[float, dict[str, Any]] | None:
    """(Unix time, content); None where there is none of this commit."""
    column = tables.evidence.c
    query = sa.select(column.at, column.content).where(
        column.account_id == move.account_id, column.moved == move.moved
    )
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], json.loads(row[1]))
