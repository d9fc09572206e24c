"""A domain moves from a real Dovecot while people work on it."""

import asyncio
import itertools
import json
import threading
from collections.abc import Callable

import pytest

from mailplat.core.errors import StaleEpoch
from mailplat.core.route import BackendHome, RouteState, ShardHome
from migration import fence
from migration.cli.report import compose
from migration.compared import Compared
from migration.sources.imap_account import ImapAccount
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, content_of, letter, subscriptions_of
from tests.until import until

pytestmark = pytest.mark.interop


def furnish(dovecot: Dovecot, user: str, letters: int = 60) -> None:
    """A mailbox with a past."""
    with client(dovecot, user) as imap:
        for name in ("Archive", "Archive/2002", "Archive/2002/März & April", "Sent", "空 folder"):
            imap.create_folder(name)
        imap.subscribe_folder("Archive/2002")
        for number in range(letters):
            name = ("INBOX", "INBOX", "Archive/2002", "Archive/2002/März & April")[number % 4]
            imap.append(name, letter(number))
        imap.append("INBOX", b"Subject: 8bit \xe9\r\n\r\n\xff\xfe octets\r\n", flags=["\\Draft"])
        imap.append("INBOX", letter(999, 600_000), flags=["\\Seen"])  # spooled to a file on its way
        imap.select_folder("INBOX")
        imap.add_flags(range(1, 11), ["\\Seen"])
        imap.add_flags(range(3, 7), ["\\Flagged", "$Important", "Project-X", "UID"])
        imap.add_flags([7, 8, 9], ["\\Deleted"])
        imap.uid_expunge([9])


async def test_a_whole_account_is_the_same_on_both_sides(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user)
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        await until(lambda: here.move(user).released)
    there = content_of(dovecot, user)
    assert here.content(user) == there
    assert here.subscriptions(user) == subscriptions_of(dovecot, user)
    shard, home = here.platform.store.shard(here.residence(user).shard), here.residence(user)
    inbox = shard.mailbox(home, "INBOX").id
    assert {row[0] for row in shard.rows(home, inbox, None, ("preview",))} == {None}, "until somebody asks"
    uidvalidity = there["INBOX"][0]
    assert here.uidls(user) == [f"{uid:08x}{uidvalidity:08x}" for uid in there["INBOX"][1]]
    assert here.move(user).route.home == ShardHome(here.move(user).shard)
    report = compose(here.ledger, DOMAIN)
    assert report["accounts"] == 1
    assert 0 < report["fence_ms_longest"] < 30_000
    messages = sum(len(rows) for _, rows in there.values())
    (row,) = report["moves"]
    assert (report["messages"], row["compared"]["messages"], row["hashed"]) == (messages,) * 3
    assert (
        row["octets"]
        == row["compared"]["octets"]
        == sum(len(o) for _, r in there.values() for *_, o in r.values())
    )
    assert row["fence_phases_ms"].keys() == {"acknowledge", "delta", "beside", "verify", "manifest", "commit"}
    assert (report["states"], report["halted"], report["dropped_flags"]) == ({"new": 1}, 0, [])
    assert {"copy", "fence"} <= {each["kind"] for each in row["history"]}
    assert json.loads(json.dumps(report)) == report


async def test_numbers_are_above_those_of_the_source(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """UIDNEXT counts messages that are gone; a CONDSTORE client's cache holds no higher MODSEQ than ours."""
    with client(dovecot, user) as imap:
        for number in range(6):
            imap.append("INBOX", letter(number))
        imap.select_folder("INBOX")
        for _ in range(30):
            imap.add_flags([1], ["\\Seen"])
            imap.remove_flags([1], ["\\Seen"])
        imap.delete_messages([5, 6])
        imap.expunge()
        status = imap.folder_status("INBOX", ["UIDNEXT", "HIGHESTMODSEQ"])
    here = house(user)
    here.plan()
    async with here.engine():
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    residence = here.residence(user)
    inbox = here.platform.store.shard(residence.shard).mailbox(residence, "INBOX")
    assert inbox.uidnext >= status[b"UIDNEXT"] == 7
    assert inbox.modseq > status[b"HIGHESTMODSEQ"]


async def test_a_cache_made_at_the_source_hears_of_all_that_came_after(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """A client that looked at the legacy platform between two rounds asks here for changes since that MODSEQ."""
    with client(dovecot, user) as imap:
        for number in range(6):
            imap.append("INBOX", letter(number))
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
    with client(dovecot, user) as imap:
        imap.select_folder("INBOX")
        for _ in range(30):
            imap.add_flags([1], ["\\Seen"])
            imap.remove_flags([1], ["\\Seen"])
        seen = imap.folder_status("INBOX", ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"]
        imap.append("INBOX", letter(7))
        imap.add_flags([2], ["\\Flagged"])
        imap.append("INBOX", letter(8))  # never seen by the engine
        imap.delete_messages([3, 8])
        imap.uid_expunge([3, 8])
    async with here.engine():
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    residence = here.residence(user)
    shard = here.platform.store.shard(residence.shard)
    changes = shard.changes(residence, shard.mailbox(residence, "INBOX").id, seen)
    assert {uid for uid, _, _ in changes.changed} >= {2, 7}
    assert list(changes.present or ()) == [1, 2, 4, 5, 6, 7]


async def test_a_domain_moves_while_its_users_work(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """Appends, flags, expunges, mailboxes made and renamed and deleted, until the fence closes the door."""
    furnish(dovecot, user)
    here = house(user)
    here.plan()
    closed, worked = threading.Event(), threading.Event()

    def work() -> None:
        with client(dovecot, user) as imap:
            for number in itertools.count(1000):
                imap.append(("INBOX", "Archive")[number % 2], letter(number))
                imap.select_folder("INBOX")
                uids = imap.search()
                imap.add_flags(uids[number % len(uids)], [("\\Seen", "\\Flagged", "$Later")[number % 3]])
                if number % 5 == 0 and number < 1040:  # the brake is another test's
                    imap.delete_messages(uids[3])
                    imap.uid_expunge(uids[3])
                if number % 7 == 0 and number < 1040:
                    imap.create_folder(f"New {number}")
                    imap.copy(uids[-3:], f"New {number}")
                    imap.rename_folder(f"New {number}", f"Renamed {number}")
                imap.unselect_folder()
                if number > 1008:
                    worked.set()
                if closed.is_set():
                    return

    # The door's part, played here: at the fence the user's session ends before the door acknowledges.
    class Door:
        async def route_changed(self, route: object) -> None:
            if getattr(route, "state", None) is RouteState.FENCED:
                closed.set()
                await asyncio.to_thread(worker.join)

        async def lease_lost(self) -> None: ...

    worker = threading.Thread(target=work)
    worker.start()
    try:
        async with here.engine(handler=Door()):
            await here.reach(RouteState.READY)
            await asyncio.to_thread(worked.wait, 30)
            here.ledger.request_cutover(DOMAIN)
            await here.reach(RouteState.NEW)
    finally:
        closed.set()
        worker.join()
    assert here.content(user) == content_of(dovecot, user)


async def test_a_second_run_over_an_unchanged_pair_does_nothing(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user, 20)
    here = house(user)
    here.plan()
    async with here.engine(ready_every=0.0):
        await here.reach(RouteState.READY)
        rounds = here.move(user).rounds
        content = here.content(user)
        inbox = here.platform.store.shard(here.move(user).shard).mailbox(here.residence(user), "INBOX")
        seen = [here.move(user).route.epoch]
        for _ in range(8):
            await asyncio.sleep(0.1)
            seen.append(here.move(user).route.epoch)
    assert here.move(user).rounds == rounds
    assert here.content(user) == content
    assert here.platform.store.shard(here.move(user).shard).mailbox(here.residence(user), "INBOX") == inbox
    assert set(seen) == {seen[0]}


async def test_deltas_without_condstore(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImapAccount, "condstore", property(lambda self: False))
    furnish(dovecot, user, 20)
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            imap.add_flags([2], ["\\Answered", "$New"])
            imap.remove_flags([1], ["\\Seen"])
            imap.delete_messages([4])
            imap.uid_expunge([4])
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)


async def test_mailboxes_renamed_made_and_deleted_between_rounds(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user)
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        octets = here.move(user).octets
        with client(dovecot, user) as imap:
            imap.rename_folder("Archive/2002", "Archive/Old")  # its child goes with it
            imap.delete_folder("空 folder")
            imap.create_folder("Fresh")
            imap.unsubscribe_folder("Archive/2002")
            imap.subscribe_folder("Fresh")
        await until(lambda: here.subscriptions(user) == {"Fresh"})
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
    assert here.move(user).octets == octets, "renamed, not copied again"


async def test_a_parent_that_cannot_be_opened_is_an_empty_mailbox_here(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    with client(dovecot, user) as imap:
        imap.create_folder("Parent/Child")
        imap.append("Parent/Child", letter(1))
    here = house(user)
    here.plan()
    async with here.engine():
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    content = here.content(user)
    assert content.pop("Parent")[1] == {}
    assert content == content_of(dovecot, user)


async def test_another_uidvalidity_stops_the_move_and_deletes_nothing(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user, 20)
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
    before = here.content(user)
    with client(dovecot, user) as imap:
        imap.delete_folder("Archive/2002/März & April")
        while True:  # Dovecot's UIDVALIDITY is a time in seconds
            imap.create_folder("Archive/2002/März & April")
            status = imap.folder_status("Archive/2002/März & April", ["UIDVALIDITY"])
            if status[b"UIDVALIDITY"] != before["Archive/2002/März & April"][0]:
                break
            imap.delete_folder("Archive/2002/März & April")
    async with here.engine():
        assert "UIDVALIDITY" in await here.halted(user)
    assert here.content(user) == before
    assert here.move(user).route.home == BackendHome("old")


async def test_too_many_deletions_need_a_word(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user, 120)
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
    before = here.content(user)
    with client(dovecot, user) as imap:  # no round sees them marked
        imap.select_folder("INBOX")
        imap.delete_messages(imap.search())
        imap.expunge()
    async with here.engine():
        reason = await here.halted(user)
        gone = len(before["INBOX"][1])
        assert f"{gone} of {sum(len(rows) for _, rows in before.values())} messages" in reason
        assert here.content(user) == before
        here.ledger.clear_halts(DOMAIN, deletions=gone)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
    left = sum(len(rows) for _, rows in here.content(user).values())
    assert Compared.from_json(here.move(user).verified).hashed == left, "after a halt all are compared anew"


async def test_a_fence_that_takes_too_long_is_taken_back(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence.cut_over, "__kwdefaults__", {"length": 1.6})
    furnish(dovecot, user, 20)
    here = house(user)
    here.plan()
    opened = asyncio.Event()

    class Door:
        """Does not acknowledge."""

        async def route_changed(self, route: object) -> None:
            if getattr(route, "state", None) is RouteState.FENCED:
                await opened.wait()

        async def lease_lost(self) -> None: ...

    async with here.engine(handler=Door()):
        await here.reach(RouteState.READY)
        content = here.content(user)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.FENCED)
        await until(lambda: here.move(user).aborts == 1)
        opened.set()
        move = here.move(user)
        assert move.route.home == BackendHome("old")
        assert "no door had acknowledged" in move.note
        assert not move.cutover
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:  # the users are where they were
            imap.append("INBOX", letter(77))
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
    assert len(here.content(user)["INBOX"][1]) == len(content["INBOX"][1]) + 1


async def test_a_write_with_an_old_epoch_is_refused(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """A worker that slept through the commit (SIGSTOP, SIGCONT) writes nothing."""
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        old = here.residence(user)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    shard = here.platform.store.shard(old.shard)
    with pytest.raises(StaleEpoch):
        shard.create(old, "late")


async def test_strays_come_over_with_fresh_uids(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail that reached the legacy platform behind the fence: once, and nothing here is renumbered."""
    monkeypatch.setattr("migration.fence.SWEEPS_S", (1.0,))
    monkeypatch.setattr("migration.journey.SWEEPS_S", (1.0, 1.5))
    furnish(dovecot, user, 8)
    here = house(user)
    here.plan()
    async with here.engine(ready_every=0.1):
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        before = here.content(user)
        with client(dovecot, user) as imap:
            imap.append("INBOX", letter(500))
            imap.create_folder("Late")
            imap.append("Late", letter(501))
        await until(lambda: here.move(user).sweeps == 2, 30)
    assert here.move(user).strays == 2
    after = here.content(user)["INBOX"][1]
    fresh = after.keys() - before["INBOX"][1].keys()
    assert {after[uid][2] for uid in fresh} == {letter(500), letter(501)}
    assert {uid: after[uid] for uid in before["INBOX"][1]} == before["INBOX"][1]
