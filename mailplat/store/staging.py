"""The first half of an append: octets on disk, rendered, in the shard's tmp/ under the name they will have.

Runs in threads of executor "spool", many at once; knows no UID yet and changes no row.
"""

import contextlib
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.store.accounts import grant_newer
from mailplat.store.flagsets import SYSTEM_BITS, Numbering, split_flags
from mailplat.store.index.renderings import Columns, columns
from mailplat.store.maildir import (
    dedupe_key,
    first_name,
    full_name,
    mailbox_folder,
    new_unique,
    saved_at,
)
from mailplat.store.names import canonical
from mailplat.store.quota import check_account
from mailplat.store.rendering import render_file
from mailplat.store.site import Site
from mailplat.store.types import MAX_MODSEQ, MAX_UID, NewMessage
from mailplat.store.uidl import check_uidl
from mailplat.wire.mime import render

# RFC 1939 7.

# What a date of RFC 3501 can show, years 1 to 9999; and zones of RFC 5322 3.3.
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
_WIDEST_ZONE = 99 * 60 + 59


@dataclass(frozen=True, slots=True)
class Berth:
    """Where messages of one append go."""

    residence: Residence
    name: str
    mailbox_id: int
    folder: Path
    quota: Quota
    elsewhere: int  # octets of the pool in other shards
    keywords: Mapping[str, int]  # numbers of keywords, folded: for names that are final at once
    dedupe: str = ""  # instead of the message's
    remembered: bool = False  # not looked up: the transaction may find that it is another one's by now


@dataclass(frozen=True, slots=True)
class Staged:
    """A message whose octets are durable in tmp/ and that no row knows."""

    path: Path  # in tmp/
    name: str  # of the file in its mailbox
    size: int
    internaldate: int
    zone: int
    saved_at: int
    message: NewMessage
    rendering: Columns  # empty: made later


def find_berth(
    site: Site, residence: Residence, mailbox: str, quota: Quota, messages: Sequence[NewMessage]
) -> Berth:
    """Refuses early what the transaction would refuse: NotFound, StaleEpoch, OverQuota, InvalidInput; where the
    mailbox is remembered that is left to the transaction."""
    keywords = _check_messages(site, messages)
    added = sum(len(message.prefix) + message.body.size for message in messages)
    site.check_space(added)
    elsewhere = site.elsewhere(quota)
    name = canonical(mailbox)
    known = site.remembered_mailbox(residence, name)
    if known is not None and not keywords:
        folder = site.account_folder(residence.account_id) / mailbox_folder(known, name)
        return Berth(residence, name, known, folder, quota, elsewhere, {}, remembered=True)
    grant_newer(site, residence, quota.pool)
    with site.read() as connection:
        standing = site.check_epoch(connection, residence)
        row = site.mailbox_by_name(connection, residence.account_id, name)
        check_account(residence.account_id, standing.octets, added, quota)
        numbers: Mapping[str, int] = site.library.book(connection, row.id).numbers
    if not all(word.casefold() in numbers for word in keywords):
        numbers = _number_keywords(site, residence, row.id, keywords)
    site.remember_mailbox(residence, name, row.id)
    return Berth(residence, name, row.id, site.mailbox_folder(row), quota, elsewhere, numbers)


def _check_messages(site: Site, messages: Sequence[NewMessage]) -> list[str]:
    """The keywords that must have a number before files are named. Raises InvalidInput, LimitReached."""
    wanted: dict[str, None] = {}
    for message in messages:
        if message.uid is not None and not 1 <= message.uid <= MAX_UID:
            raise InvalidInput(f"UID {message.uid} is not between 1 and {MAX_UID}")
        if message.modseq is not None and not (message.uid and 1 <= message.modseq <= MAX_MODSEQ):
            raise InvalidInput(f"MODSEQ {message.modseq} needs a UID and a value from 1 to {MAX_MODSEQ}")
        if message.uidl:
            check_uidl(message.uidl)
        date = message.internaldate
        if date is not None and not (math.isfinite(date) and _EARLIEST <= date <= _LATEST):
            raise InvalidInput(f"INTERNALDATE {date} is not between the years 1 and 9999")
        if abs(message.internaldate_zone) > _WIDEST_ZONE:
            raise InvalidInput(f"a zone of {message.internaldate_zone} minutes")
        if message.flags:
            _, keywords = split_flags(message.flags, site.limits.keyword)
            if message.uid is not None:
                wanted.update(dict.fromkeys(keywords))
    return list(wanted)


def _number_keywords(
    site: Site, residence: Residence, mailbox_id: int, keywords: Collection[str]
) -> Mapping[str, int]:
    def apply(connection: Any) -> None:
        site.check_epoch(connection, residence)
        Numbering(connection, site.library, mailbox_id, site.limits).mask_of(keywords)

    site.write(apply)
    with site.read() as connection:
        site.library.forget_one(mailbox_id)
        return site.library.book(connection, mailbox_id).numbers


def stage_all(
    site: Site, messages: Sequence[NewMessage], keywords: Mapping[str, int], *, sync: bool = True
) -> list[Staged]:
    """All or none; durable where `sync` is set, else once a disk.Batch is. Raises DiskFull, Unavailable."""
    done: list[Staged] = []
    try:
        for message in messages:
            done.append(stage(site, message, keywords, sync=sync))
    except BaseException:
        discard(staged.path for staged in done)
        raise
    return done


def stage(site: Site, message: NewMessage, keywords: Mapping[str, int], *, sync: bool) -> Staged:
    """Write, fsync and render where asked for. The file's mtime is the INTERNALDATE."""
    unique = new_unique()
    path = site.tmp / unique
    size = len(message.prefix) + message.body.size
    now = site.clock.now()
    date = math.floor(now if message.internaldate is None else message.internaldate)
    rendering = None
    if size <= site.limits.mapped and not message.render_later:
        rendering = render(message.prefix + message.body.octets())
    written = message.body.save(path, message.prefix, "append", mtime=date, sync=sync)
    try:
        if written != size:
            raise Unavailable(
                f"{path.name}: {written} octets and not {size} as announced; was the body closed?"
            )
        if rendering is None and not message.render_later:
            rendering = render_file(path)
    except BaseException:
        discard([path])
        raise
    name = first_name(unique, size, message.internaldate_zone, message.uidl, key=dedupe_key(message.dedupe))
    if message.uid is not None:
        name = full_name(name, message.uid, _mask(message, keywords, site.limits.keyword))
    zone = message.internaldate_zone
    # SAVEDATE as a rebuild will find it, but of what was saved elsewhere
    saved = saved_at(unique) if message.saved_at is None else math.floor(message.saved_at)
    return Staged(
        path, name, size, date, zone, saved, message, () if rendering is None else columns(rendering)
    )


def open_plain(path: Path) -> BinaryIO:
    """For reading; a link is refused with an OSError: put there by hand it must not lead out of the account."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")


def _mask(message: NewMessage, keywords: Mapping[str, int], limit: int) -> int:
    mask, words = split_flags(message.flags, limit)
    for word in words:
        mask |= 1 << (SYSTEM_BITS + keywords[word.casefold()])
    return mask


def discard(paths: Iterable[str | Path]) -> None:
    """Files of an append that failed, as far as they are there. What cannot be removed is swept later."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
