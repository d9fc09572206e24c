"""A maildrop: INBOX as it was when the session began (RFC 1939 5), and what is to be deleted at its end."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mailplat.access.pop3.lock import MaildropLock
from mailplat.core import disk
from mailplat.core.errors import NotFound
from mailplat.core.route import Residence
from mailplat.store import Shard

INBOX = "INBOX"


class Message(NamedTuple):
    uid: int
    size: int  # octets of the file
    uidl: str


class Maildrop:
    """Locked from `open` to `close`. Methods that reach the store or the disk block: for threads."""

    def __init__(self, shard: Shard, residence: Residence, lock: MaildropLock) -> None:
        self._shard = shard
        self._residence = residence
        self._lock = lock
        mailbox = shard.mailbox(residence, INBOX)
        self._mailbox_id = mailbox.id
        rows = shard.rows(residence, mailbox.id, None, ("uid", "size", "uidl"))
        self._messages = [Message(*row) for row in rows]
        self._deleted: set[int] = set()
        self._octets = sum(message.size for message in self._messages)

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
        return len(self._messages) - len(self._deleted)

    @property
    def octets(self) -> int:
        return self._octets

    @property
    def deleted(self) -> int:
        """How many are marked."""
        return len(self._deleted)

    def find(self, number: int) -> Message | None:
        """None for a number that nobody has, or whose message is marked as deleted."""
        if not 1 <= number <= len(self._messages) or number in self._deleted:
            return None
        return self._messages[number - 1]

    def __iter__(self) -> Iterator[tuple[int, Message]]:
        """(number, message), without the deleted ones."""
        for number, message in enumerate(self._messages, 1):
            if number not in self._deleted:
                yield number, message

    def delete(self, number: int) -> None:
        self._deleted.add(number)
        self._octets -= self._messages[number - 1].size

    def reset(self) -> None:
        """RSET: nothing is marked any more."""
        self._octets += sum(self._messages[number - 1].size for number in self._deleted)
        self._deleted.clear()

    # with I/O

    def read(self, message: Message, chunk: int) -> tuple[bytes, BinaryIO | None] | None:
        """The first piece of a message, and the file where there is more. None: it was expunged meanwhile. Raises
        Unavailable."""
        try:
            file = self._shard.open(self._residence, self._mailbox_id, message.uid)
        except NotFound:
            return None
        if file is None:
            return None
        try:
            piece = read_piece(file, chunk)
        except BaseException:
            file.close()
            raise
        if len(piece) == chunk:
            return piece, file
        file.close()
        return piece, None

    def commit(self) -> int:
        """The UPDATE state: expunge what is marked, in one transaction. Returns how many were there. Raises
        StaleEpoch when the account has moved, Unavailable; then nothing was deleted."""
        uids = [self._messages[number - 1].uid for number in self._deleted]
        gone = self._shard.expunge_uids(self._residence, self._mailbox_id, [(uid, uid) for uid in uids])
        return len(gone)


def read_piece(file: BinaryIO, chunk: int) -> bytes:
    """Raises Unavailable."""
    with disk.failures("message file"):
        return file.read(chunk)
