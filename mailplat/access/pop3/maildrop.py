"""A maildrop: INBOX as it was when the session began (RFC 1939 5), and what is to be deleted at its end."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import structlog

from mailplat.access.pop3.lock import MaildropLock
from mailplat.core import disk
from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.limits.pop3 import Pop3Limits
from mailplat.core.route import Residence
from mailplat.store import Shard

log = structlog.get_logger("pop3")

INBOX = "INBOX"


class Message(NamedTuple):
    number: int
    uid: int
    size: int  # octets of the file


class Maildrop:
    """Locked from `open` to `close`. Methods that reach the store or the disk block: for threads.

    What was there at login is the store's listing: arrays that sessions share. Of a message an object is made only
    when a command names it."""

    def __init__(self, shard: Shard, residence: Residence, lock: MaildropLock) -> None:
        self._shard = shard
        self._residence = residence
        self._lock = lock
        self._mailbox_id = shard.mailbox(residence, INBOX).id
        self._listing = shard.listing(residence, self._mailbox_id).in_order()
        self._deleted: set[int] = set()
        self._octets = self._listing.octets
        self._last = 0  # number of the message that was sent last
        self._ahead: dict[int, bytes] = {}  # by UID

    @classmethod
    def open(cls, shard: Shard, residence: Residence) -> "Maildrop":
        """Raises MaildropInUse, Unavailable."""
        lock = MaildropLock(Path(shard.path), residence)
        try:
            return cls(shard, residence, lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Give the lock back; what was not committed stays. Idempotent."""
        self._lock.release()

    # without I/O

    @property
    def count(self) -> int:
        return len(self._listing.uids) - len(self._deleted)

    @property
    def octets(self) -> int:
        return self._octets

    @property
    def deleted(self) -> int:
        """How many are marked."""
        return len(self._deleted)

    def find(self, number: int) -> Message | None:
        """None for a number that nobody has, or whose message is marked as deleted."""
        if not 1 <= number <= len(self._listing.uids) or number in self._deleted:
            return None
        return Message(number, self._listing.uids[number - 1], self._listing.sizes[number - 1])

    def uidl(self, number: int) -> str:
        return self._listing.uidl(number - 1)

    def size_lines(self, rows: int) -> Iterator[str]:
        """LIST: number and size of each that is not deleted, so many lines at a time."""
        return self._lines("%d %d\r\n", rows, lambda first, last: self._listing.sizes[first:last])

    def uidl_lines(self, rows: int) -> Iterator[str]:
        """UIDL, in the same way."""
        listing = self._listing
        if listing.uidls:
            return self._lines(
                "%d %s\r\n", rows, lambda first, last: [listing.uidl(place) for place in range(first, last)]
            )
        return self._lines(
            f"%d {listing.uidvalidity}.%d\r\n", rows, lambda first, last: listing.uids[first:last]
        )

    def delete(self, number: int) -> None:
        self._deleted.add(number)
        self._octets -= self._listing.sizes[number - 1]

    def reset(self) -> None:
        """RSET: nothing is marked any more."""
        self._octets = self._listing.octets
        self._deleted.clear()

    def _lines(self, line: str, rows: int, values: Callable[[int, int], Sequence[object]]) -> Iterator[str]:
        """`values` gives those of the places from `first` to before `last`."""
        for first in range(0, len(self._listing.uids), rows):
            last = min(first + rows, len(self._listing.uids))
            pairs = zip(range(first + 1, last + 1), values(first, last), strict=True)
            if self._deleted:
                yield "".join([line % pair for pair in pairs if pair[0] not in self._deleted])
            else:
                yield "".join(map(line.__mod__, pairs))

    # with I/O

    def read(self, message: Message, limits: Pop3Limits) -> tuple[bytes, BinaryIO | None] | None:
        """The first piece of a message, and the file where there is more. None: it was expunged meanwhile. Raises
        Unavailable.

        Who takes messages in their order will ask for the next one too: small ones behind it are read in the same
        hop to a thread, and `ready` has them."""
        follows, self._last = message.number == self._last + 1, message.number
        if follows and message.size <= limits.chunk:
            self._read_ahead(message, limits)
            octets = self.ready(message)
            if octets is not None:
                return octets, None
        try:
            file = self._shard.open(self._residence, self._mailbox_id, message.uid)
        except NotFound:
            return None
        if file is None:
            return None
        try:
            piece = read_piece(file, limits.chunk)
        except BaseException:
            file.close()
            raise
        if len(piece) == limits.chunk:
            return piece, file
        file.close()
        return piece, None

    def ready(self, message: Message) -> bytes | None:
        """What was read ahead of this message: all of it, once. Without I/O."""
        octets = self._ahead.pop(message.uid, None)
        if octets is not None:
            self._last = message.number
        return octets

    def _read_ahead(self, message: Message, limits: Pop3Limits) -> None:
        """Each whole message of one piece, from this one on, as far as they fit."""
        sizes, wanted = self._listing.sizes, range(message.number - 1, message.number - 1 + limits.ahead)
        octets, uids = 0, []
        for place in wanted:
            if place >= len(sizes) or sizes[place] > limits.chunk:
                break
            if octets and octets + sizes[place] > limits.ahead_octets:
                break
            octets += sizes[place]
            if place + 1 not in self._deleted:
                uids.append(self._listing.uids[place])
        self._ahead = {}  # what nobody asked for is not kept
        try:
            for uid, text in self._shard.octets_many(
                self._residence, self._mailbox_id, [(uid, uid) for uid in uids]
            ):
                self._ahead[uid] = text
        except (
            NotFound,
            Unavailable,
        ) as error:  # the message that it is about will be read by itself, and say so
            log.info("reading ahead ended", account=self._residence.account_id, reason=str(error))

    def commit(self) -> int:
        """The UPDATE state: expunge what is marked, in one transaction. Returns how many were there. Raises
        StaleEpoch when the account has moved, Unavailable; then nothing was deleted."""
        uids = [self._listing.uids[number - 1] for number in self._deleted]
        gone = self._shard.expunge_uids(self._residence, self._mailbox_id, [(uid, uid) for uid in uids])
        return len(gone)


def read_piece(file: BinaryIO, chunk: int) -> bytes:
    """Raises Unavailable."""
    with disk.failures("message file"):
        return file.read(chunk)
