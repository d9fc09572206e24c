"""The table, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

from mailplat.db.engine import Database
from mailplat.usage import Counts, UsageBook
from mailplat.usage.book import ROWS
from mailplat.usage.counts import NAMES
from mailplat.usage.meter import HOUR_S, Key

A = Key("a.test", 3 * HOUR_S, "shard:s1")
ALL = Counts(*range(1, len(NAMES) + 1))


def test_what_is_added_is_added_up(database: Database) -> None:
    book = UsageBook(database)
    book.add({A: ALL})
    book.add({A: ALL, A._replace(home="backend:old"): Counts(octets=1 << 40)})
    first, second = book.read(0, 4 * HOUR_S)
    assert (first.home, first.counts) == ("backend:old", Counts(octets=1 << 40))
    assert (second.domain, second.hour, second.home) == A
    assert second.counts == Counts(*(2 * number for number in range(1, len(NAMES) + 1)))


def test_many_processes_add_at_once(database: Database) -> None:
    book = UsageBook(database)
    rows = {Key(f"d{number}.test", 0, "shard:s1"): Counts(logins=1) for number in range(ROWS + 3)}
    backwards = dict(reversed(rows.items()))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(book.add, [rows, backwards, rows, backwards]))
    found = book.read(0, 1)
    assert len(found) == ROWS + 3
    assert {row.counts.logins for row in found} == {4}


def test_reading_by_domain_and_hour_and_forgetting(database: Database) -> None:
    book = UsageBook(database)
    book.add({A: ALL, A._replace(domain="b.test"): ALL, A._replace(hour=4 * HOUR_S): ALL})
    assert [row.domain for row in book.read(3 * HOUR_S, 4 * HOUR_S)] == ["a.test", "b.test"]
    assert [row.hour for row in book.read(0, 9 * HOUR_S, ["a.test"])] == [3 * HOUR_S, 4 * HOUR_S]
    assert book.prune(4 * HOUR_S) == 2
    assert [row.hour for row in book.read(0, 9 * HOUR_S)] == [4 * HOUR_S]


def test_several_domains_together_hour_by_hour(database: Database) -> None:
    book = UsageBook(database)
    one, two = Counts(logins=1, octets=10), Counts(logins=2, octets=1 << 60)
    book.add(
        {
            A: one,
            A._replace(home="backend:old"): one,
            A._replace(domain="b.test"): two,
            A._replace(domain="c.test"): two,
            A._replace(hour=4 * HOUR_S): one,
            A._replace(hour=5 * HOUR_S): one,
        }
    )
    both = book.by_hour(3 * HOUR_S, 5 * HOUR_S, ["a.test", "b.test"])
    assert both == [Counts(logins=4, octets=20 + (1 << 60)), one]
    assert book.by_hour(3 * HOUR_S, 4 * HOUR_S, ["a.test"], home="shard:") == [one]
    assert book.by_hour(0, 9 * HOUR_S, ["a.test"], home="shard_") == []
    assert book.by_hour(0, 9 * HOUR_S, []) == []
