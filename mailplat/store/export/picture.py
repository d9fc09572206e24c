"""What an account had at one moment: read in one transaction, so that a message that is moved from one mailbox to
another meanwhile is in exactly one of them. Some 400 octets of memory a message, of one account at a time."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from mailplat.core.route import Residence
from mailplat.store.fetch import select_messages
from mailplat.store.flagsets import SYSTEM_BITS, Book, read_book
from mailplat.store.shard import Shard
from mailplat.store.site import COLUMNS, MailboxRow, Site


class Message(NamedTuple):
    """In the order of _MESSAGE."""

    uid: int
    flagset: int
    size: int
    internaldate: int
    name: str  # of the file
    uidl: str | None  # None: the platform's own


_MESSAGE = "m.uid, m.flagset, m.size, m.internaldate, m.name, m.uidl"


@dataclass(frozen=True, slots=True)
class Folder:
    """A mailbox with its messages by UID."""

    row: MailboxRow
    book: Book
    messages: list[Message]

    def keyword_counts(self) -> list[int]:
        """Messages that have each keyword, by its number."""
        sets: dict[int, int] = {}
        for message in self.messages:
            sets[message.flagset] = sets.get(message.flagset, 0) + 1
        counts = [0] * len(self.book.keywords)
        for number, count in sets.items():
            keywords = self.book.mask(number) >> SYSTEM_BITS
            for at in range(len(counts)):
                counts[at] += count * (keywords >> at & 1)
        return counts


@dataclass(frozen=True, slots=True)
class Picture:
    residence: Residence
    uidvalidity: int  # the highest that a mailbox of the account was ever given
    folders: list[Folder]  # INBOX first
    subscriptions: list[str]


def open_accounts(shard: Shard) -> list[int]:
    """Numbers of the accounts that live in the shard."""
    with shard.site.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT account_id FROM account WHERE closed = 0 ORDER BY account_id"
        )
        return [account_id for (account_id,) in rows]


def take(site: Site, account_id: int) -> Picture | None:
    """None for an account that is not here, or not any more. Raises Unavailable."""
    with site.read() as connection:
        account = connection.exec_driver_sql(
            "SELECT epoch, uidvalidity FROM account WHERE account_id = ? AND closed = 0", (account_id,)
        ).fetchone()
        if account is None:
            return None
        rows = connection.exec_driver_sql(
            f"SELECT {COLUMNS} FROM mailbox WHERE account_id = ? ORDER BY name <> 'INBOX', name",
            (account_id,),
        ).fetchall()
        subscriptions = connection.exec_driver_sql(
            "SELECT name FROM subscription WHERE account_id = ? ORDER BY name", (account_id,)
        )
        names = [name for (name,) in subscriptions]
        folders = [_folder(connection, MailboxRow(*row)) for row in rows]
    return Picture(Residence(account_id, site.name, account[0]), account[1], folders, names)


def _folder(connection: Connection, row: MailboxRow) -> Folder:
    pieces: list[Any] = [
        each for piece in select_messages(connection, row.id, None, _MESSAGE) for each in piece
    ]
    return Folder(row, read_book(connection, row.id), [Message(*each) for each in pieces])
