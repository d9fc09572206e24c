"""One step of the work behind: a part of a mailbox is brought nearer to the index, in one transaction."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.route import Residence
from mailplat.store import fetch
from mailplat.store.fulltext import texts
from mailplat.store.fulltext.blocks import Block, may_join, pack, to_numbers, to_octets
from mailplat.store.index.tables import WITH_RENDERING
from mailplat.store.rendered import later, settle
from mailplat.store.site import Site
from mailplat.store.tombstones import expunged_since

log = structlog.get_logger("fulltext")

# Messages of one step, and octets of text after which it ends: what is in memory at once, beside one message.
_MESSAGES = 200
_OCTETS = 4 * 1024 * 1024

# Above all numbers of blocks.
_NO_BLOCK = 2**62

# Blocks that one transaction removes: they are overwritten, 8 MB.
_BLOCKS = 64

_PART = (
    "SELECT account_id, uidvalidity, backfills, modseq, uidnext FROM part WHERE mailbox_id = ? AND part = ?"
)
_MAILBOX = "SELECT account_id, uidvalidity, backfills, modseq, uidnext FROM mailbox WHERE id = ?"
_NEW = "m.mailbox_id = ? AND m.uid >= ? ORDER BY m.uid LIMIT ?"
_INSERT = (
    "INSERT INTO block (mailbox_id, kind, low, high, octets, messages, uids, ends, texts)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_REPLACE = (
    "UPDATE block SET low = ?, high = ?, octets = ?, messages = ?, uids = ?, ends = ?, texts = ? WHERE id = ?"
)
_AROUND = "SELECT id, low, high FROM block WHERE mailbox_id = ? AND kind = ? AND low <= ? AND high >= ?"


class State(NamedTuple):
    """Of a part, or of the mailbox as the index has it."""

    account_id: int
    uidvalidity: int
    backfills: int
    modseq: int
    uidnext: int


class Step(NamedTuple):
    more: bool  # there is more to be done
    removed: bool  # something was taken out


_DONE = Step(False, False)


def enrol(site: Site, wanted: Collection[tuple[int, int]]) -> None:
    """Begin these parts, of mailboxes that are there. Step: fulltext.enrol."""
    with site.read() as index:
        found = [(each, _state(index, _MAILBOX, each[0])) for each in wanted]
    with site.fulltext.read() as connection:
        begun = {
            each for each in wanted if connection is not None and _state(connection, _PART, *each) is not None
        }
    rows = [(*each, *state[:4], 1) for each, state in found if state is not None and each not in begun]
    if rows:
        with site.fulltext.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO part (mailbox_id, part, account_id, uidvalidity, backfills, modseq, uidnext)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        disk.step("fulltext.enrol")


def advance(site: Site, mailbox_id: int, part: int) -> Step:
    """One step. Raises Unavailable, DiskFull."""
    with site.fulltext.read() as connection:
        kept = None if connection is None else _state(connection, _PART, mailbox_id, part)
    if kept is None:
        return _DONE
    with site.read() as index:
        now = _state(index, _MAILBOX, mailbox_id)
        if now is None or now[:3] != kept[:3]:
            return _begin_anew(site, mailbox_id, part, now)
        if now.modseq == kept.modseq and now.uidnext == kept.uidnext:
            return _DONE
        gone = expunged_since(index, mailbox_id, kept.modseq)
        origin = site.origin(index)
    found, uidnext = _read(site, mailbox_id, part, kept.uidnext, now)
    disk.step("fulltext.texts")
    if found:  # on a full disk, what is gone must be able to go
        site.check_space(sum(len(text) for _, each in found for text in each))
    with site.fulltext.write() as connection:
        removed = any(
            [_remove(site, connection, mailbox_id, kind, gone) for kind in texts.KINDS[part]]
            if gone is None or gone
            else ()
        )
        for place, kind in enumerate(texts.KINDS[part]):
            _add(connection, mailbox_id, kind, [(uid, each[place]) for uid, each in found])
        connection.exec_driver_sql("UPDATE origin SET serial = max(serial, ?)", (origin.serial,))
        connection.exec_driver_sql(
            "UPDATE part SET modseq = ?, uidnext = ? WHERE mailbox_id = ? AND part = ?",
            (now.modseq, uidnext, mailbox_id, part),
        )
    disk.step("fulltext.commit")
    return Step(uidnext < now.uidnext, removed)


def _state(connection: Connection, query: str, *values: int) -> State | None:
    row = connection.exec_driver_sql(query, values).fetchone()
    return None if row is None else State(*row)


def _begin_anew(site: Site, mailbox_id: int, part: int, now: State | None) -> Step:
    """The mailbox is gone, or another one, or messages came in below its UIDNEXT. Many blocks take many steps; until
    the last one this part is as different from the index as it was."""
    kinds = texts.KINDS[part]
    with site.fulltext.write() as connection:
        some = connection.exec_driver_sql(
            "DELETE FROM block WHERE id IN"
            f" (SELECT id FROM block WHERE mailbox_id = ? AND kind BETWEEN ? AND ? LIMIT {_BLOCKS})",
            (mailbox_id, kinds[0], kinds[-1]),
        ).rowcount
        more = some == _BLOCKS
        if not more and now is None:
            connection.exec_driver_sql(
                "DELETE FROM part WHERE mailbox_id = ? AND part = ?", (mailbox_id, part)
            )
        elif now is not None and not more:
            connection.exec_driver_sql(
                "UPDATE part SET account_id = ?, uidvalidity = ?, backfills = ?, modseq = ?, uidnext = 1"
                " WHERE mailbox_id = ? AND part = ?",
                (*now[:4], mailbox_id, part),
            )
    disk.step("fulltext.commit")
    return Step(more or now is not None, some > 0)


# what is new


def _read(
    site: Site, mailbox_id: int, part: int, since: int, now: State
) -> tuple[list[tuple[int, list[bytes]]], int]:
    """(UID, a text of each kind) of the next messages from UID `since`, and where the step after this one begins."""
    if since >= now.uidnext:
        return [], since
    residence = Residence(now.account_id, site.name, 0)  # reading needs no epoch
    some = _headings if part == texts.HEADINGS else _contents
    found: list[tuple[int, list[bytes]]] = []
    octets = 0
    if part == texts.HEADINGS:
        settle(site, mailbox_id, later(site, mailbox_id, since, _MESSAGES))
    with site.read() as index:
        columns, source = ("m.uid", "message m")
        if part == texts.HEADINGS:
            columns, source = f"m.uid, {texts.COLUMNS}", WITH_RENDERING
        rows = [
            tuple(row)
            for row in index.exec_driver_sql(
                f"SELECT {columns} FROM {source} WHERE {_NEW}", (mailbox_id, since, _MESSAGES)
            )
        ]
    for uid, made in some(site, residence, mailbox_id, rows):
        if made is not None:
            found.append((uid, made))
            octets += sum(map(len, made))
            if octets > _OCTETS:
                return found, uid + 1
    # A message that came after the index was asked for `now` may be in `rows` already.
    return found, rows[-1][0] + 1 if len(rows) == _MESSAGES else max([now.uidnext, *(r[0] + 1 for r in rows)])


def _headings(
    site: Site, residence: Residence, mailbox_id: int, rows: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, list[bytes] | None]]:
    for uid, *kept in rows:
        read = partial(_octets, site, residence, mailbox_id, uid)
        yield uid, texts.headings([str(value) for value in kept], read)


def _octets(site: Site, residence: Residence, mailbox_id: int, uid: int) -> bytes | None:
    return next((octets for _, octets in _files(site, residence, mailbox_id, [(uid,)])), None)


def _contents(
    site: Site, residence: Residence, mailbox_id: int, rows: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, list[bytes] | None]]:
    for uid, octets in _files(site, residence, mailbox_id, rows):
        yield uid, texts.content(octets)


def _files(
    site: Site, residence: Residence, mailbox_id: int, rows: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, bytes]]:
    """Of the messages that are there. One whose file cannot be read is left out, and a search says what is wrong."""
    left = deque(row[0] for row in rows)
    while left:
        try:
            for uid, octets in fetch.octets_many(site, residence, mailbox_id, [(uid, uid) for uid in left]):
                while left and left[0] <= uid:
                    left.popleft()
                yield uid, octets
            return
        except NotFound:
            return
        except Unavailable as error:
            log.warning(
                "a message is not kept for search", mailbox=mailbox_id, uid=left.popleft(), reason=str(error)
            )


def _add(connection: Connection, mailbox_id: int, kind: int, items: list[tuple[int, bytes]]) -> None:
    for block in pack(items):
        connection.exec_driver_sql(_INSERT, (mailbox_id, kind, *_row(block)))
    # Blocks double: a message is written again some five times until its block is full, and few are small.
    tail = _near(connection, mailbox_id, kind, _NO_BLOCK, "<")
    while tail is not None:
        before = _near(connection, mailbox_id, kind, tail[0], "<")
        if before is None or before[1] > 2 * tail[1] or not may_join(before[1:], tail[1:]):
            return
        _join(connection, before[0], tail[0], into=before[0])
        tail = before[0], before[1] + tail[1], before[2] + tail[2]


# what is gone


def _remove(
    site: Site, connection: Connection, mailbox_id: int, kind: int, gone: Collection[int] | None
) -> bool:
    """Whether any of it was here. `gone` None: nobody can tell what, and the index says what is there."""
    ordered = None if gone is None else sorted(gone)
    low, high = (ordered[0], ordered[-1]) if ordered else (0, 2**32)
    around = connection.exec_driver_sql(_AROUND, (mailbox_id, kind, high, low)).fetchall()
    removed = False
    for number, first, last in around:
        if ordered is not None and bisect_left(ordered, first) == bisect_right(ordered, last):
            continue
        block = _block(connection, number)
        absent = _absent(site, mailbox_id, block) if gone is None else set(gone)
        if absent.isdisjoint(block.uids):
            continue
        removed = True
        rest = block.without(absent)
        if rest.uids:
            connection.exec_driver_sql(_REPLACE, (*_row(rest), number))
            size = len(rest.texts), len(rest.uids)
            # Into the later one: it may be among those that are still to be looked at.
            before = _near(connection, mailbox_id, kind, number, "<")
            if before is not None and may_join(before[1:], size):
                _join(connection, before[0], number, into=number)
                size = size[0] + before[1], size[1] + before[2]
            after = _near(connection, mailbox_id, kind, number, ">")
            if after is not None and may_join(size, after[1:]):
                _join(connection, number, after[0], into=after[0])
        else:
            connection.exec_driver_sql("DELETE FROM block WHERE id = ?", (number,))
    return removed


def _absent(site: Site, mailbox_id: int, block: Block) -> set[int]:
    with site.read() as index:
        present = index.exec_driver_sql(
            "SELECT uid FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ?",
            (mailbox_id, min(block.uids), max(block.uids)),
        ).fetchall()
    return set(block.uids) - {uid for (uid,) in present}


# rows


def _row(block: Block) -> tuple[int, int, int, int, bytes, bytes, bytes]:
    """Columns from `low` on."""
    return (
        min(block.uids),
        max(block.uids),
        len(block.texts),
        len(block.uids),
        to_octets(block.uids),
        to_octets(block.ends),
        block.texts,
    )


def _block(connection: Connection, number: int) -> Block:
    uids, ends, octets = connection.exec_driver_sql(
        "SELECT uids, ends, texts FROM block WHERE id = ?", (number,)
    ).one()
    return Block(to_numbers(uids), to_numbers(ends), octets)


def _near(
    connection: Connection, mailbox_id: int, kind: int, number: int, side: str
) -> tuple[int, int, int] | None:
    """Number, octets and messages of the next block on that side, "<" or ">"."""
    row = connection.exec_driver_sql(
        f"SELECT id, octets, messages FROM block WHERE mailbox_id = ? AND kind = ? AND id {side} ?"
        f" ORDER BY id {'DESC' if side == '<' else 'ASC'} LIMIT 1",
        (mailbox_id, kind, number),
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def _join(connection: Connection, first: int, second: int, *, into: int) -> None:
    """Two blocks of one mailbox and kind, in the place of one of them."""
    joined = _block(connection, first).with_next(_block(connection, second))
    connection.exec_driver_sql(_REPLACE, (*_row(joined), into))
    connection.exec_driver_sql("DELETE FROM block WHERE id = ?", (first + second - into,))
