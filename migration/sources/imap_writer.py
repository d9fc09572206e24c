"""An account on an IMAP server that is written: the way back of a move. A class of its own, so that a source that is
only read cannot be written by mistake.

Nothing is removed but by UID, in a mailbox whose UIDVALIDITY was compared when it was opened.
"""

import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mailplat.core.errors import NotFound
from mailplat.wire.imap.strings import string
from migration.errors import Halt, Misbehaviour
from migration.lease import Held
from migration.sources import replies
from migration.sources.contract import SourceMailbox, Status
from migration.sources.imap import command
from migration.sources.imap_account import ImapAccount

_APPENDUID = re.compile(rb"\[APPENDUID (\d{1,10}) (\d{1,10})\]", re.IGNORECASE)
_PERMANENT = re.compile(rb"\* OK \[PERMANENTFLAGS \(([^)]*)\)\]", re.IGNORECASE)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# UIDs of one STORE or EXPUNGE: a line that every server reads.
_UIDS = 500


@dataclass(frozen=True, slots=True)
class Permanent:
    """Flags that the open mailbox keeps (RFC 3501 7.1, PERMANENTFLAGS)."""

    flags: frozenset[str] | None = None  # in lower case; None: the server does not say, all are kept

    def keep(self, flags: Collection[str]) -> tuple[str, ...]:
        if self.flags is None:
            return tuple(flags)
        new = "\\*" in self.flags  # keywords may be made up
        return tuple(
            each for each in flags if each.casefold() in self.flags or (new and not each.startswith("\\"))
        )


class ImapWriter(ImapAccount):
    """`open` logs in, close() it."""

    permanent = Permanent()
    _selected: bytes | None = None  # the mailbox that is open for writing

    async def examine(self, mailbox: SourceMailbox) -> Status:
        self._selected = None
        return await super().examine(mailbox)

    async def select(self, mailbox: SourceMailbox) -> Status:
        """Open it for writing; the methods below and those of a Source speak of it. Raises NotFound."""
        tail = b"(CONDSTORE)" if self.condstore else b""
        self._opened = False
        done = await self._client.run(*command(b"SELECT", mailbox.wire, tail=tail))
        self._opened, self._selected = True, mailbox.wire
        if b"[READ-ONLY]" in done.text.upper():
            raise Halt(
                f"the backend opens mailbox {mailbox.name!r} for reading only; the master user must write"
            )
        found = [match for each in done.responses if (match := _PERMANENT.match(replies.first(each)))]
        names = None
        if found:
            names = frozenset(each.casefold() for each in found[-1][1].decode("utf-8", "replace").split())
        self.permanent = Permanent(names)
        return replies.parse_opening(done.responses)

    async def _leave(self) -> None:
        r"""CLOSE would expunge what users have marked \Deleted (RFC 3501 6.4.2): without UNSELECT (RFC 3691) the
        mailbox is opened again for reading first."""
        selected, self._selected = self._selected, None
        if self._opened and selected is not None and b"UNSELECT" not in self.capabilities:
            await self._client.run(*command(b"EXAMINE", selected))
        await super()._leave()

    def only_while(self, held: Held) -> None:
        """Say nothing more from when that raises: no command, and no octet of a message that was announced."""
        self._client.protocol.held = held

    @property
    def uidplus(self) -> bool:
        """Whether APPENDUID and UID EXPUNGE are there (RFC 4315)."""
        return b"UIDPLUS" in self.capabilities

    async def append(
        self, wire: bytes, octets: bytes, flags: Sequence[str], date: int, zone: int
    ) -> tuple[int, int] | None:
        """(UIDVALIDITY, UID) that it got, None where the server does not say. Raises NotFound, Unavailable."""
        literal8 = b"\0" in octets
        if literal8 and b"BINARY" not in self.capabilities:  # RFC 3501 4.3: no NUL in a literal
            raise Halt(
                "a message with NUL octets cannot be given to this backend: it has no BINARY (RFC 3516)"
            )
        head = b'APPEND %b (%b) "%b" ' % (string(wire), " ".join(flags).encode(), _date(date, zone))
        if string(wire).startswith(b"{"):
            raise Halt(f"mailbox {wire!r} has a name that only a literal can hold; nothing is appended there")
        announced = b"%b{%d}" % (b"~" if literal8 else b"", len(octets))
        done = await self._client.run(head + announced, octets)
        found = _APPENDUID.search(done.text)
        return (int(found[1]), int(found[2])) if found is not None else None

    async def noop(self) -> None:
        await self._client.run(b"NOOP")

    async def set_flags(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        await self._store(uids, b"FLAGS.SILENT", flags)

    async def toggle(self, uid: int, flag: str, on: bool, times: int) -> None:
        """The flag the other way and back, so many times, in one go: each raises HIGHESTMODSEQ."""
        pair = [
            b"UID STORE %d %bFLAGS.SILENT (%b)" % (uid, sign, flag.encode())
            for sign in ((b"-", b"+") if on else (b"+", b"-"))
        ]
        for exchange in [self._client.begin(line) for _ in range(times) for line in pair]:
            await self._client.finish(exchange)

    async def _store(self, uids: Sequence[int], item: bytes, flags: Sequence[str]) -> None:
        for at in range(0, len(uids), _UIDS):
            some = replies.uid_set(uids[at : at + _UIDS])
            await self._client.run(b"UID STORE %b %b (%b)" % (some, item, " ".join(flags).encode()))

    async def expunge(self, uids: Sequence[int]) -> None:
        r"""These and no others. Without UID EXPUNGE (RFC 4315 2.1) others that are \Deleted lose that flag for the
        moment; a crash in between is mended by the next round, which compares flags."""
        if not uids:
            return
        await self._store(uids, b"+FLAGS.SILENT", ["\\Deleted"])
        if self.uidplus:
            for at in range(0, len(uids), _UIDS):
                await self._client.run(b"UID EXPUNGE %b" % replies.uid_set(uids[at : at + _UIDS]))
            return
        ours = set(uids)
        others = [
            each.uid
            for each in await self.scan()
            if each.uid not in ours and any(flag.casefold() == "\\deleted" for flag in each.flags)
        ]
        await self._store(others, b"-FLAGS.SILENT", ["\\Deleted"])
        await self._client.run(b"EXPUNGE")
        await self._store(others, b"+FLAGS.SILENT", ["\\Deleted"])

    async def create(self, wire: bytes) -> None:
        await self._leave()
        await self._client.run(*command(b"CREATE", wire))

    async def rename(self, old: bytes, new: bytes) -> None:
        await self._leave()
        await self._client.run(*command(b"RENAME", old, new))

    async def delete(self, wire: bytes) -> None:
        await self._leave()
        try:
            await self._client.run(*command(b"DELETE", wire))
        except NotFound:
            return  # somebody was faster

    async def set_rights(self, wire: bytes, identifier: str, letters: str) -> None:
        """These and no others (RFC 4314 3.1, 3.2). Raises NotFound, Unavailable."""
        who = identifier.encode()
        if letters:
            await self._client.run(*command(b"SETACL", wire, who, letters.encode()))
        else:
            await self._client.run(*command(b"DELETEACL", wire, who))

    async def subscribe(self, wire: bytes, on: bool) -> None:
        await self._client.run(*command(b"SUBSCRIBE" if on else b"UNSUBSCRIBE", wire))


def _date(seconds: int, zone: int) -> bytes:
    """date-time of RFC 3501 9."""
    at = time.gmtime(seconds + zone * 60)
    if not 1 <= at.tm_year <= 9999:
        raise Misbehaviour(f"INTERNALDATE {seconds} cannot be written")
    sign, minutes = ("-" if zone < 0 else "+"), abs(zone)
    day = f"{at.tm_mday:2d}-{_MONTHS[at.tm_mon - 1]}-{at.tm_year:04d}"
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
    return f"{day} {clock} {sign}{minutes // 60:02d}{minutes % 60:02d}".encode()
