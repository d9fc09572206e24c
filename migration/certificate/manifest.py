"""Which messages with which flags the source had inside the fence, when nobody wrote on either side, and the
numbers of both sides then. Kept before the commit: what is committed has one, and all that is read later is compared
with it.
"""

import functools
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from mailplat.core import disk
from mailplat.db.engine import Database
from mailplat.store import Mailbox
from migration import flags
from migration.certificate import tables
from migration.sources.contract import Listed, SourceMailbox, Status

# Messages in one row: some 20 kB, compressed 4 kB.
PART_MESSAGES = 4096


@dataclass(frozen=True, slots=True)
class Said:
    """One mailbox inside the fence."""

    numbers: "Numbers"
    parts: list[tuple[int, bytes]]  # first UID, lines


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of the source, and of us as the commit left them; None: the source does not say."""

    mailbox: str
    uidvalidity: int
    messages: int
    uidnext: int | None
    modseq: int | None
    special_use: str
    subscribed: bool
    our_uidvalidity: int
    our_uidnext: int
    our_modseq: int
    our_special_use: str


def said(
    mailbox: SourceMailbox,
    status: Status,
    messages: int,
    ours: Mailbox,
    subscribed: bool,
    parts: list[tuple[int, bytes]],
) -> Said:
    """Small: what an account with many large mailboxes says is held until all of it was compared."""
    return Said(_numbers(mailbox, status, messages, ours, subscribed), parts)


def keep(database: Database, account_id: int, epoch: int, said: Mapping[str, Said]) -> None:
    """Instead of what an earlier fence left, in one transaction. Synchronous."""
    with database.write() as connection:
        for table in (tables.manifest, tables.part):
            connection.execute(table.delete().where(table.c.account_id == account_id))
        for name, each in said.items():
            mine = {"account_id": account_id, "mailbox": name}
            text = json.dumps(asdict(each.numbers))
            connection.execute(tables.manifest.insert().values(epoch=epoch, numbers=text, **mine))
            if each.parts:
                rows = [{"first_uid": first, "flags": octets, **mine} for first, octets in each.parts]
                connection.execute(tables.part.insert(), rows)
    disk.step("cert.manifest")


def numbers(database: Database, account_id: int) -> tuple[int, list[Numbers]]:
    """Epoch of the fence, and its mailboxes by the octets of their names; (0, []) where nothing was kept. Of an
    account that has moved it is the fence that committed: none commits before it has kept its own, and none comes
    after."""
    column = tables.manifest.c
    query = sa.select(column.epoch, column.numbers).where(column.account_id == account_id)
    with database.read() as connection:
        rows = connection.execute(query).fetchall()
    found = [Numbers(**json.loads(text)) for _, text in rows]
    return max((epoch for epoch, _ in rows), default=0), sorted(found, key=lambda one: one.mailbox.encode())


def read(database: Database, account_id: int, mailbox: str) -> Iterator[tuple[int, frozenset[str]]]:
    """(UID, flags in lower case), by UID; one part at a time."""
    column, at = tables.part.c, -1
    mine = sa.and_(column.account_id == account_id, column.mailbox == mailbox)
    while True:
        query = sa.select(column.first_uid, column.flags).where(mine, column.first_uid > at)
        with database.read() as connection:
            row = connection.execute(query.order_by(column.first_uid).limit(1)).first()
        if row is None:
            return
        at = row[0]
        for line in zlib.decompress(bytes(row[1])).decode().splitlines():
            uid, *words = line.split(" ")
            yield int(uid), frozenset(words)


def forget(database: Database, account_id: int) -> None:
    """With the digests: 60 octets a message that nothing asks for once a domain is closed. Evidence and certificates
    stay; the account cannot be read again for one."""
    with database.write() as connection:
        for table in (tables.manifest, tables.part, tables.digest):
            connection.execute(table.delete().where(table.c.account_id == account_id))


def _numbers(
    mailbox: SourceMailbox, status: Status, messages: int, ours: Mailbox, subscribed: bool
) -> Numbers:
    return Numbers(
        mailbox=mailbox.name,
        uidvalidity=status.uidvalidity,
        messages=messages,
        uidnext=status.uidnext,
        modseq=max(status.modseq or 0, mailbox.highest or 0) or None,
        special_use=mailbox.special_use,
        subscribed=subscribed,
        our_uidvalidity=ours.uidvalidity,
        our_uidnext=ours.uidnext,
        our_modseq=ours.modseq,
        our_special_use=ours.special_use,
    )


@functools.lru_cache(maxsize=8192)
def _words(said: tuple[str, ...]) -> str:
    """Behind the UID: most messages have one of a few sets."""
    return "".join(f" {word}" for word in sorted(flags.fold(said)))


def parts(listed: Sequence[Listed]) -> list[tuple[int, bytes]]:
    """Of these messages, whose UIDs are above those before them. Not for the event loop: 700,000 take a second."""
    return list(_parts(listed))


def _parts(listed: Sequence[Listed]) -> Iterator[tuple[int, bytes]]:
    """A flag is an atom (RFC 3501 9): no blank and no line end is in one that our store takes."""
    ordered = sorted(listed, key=lambda each: each.uid)
    for at in range(0, len(ordered), PART_MESSAGES):
        part = ordered[at : at + PART_MESSAGES]
        lines = [f"{each.uid}{_words(each.flags)}" for each in part]
        yield part[0].uid, zlib.compress("\n".join(lines).encode(), 1)
