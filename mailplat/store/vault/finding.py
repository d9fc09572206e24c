"""What is in the vault: search, and totals by account."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mailplat.store.names import canonical
from mailplat.store.site import Site
from mailplat.store.vault.place import box_path

# Rows read at once.
_SLICE = 2000


class Item(NamedTuple):
    """A message in the vault, in the order of _COLUMNS."""

    id: int  # within the shard
    account_id: int
    mailbox_id: int
    mailbox: str
    uid: int
    reason: str
    at: int  # Unix seconds
    size: int
    internaldate: int
    zone: int
    flags: str
    file: str
    name: str
    restored: int
    sender: str
    recipient: str
    subject: str
    message_id: str

    @property
    def path(self) -> str:
        """Relative to the shard, once it is placed."""
        return str(box_path(self.account_id, self.mailbox_id) / self.name)


_COLUMNS = ", ".join(Item._fields)


@dataclass(frozen=True, slots=True)
class Filter:
    """All that are given must hold. Texts are looked for anywhere, in upper or lower case."""

    ids: frozenset[int] | None = None
    sender: str = ""
    subject: str = ""
    mailbox: str = ""  # its whole name at that time
    reason: str = ""
    since: int | None = None  # expunged at or after, Unix seconds
    until: int | None = None  # expunged before

    def takes(self, item: Item) -> bool:
        return (
            (self.ids is None or item.id in self.ids)
            and self.sender.casefold() in item.sender.casefold()
            and self.subject.casefold() in item.subject.casefold()
            and (not self.mailbox or item.mailbox == canonical(self.mailbox))
            and (not self.reason or item.reason == self.reason)
        )


@dataclass(frozen=True, slots=True)
class Totals:
    account_id: int
    messages: int
    octets: int
    oldest: int  # Unix seconds
    newest: int


def find(site: Site, account_ids: Sequence[int], wanted: Filter | None = None) -> Iterator[Item]:
    """By account, the oldest first. No transaction stays open between rows."""
    wanted = wanted or Filter()
    low = 0 if wanted.since is None else wanted.since
    high = 2**62 if wanted.until is None else wanted.until
    for account_id in account_ids:
        at, number = low, 0
        while True:
            with site.read() as connection:
                rows = connection.exec_driver_sql(
                    f"SELECT {_COLUMNS} FROM vault WHERE account_id = ? AND (at, id) > (?, ?) AND at < ?"
                    " ORDER BY at, id LIMIT ?",
                    (account_id, at, number, high, _SLICE),
                ).fetchall()
            items = [Item(*row) for row in rows]
            yield from (item for item in items if wanted.takes(item))
            if len(items) < _SLICE:
                break
            at, number = items[-1].at, items[-1].id


def totals(site: Site, account_ids: Sequence[int] | None = None) -> list[Totals]:
    """Of these accounts or of all, those that have something here; files that wait for their move count too."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT account_id, count(*), sum(size), min(at), max(at) FROM vault GROUP BY account_id"
            " ORDER BY account_id"
        ).fetchall()
    wanted = None if account_ids is None else set(account_ids)
    return [Totals(*row) for row in found if wanted is None or row[0] in wanted]
