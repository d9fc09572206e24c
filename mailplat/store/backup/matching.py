"""What of a point an account still has, message by message, so that a restore brings back only what is missing.

Each message that is there stands for one message of the point. In four rounds, the surest first: the same file name
(its unique part) in the same mailbox; the same octets and date in the same mailbox, for what an earlier restore
brought; then both again in any mailbox, for what was moved.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from os import fstat
from os.path import samestat

from mailplat.core import disk
from mailplat.core.route import Residence
from mailplat.store.backup.catalogue import Catalogue, SavedMailbox, SavedMessage
from mailplat.store.backup.manifest import CHUNK
from mailplat.store.shard import Shard

# Rows read at once.
_PAGE = 5000

Pair = tuple[SavedMailbox, int]  # with the number of the mailbox that it is brought back into


class Present:
    """The messages of some mailboxes as they are now: some 300 octets each."""

    def __init__(self, shard: Shard, residence: Residence, mailboxes: Sequence[int]) -> None:
        self._shard = shard
        self._residence = residence
        self._mailboxes = array("q")
        self._uids = array("q")
        self._taken = bytearray()
        self._by_unique: dict[str, list[int]] = {}
        self._by_shape: dict[tuple[int, int], list[int]] = {}
        for mailbox_id in mailboxes:
            for uid, size, date, name in _rows(shard, mailbox_id):
                number = len(self._uids)
                self._mailboxes.append(mailbox_id)
                self._uids.append(uid)
                self._by_unique.setdefault(name.partition(",")[0], []).append(number)
                self._by_shape.setdefault((size, date), []).append(number)
        self._taken = bytearray(len(self._uids))

    def missing(
        self, catalogue: Catalogue, pairs: Sequence[Pair]
    ) -> Iterator[tuple[Pair, list[SavedMessage]]]:
        """For each mailbox the messages that nothing here stands for; those that are gone from the point too are
        left out."""
        left: list[tuple[Pair, list[SavedMessage]]] = []
        for pair in pairs:
            saved, target = pair
            messages = (each for each in catalogue.messages(saved.id) if each.digest is not None)
            left.append((pair, [each for each in messages if not self._take_name(each, target)]))
        rounds: tuple[Callable[[SavedMessage, int], bool], ...] = (
            lambda each, target: self._take_octets(catalogue, each, target),
            lambda each, _: self._take_name(each, None),
            lambda each, _: self._take_octets(catalogue, each, None),
        )
        for take in rounds:
            left = [(pair, [each for each in messages if not take(each, pair[1])]) for pair, messages in left]
        yield from left

    def _take_name(self, message: SavedMessage, mailbox_id: int | None) -> bool:
        numbers = self._by_unique.get(message.name.partition(",")[0], ())
        return self._take(number for number in numbers if self._fits(number, mailbox_id))

    def _take_octets(self, catalogue: Catalogue, message: SavedMessage, mailbox_id: int | None) -> bool:
        numbers = self._by_shape.get((message.size, message.internaldate), ())
        return self._take(
            number
            for number in numbers
            if self._fits(number, mailbox_id) and self._same(catalogue, message, number)
        )

    def _fits(self, number: int, mailbox_id: int | None) -> bool:
        return not self._taken[number] and mailbox_id in (None, self._mailboxes[number])

    def _take(self, numbers: Iterator[int]) -> bool:
        number = next(numbers, None)
        if number is not None:
            self._taken[number] = 1
        return number is not None

    def _same(self, catalogue: Catalogue, message: SavedMessage, number: int) -> bool:
        here = self._shard.open(self._residence, self._mailboxes[number], self._uids[number])
        if here is None:
            return False
        path = catalogue.object(message)
        with closing(here), disk.failures(path):
            try:
                there = open(path, "rb")  # noqa: SIM115 - closed below
            except FileNotFoundError:
                return False
            with there:
                if samestat(fstat(here.fileno()), fstat(there.fileno())):
                    return True
                while (chunk := here.read(CHUNK)) == there.read(CHUNK):
                    if not chunk:
                        return True
        return False


def _rows(shard: Shard, mailbox_id: int) -> Iterator[tuple[int, int, int, str]]:
    at = 0
    while True:
        with shard.site.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT uid, size, internaldate, name FROM message WHERE mailbox_id = ? AND uid > ?"
                f" ORDER BY uid LIMIT {_PAGE}",
                (mailbox_id, at),
            ).fetchall()
        if not rows:
            return
        yield from map(tuple, rows)
        at = rows[-1][0]
