"""The queue's door, on SQLite and PostgreSQL."""

import asyncio
import os
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailplat.bus import MemoryBus
from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.clock import ManualClock
from mailplat.core.envelope import Envelope, Wish
from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.outcome import Outcome, Result
from mailplat.core.reply import Reply
from mailplat.core.spool import Body
from mailplat.db.engine import Database
from mailplat.queue import (
    HOLD_RETRY_S,
    LEASE_S,
    Filter,
    Leased,
    Notice,
    Queue,
    QueueRecipient,
    StaleLease,
)
from tests.queue.conftest import OCTETS, PEER, SENDER, files, put, recipients

DELIVERED = Outcome(Result.DELIVERED, Reply(250, "2.0.0", "ok"), "192.0.2.9:25")
DEFERRED = Outcome(Result.DEFERRED, Reply(450, "4.2.1", "later"), "192.0.2.9:25")
FAILED = Outcome(Result.FAILED, Reply(550, "5.1.1", "no"), "192.0.2.9:25")


def lease(queue: Queue, worker: str = "w") -> Leased:
    [leased] = queue.lease(worker, 100)
    return leased


def test_a_message_comes_out_as_it_went_in(queue: Queue, clock: ManualClock) -> None:
    queue_id = put(queue, "bert", "zoë")
    leased = lease(queue)
    assert leased.message.id == queue_id
    assert leased.message.envelope == Envelope(SENDER.reverse_path, "8BITMIME", True, len(OCTETS) + 13)
    assert (leased.message.peer.address, leased.message.peer.account) == ("192.0.2.1", "anna@example.org")
    assert leased.message.arrived == clock.now()
    assert [one.address.local for one in leased.recipients] == ["bert", "zoë"]
    assert [one.account_id for one in leased.recipients] == [1, 2]
    body = queue.body(leased)
    assert body.octets() == b"Received: x\r\n" + OCTETS
    body.close()


def test_what_the_sender_asked_for_comes_out_as_well(queue: Queue) -> None:
    asked = replace(SENDER, require_tls=True, ret="FULL", envid="Q+2Bq")
    to = [
        QueueRecipient(Address("bert", "example.net"), 1, Wish("SUCCESS,DELAY", "rfc822;B@Example.net")),
        QueueRecipient(Address("cleo", "example.net"), 2),
    ]
    queue.put(asked, to, Body.of(OCTETS), b"", peer=PEER)
    leased = lease(queue)
    assert replace(leased.message.envelope, declared_size=0) == replace(asked, declared_size=0)
    assert [one.wish for one in leased.recipients] == [to[0].wish, Wish()]


def test_what_is_leased_is_nobody_elses(queue: Queue) -> None:
    put(queue)
    assert queue.lease("a", 10)
    assert queue.lease("b", 10) == []


def test_each_recipient_is_leased_by_one_of_many_workers(queue: Queue) -> None:
    ids = {put(queue, "bert", "cleo") for _ in range(20)}
    taken: list[tuple[str, int]] = []

    def work(name: str) -> None:
        while found := queue.lease(name, 3):
            taken.extend((leased.message.id, one.id) for leased in found for one in leased.recipients)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 40
    assert {message for message, _ in taken} == ids


def test_the_last_recipient_takes_rows_and_file_away(queue: Queue) -> None:
    put(queue, "bert", "cleo")
    leased = lease(queue)
    bert, cleo = leased.recipients
    queue.settle(leased, {bert.id: DELIVERED, cleo.id: DEFERRED})
    assert len(files(queue)) == 1
    assert [entry.recipient.local for entry in queue.entries()] == ["cleo"]
    queue.retry(Filter())
    queue.settle(lease(queue), {cleo.id: DELIVERED})
    assert queue.counts() == {"waiting": 0, "held": 0, "leased": 0, "messages": 0, "octets": 0}
    assert files(queue) == []


def test_a_deferred_recipient_waits_longer_each_time(queue: Queue, clock: ManualClock) -> None:
    put(queue)
    pauses = []
    for attempt in range(1, 16):
        leased = lease(queue)
        assert leased.recipients[0].attempts == attempt - 1
        queue.settle(leased, {leased.recipients[0].id: DEFERRED})
        [entry] = queue.entries()
        assert (entry.last, entry.remote) == (DEFERRED.reply, DEFERRED.remote)
        pauses.append(entry.due - clock.now())
        assert queue.lease("w", 10) == []
        clock.advance(pauses[-1])
    schedule = queue.schedule
    assert schedule.first * 0.75 <= pauses[0] <= schedule.first * 1.25
    assert all(later > earlier for earlier, later in pairwise(pauses[:8]))
    assert max(pauses) <= schedule.longest * 1.25


def test_held_is_no_attempt_and_is_released_by_a_new_route(queue: Queue, clock: ManualClock) -> None:
    put(queue, "bert", "cleo")
    leased = lease(queue)
    queue.settle(leased, {}, held=leased.recipient_ids)
    assert queue.counts()["held"] == 2
    assert queue.lease("w", 10) == []
    assert queue.release_account(1) == 1
    leased = lease(queue)
    assert [(one.address.local, one.attempts) for one in leased.recipients] == [("bert", 0)]
    clock.advance(HOLD_RETRY_S)
    assert [one.address.local for one in lease(queue).recipients] == ["cleo"]
    assert queue.count_account(1) == 1


def test_who_is_not_named_is_due_again_at_once(queue: Queue) -> None:
    put(queue)
    queue.settle(lease(queue), {})
    assert lease(queue).recipients[0].attempts == 0


def test_an_expired_lease_is_taken_over_and_its_holder_settles_nothing(
    queue: Queue, clock: ManualClock
) -> None:
    put(queue, "bert", "cleo")
    slow = lease(queue, "slow")
    clock.advance(LEASE_S + 1)
    quick = lease(queue, "quick")
    assert quick.recipient_ids == slow.recipient_ids
    assert not queue.renew(slow)
    with pytest.raises(StaleLease):
        queue.settle(slow, dict.fromkeys(slow.recipient_ids, DELIVERED))
    notice = Notice(Envelope(NULL_SENDER), recipients("anna"), b"Subject: dsn\r\n\r\n")
    with pytest.raises(StaleLease):
        queue.settle(slow, dict.fromkeys(slow.recipient_ids, FAILED), notice=notice)
    assert queue.counts()["leased"] == 2
    queue.settle(quick, dict.fromkeys(quick.recipient_ids, DELIVERED))
    assert queue.counts()["messages"] == 0


def test_a_renewed_lease_lasts(queue: Queue, clock: ManualClock) -> None:
    put(queue)
    leased = lease(queue)
    for _ in range(5):
        clock.advance(LEASE_S * 0.9)
        assert queue.renew(leased)
        assert queue.lease("thief", 10) == []
    queue.settle(leased, {leased.recipients[0].id: DELIVERED})
    assert not queue.renew(leased)


def test_renewing_leaves_what_was_settled_alone(queue: Queue) -> None:
    put(queue, "bert", "cleo")
    leased = lease(queue)
    bert = leased.recipients[0]
    queue.settle(
        Leased(leased.message, (bert,), leased.deadline),
        {bert.id: DEFERRED},
    )
    [before] = [entry.due for entry in queue.entries(Filter(address="BERT@example.net"))]
    assert queue.renew(leased)
    assert [entry.due for entry in queue.entries(Filter(address="bert@example.net"))] == [before]


def test_a_settlement_may_be_repeated(queue: Queue) -> None:
    """Its answer may be lost with a connection; the notice must not be doubled."""
    put(queue, "bert", "cleo")
    leased = lease(queue)
    bert, cleo = leased.recipients
    notice = Notice(Envelope(NULL_SENDER), recipients("anna"), b"Subject: dsn\r\n\r\n")
    for _ in range(2):
        queue.settle(leased, {bert.id: FAILED, cleo.id: DEFERRED}, notice=notice)
    assert sorted(entry.recipient.local for entry in queue.entries()) == ["anna", "cleo"]
    assert [entry.attempts for entry in queue.entries(Filter(address="cleo@example.net"))] == [1]


def test_a_failure_leaves_with_its_notice(queue: Queue, bus: MemoryBus) -> None:
    put(queue)
    leased = lease(queue)
    notice = Notice(Envelope(NULL_SENDER), recipients("anna"), b"Subject: dsn\r\n\r\n")
    queue.settle(leased, {leased.recipients[0].id: FAILED}, notice=notice)
    dsn = lease(queue)
    assert dsn.message.envelope.reverse_path == NULL_SENDER
    body = queue.body(dsn)
    assert body.octets() == b"Subject: dsn\r\n\r\n"
    body.close()


def test_a_put_is_a_hint(queue: Queue, bus: MemoryBus) -> None:
    async def hear() -> bool:
        listener = bus.listen("queue")
        await asyncio.get_running_loop().run_in_executor(None, put, queue)
        return await listener.wait(5)

    assert asyncio.run(hear())


def test_next_due(queue: Queue, clock: ManualClock) -> None:
    assert queue.next_due() is None
    put(queue)
    assert queue.next_due() == clock.now()
    lease(queue)
    assert queue.next_due() == clock.now() + LEASE_S


def test_admins_see_retry_and_remove_by_filter(queue: Queue) -> None:
    first, second = put(queue, "bert"), put(queue, "cleo", "dora")
    assert {entry.message_id for entry in queue.entries()} == {first, second}
    assert [e.recipient.local for e in queue.entries(Filter(message_id=second))] == ["cleo", "dora"]
    assert len(queue.entries(Filter(sender="ANNA@example.org", domain="EXAMPLE.net"))) == 3
    assert queue.entries(Filter(state="held")) == []
    assert queue.remove(Filter(message_id=second, address="cleo@example.net")) == 1
    assert queue.remove(Filter(message_id=first)) == 1
    assert [path.name for path in files(queue)] == [second]
    assert queue.entries(limit=1)[0].recipient == Address("dora", "example.net")


def test_a_message_removed_while_leased_is_settled_without_a_word(queue: Queue) -> None:
    put(queue)
    leased = lease(queue)
    queue.remove(Filter(message_id=leased.message.id))
    with pytest.raises(NotFound):
        queue.body(leased)
    queue.settle(leased, {leased.recipients[0].id: DELIVERED})
    assert queue.counts()["messages"] == 0


def test_an_abandoned_file_is_swept_and_others_stay(
    database: Database, queue: Queue, clock: ManualClock, tmp_path: Path
) -> None:
    kept = put(queue)
    orphan = queue.tmp.parent / "00" / ("0" * 16)
    fresh = queue.tmp / ("1" * 16)
    for path in (orphan, fresh):
        path.write_bytes(b"x")
    long_ago = clock.now() - 7200
    os.utime(orphan, (long_ago, long_ago))
    for path in files(queue):
        if path.name == kept:
            os.utime(path, (long_ago, long_ago))
    os.utime(fresh, (clock.now(), clock.now()))
    assert queue.sweep() == 1
    assert {path.name for path in files(queue)} == {kept, fresh.name}


def test_two_machines_share_a_database_and_not_their_files(
    database: Database, queue: Queue, clock: ManualClock, bus: MemoryBus, tmp_path: Path
) -> None:
    other = Queue(database, tmp_path / "other machine", clock, bus)
    try:
        put(queue)
        assert other.lease("w", 10) == []
        assert lease(queue)
    finally:
        other.close()


def test_the_same_spool_is_the_same_machine_after_a_restart(
    database: Database, queue: Queue, clock: ManualClock, bus: MemoryBus, tmp_path: Path
) -> None:
    put(queue)
    again = Queue(database, tmp_path / "queue", clock, bus)
    try:
        assert lease(again)
    finally:
        again.close()


def test_no_recipients_is_a_bug(queue: Queue) -> None:
    with pytest.raises(ValueError, match="without recipients"):
        queue.put(SENDER, [], Body.of(b""), b"", peer=PEER)


def test_closed_is_unavailable(
    database: Database, tmp_path: Path, clock: ManualClock, bus: MemoryBus
) -> None:
    closed = Queue(database, tmp_path / "q", clock, bus)
    closed.close()
    with pytest.raises(Unavailable):
        closed.put(SENDER, [QueueRecipient(Address("a", "b.c"))], Body.of(b"x"), b"", peer=PEER)


def test_many_puts_share_commits(queue: Queue) -> None:
    futures = [queue.submit(SENDER, recipients("bert"), Body.of(OCTETS), b"", peer=PEER) for _ in range(100)]
    ids = [future.result(10) for future in futures]
    assert len(set(ids)) == 100
    assert not futures[0].cancel()
    assert queue.counts()["messages"] == len(files(queue)) == 100


def test_a_message_that_is_refused_leaves_no_file(queue: Queue) -> None:
    """On a full disk what was refused would keep it full. Refused by the database: an account twice as large as it
    can count."""
    with pytest.raises((sa.exc.SQLAlchemyError, OverflowError)):
        queue.put(
            SENDER, [QueueRecipient(Address("a", "example.net"), 1 << 70)], Body.of(OCTETS), b"", peer=PEER
        )
    assert files(queue) == []
    put(queue)
    assert len(files(queue)) == 1
