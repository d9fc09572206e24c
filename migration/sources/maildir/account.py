"""An account whose mail lies on a mount, as a source."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import structlog

from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.spool import Body
from mailplat.directory import Backend
from migration.sources.contract import Fetched, Listed, Naming, SourceMailbox, Span, Status, Survey, cut
from migration.sources.imap_account import ImapAccount
from migration.sources.maildir import acl, octets
from migration.sources.maildir import location as locations
from migration.sources.maildir.agreement import Seen, aged, contradiction, numbers, uidvalidity
from migration.sources.maildir.courier import Courier
from migration.sources.maildir.dovecot import Dovecot
from migration.sources.maildir.front import Front, Said
from migration.sources.maildir.layout import Flags, Layout
from migration.sources.maildir.listing import Folder, Listing, Message, look
from migration.sources.maildir.location import Location
from migration.sources.maildir.reading import Reader
from migration.sources.maildir.tree import failures
from migration.sources.names import check_collisions

log = structlog.get_logger("migration")

T = TypeVar("T")

# Files and server are looked at again so many times when they do not say the same: between the two somebody may have
# made a mailbox, or mail may have come.
ATTEMPTS = 4
# Dates and sizes are asked for in pieces of about so many seconds: where no name says a size the file is read.
DETAILS_S = 2.0


@dataclass(slots=True)
class _Open:
    """The examined mailbox."""

    mailbox: SourceMailbox
    folder: Folder
    listing: Listing
    flags: Flags | None
    fresh: bool = True  # nobody has asked for the listing since


class MaildirAccount:
    """A Source. `front` None: there is no server to ask; every message must have its UID then."""

    def __init__(
        self,
        layout: Layout,
        location: Location,
        executors: Executors,
        lane: str,
        spool: Path,
        front: Front | None,
        limits: SourceLimits,
    ) -> None:
        self._layout = layout
        self._location = location
        self._executors = executors
        self._lane = f"maildir/{lane}"
        self._spool = spool
        self._front = front
        self._limits = limits
        self._folders: dict[str, Folder] = {}  # by our name, as of the last survey
        self._surveyed: dict[str, Status] = {}
        self._statuses: Mapping[str, Status] = {}  # what the server said then
        self._open: _Open | None = None
        self._served: dict[int, tuple[str, ...]] = {}  # flags of the examined mailbox by the server
        self._measured: dict[int, int] = {}  # sizes in the examined mailbox that no name says
        self._corrected: dict[tuple[str, int], int] = {}  # where a name says another one

    @classmethod
    def of(cls, backend: Backend, account: str, spool: Path, executors: Executors) -> "MaildirAccount":
        """Raises InvalidInput for a location that cannot be read, Halt for an address that cannot be a path."""
        location = locations.parse(backend.maildir)
        layout: Layout = (Courier if location.kind == "courier" else Dovecot)(
            location, account, backend.limits
        )
        front = Front(lambda: ImapAccount.open(backend, account, spool), location.prefix)
        return cls(layout, location, executors, backend.name, spool, front, backend.limits)

    async def survey(self) -> Survey:
        before: dict[str, frozenset[str]] | None = None
        trouble = ""
        for _ in range(ATTEMPTS):
            said = await self._front.survey() if self._front is not None else None
            seen = await self._asked(self._look_at_all, said)
            trouble = contradiction(seen, said, before)
            if not trouble:
                return await self._survey(seen, said)
            before = {each.folder.name: each.without_uid for each in seen}
            await self._let_number(seen)
        raise Unavailable(trouble)

    async def naming(self) -> Naming | None:
        return await self._front.naming() if self._front is not None else None

    async def _let_number(self, seen: Sequence[Seen]) -> None:
        """STATUS, which comes next, does it where it can."""
        if self._front is not None and self._layout.by_select:
            for each in seen:
                if each.without_uid or each.status is None:
                    with contextlib.suppress(NotFound):  # deleted meanwhile
                        await self._front.touch(each.folder.name)

    async def _survey(self, seen: Sequence[Seen], said: Said | None) -> Survey:
        theirs = said.survey if said is not None else Survey((), frozenset())
        subscriptions = await self._asked(self._layout.subscriptions, self._prefix(said))
        self._statuses = theirs.statuses
        self._folders = {each.folder.name: each.folder for each in seen}
        special = {each.name: each.special_use for each in theirs.mailboxes}
        mailboxes = [
            SourceMailbox(folder.wire, name, special.get(name, ""), highest=self._highest(name))
            for name, folder in self._folders.items()
        ]
        self._surveyed = {each.folder.name: self._status(each.folder.name, each.status) for each in seen}
        ordered = sorted(mailboxes, key=lambda each: (each.name != "INBOX", each.name))
        return Survey(tuple(ordered), subscriptions, self._surveyed)

    def _highest(self, name: str) -> int | None:
        status = self._statuses.get(name)
        return status.modseq if status is not None else None

    def _status(self, name: str, status: Status | None) -> Status:
        """A mailbox without a list of UIDs is empty; its numbers are in the server's index."""
        return status if status is not None else replace(self._statuses[name], modseq=None)

    def _prefix(self, said: Said | None) -> tuple[str, ...]:
        if said is not None:
            return said.prefix
        text = self._location.prefix or ""
        return tuple(text[:-1].split(text[-1])) if text else ()

    def _look_at_all(self, said: Said | None) -> list[Seen]:
        folders = self._layout.folders(self._prefix(said))
        check_collisions((each.wire, each.name) for each in folders)
        found = []
        for folder in folders:
            try:
                listing = look(folder, self._layout.uidlist)
            except NotFound:
                if folder.name == "INBOX":
                    raise Unavailable(f"{folder.path}: INBOX has no cur/ and new/") from None
                continue  # deleted meanwhile; where the server still has it that is seen
            found.append(Seen(folder, numbers(listing), listing.without_uid))
        return found

    async def examine(self, mailbox: SourceMailbox) -> Status:
        folder = self._folders.get(mailbox.name)
        if folder is None:
            raise NotFound(f"mailbox {mailbox.name!r} is not in the tree")
        listing, flags = await self._look(folder)
        if self._open is None or self._open.mailbox.name != mailbox.name:
            self._measured = {}
        self._open, self._served = _Open(mailbox, folder, listing, flags), {}
        return self._status(mailbox.name, numbers(listing))

    async def _look(self, folder: Folder) -> tuple[Listing, Flags | None]:
        listing, flags = await self._asked(self._read_folder, folder)
        trouble = aged(folder, listing, self._surveyed[folder.name])
        if trouble:
            raise Unavailable(trouble)
        return listing, flags

    def _read_folder(self, folder: Folder) -> tuple[Listing, Flags | None]:
        listing = look(folder, self._layout.uidlist)
        return listing, self._layout.flags(folder)

    async def _fresh(self) -> _Open:
        """The listing that `examine` made serves once."""
        opened = self._opened()
        if not opened.fresh:
            listing, flags = await self._look(opened.folder)
            if uidvalidity(listing) != uidvalidity(opened.listing):
                raise Unavailable(f"{opened.folder.control}: UIDVALIDITY changed while the mailbox was read")
            opened.listing, opened.flags = listing, flags
        opened.fresh = False
        if opened.flags is None:
            if self._front is None:
                raise Unavailable(
                    f"{opened.folder.control}: all letters are taken; the rest only a server knows"
                )
            self._served = await self._front.flags(opened.mailbox.name)
        return opened

    def _opened(self) -> _Open:
        if self._open is None:
            raise NotFound("no mailbox was examined")
        return self._open

    async def spans(self) -> list[Span]:
        """The folders are looked at once for all of them."""
        return cut(list((await self._fresh()).listing.messages))

    async def scan(
        self,
        *,
        details: bool = False,
        since: int | None = None,
        uids: Sequence[int] | None = None,
        span: Span | None = None,
    ) -> list[Listed]:
        """`since` says nothing here: there is no MODSEQ, everything is listed."""
        if uids is not None and not uids:
            return []
        known = span is not None or (details and uids is not None)
        opened = self._opened() if known else await self._fresh()
        listed = opened.listing.messages
        if span is not None:
            low, high = span
            uids = [uid for uid in listed if low <= uid and (high is None or uid <= high)]
        chosen = (
            list(listed.values()) if uids is None else [listed[uid] for uid in sorted(uids) if uid in listed]
        )
        if not details:
            return [Listed(each.entry.uid, self._flags(opened, each.entry.uid, each)) for each in chosen]
        found: list[Listed] = []
        rest = iter(chosen)
        while part := await self._asked(self._details, opened, rest):
            found += part
        return found

    def _flags(self, opened: _Open, uid: int, message: Message) -> tuple[str, ...]:
        if opened.flags is None:
            return self._served.get(uid, ())
        return opened.flags(message.base, message.file[1])

    def _details(self, opened: _Open, messages: Iterator[Message]) -> list[Listed]:
        """Of the next ones, as far as the time reaches; empty when there are no more."""
        found: list[Listed] = []
        end = time.monotonic() + DETAILS_S
        with Reader(opened.folder) as reader:
            for message in messages:
                status = reader.status(message)
                if status is None:
                    continue
                uid, date = message.entry.uid, status.st_mtime_ns // 1_000_000_000
                size = self._size(opened, message)
                if size is None:
                    read = self._body(reader, message)
                    if read is not None:
                        size = self._measured[uid] = read[0].size
                        read[0].close()
                flags = self._flags(opened, uid, message)
                found.append(Listed(uid, flags, None, size, date, self._location.minutes(date)))
                if time.monotonic() > end:
                    break
        return found

    def _size(self, opened: _Open, message: Message) -> int | None:
        """As the server says it without opening the file."""
        uid = message.entry.uid
        known = self._corrected.get((opened.mailbox.name, uid), self._measured.get(uid))
        if known is not None:
            return known
        if message.entry.size >= 0:
            return message.entry.size
        for field in message.base.split(",")[1:]:
            if field.startswith("W=") and field[2:].isdigit() and len(field) < 20:
                return int(field[2:])
        return None

    async def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        work = asyncio.ensure_future(self._executors.run(self._lane, self._read, self._opened(), list(uids)))
        try:
            return await self._answer(asyncio.shield(work))
        except BaseException:
            work.add_done_callback(_drop)  # whoever wanted it has left
            raise

    def _read(self, opened: _Open, uids: Sequence[int]) -> list[Fetched]:
        found: list[Fetched] = []
        try:
            with Reader(opened.folder) as reader:
                for uid in uids:
                    message = opened.listing.messages.get(uid)
                    read = self._body(reader, message) if message is not None else None
                    if message is None or read is None:
                        continue
                    body, status = read
                    said = self._size(opened, message)
                    if said is None:
                        self._measured[uid] = body.size
                    elif said != body.size:
                        self._corrected[opened.mailbox.name, uid] = body.size
                    date = status.st_mtime_ns // 1_000_000_000
                    flags = self._flags(opened, uid, message)
                    found.append(Fetched(uid, flags, date, self._location.minutes(date), body))
        except BaseException:
            _close(found)
            raise
        return found

    def _body(self, reader: Reader, message: Message) -> tuple[Body, os.stat_result] | None:
        """None where it is gone, or cannot be read as a message: whoever listed it asks again and says so."""
        opened = reader.open(message)
        if opened is None:
            return None
        fd, status = opened
        what = f"{reader.where}/{message.file[0]}/{message.file[1]}"
        try:
            with failures(what):
                ends, most = self._layout.line_ends, self._limits.message
                return octets.read(fd, status.st_size, what, ends, self._spool, most), status
        except octets.Damaged as error:
            log.warning("a message cannot be read", file=what, reason=str(error))
            return None

    async def uidls(self, text: str) -> Mapping[int, str]:
        """UIDLs of the messages of the examined INBOX that have one, in POP3's order; `text`: their format, if it
        is known."""
        opened = self._opened()
        return await self._asked(self._layout.uidls, opened.folder, opened.listing, text)

    async def access_lists(self, wires: Mapping[str, bytes]) -> dict[str, list[tuple[str, str]] | None]:
        """As ImapAccount: what the server says, and where it says nothing of rights, what the files do."""
        if self._front is not None:
            said = await self._front.access_lists(wires.keys())
            if said is not None:
                return said
        return {
            name: await self._asked(acl.read, self._folders[name]) for name in wires if name in self._folders
        }

    @property
    def offers_acl(self) -> bool:
        """Courier has its own; they are not read."""
        return self._location.kind == "dovecot"

    @property
    def has_old_rights(self) -> bool:
        return self._front is not None and self._front.has_old_rights

    async def close(self) -> None:
        if self._front is not None:
            await self._front.close()

    async def _asked(self, function: Callable[..., T], *args: object) -> T:
        return await self._answer(self._executors.run(self._lane, function, *args))

    async def _answer(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._limits.mount):
                return await work
        except TimeoutError as error:
            mount = self._location.path.mount
            raise Unavailable(f"{mount} has not answered for {self._limits.mount:.0f} s") from error


def _close(fetched: Iterable[Fetched]) -> None:
    for each in fetched:
        each.body.close()


def _drop(work: "asyncio.Future[list[Fetched]]") -> None:
    if not work.cancelled() and work.exception() is None:
        _close(work.result())
