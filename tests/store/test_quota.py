"""Quotas of accounts and of the pools that they share: counted with every change, never passed in a shard."""

import asyncio
import contextlib
import random
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from mailplat.core.clock import ManualClock
from mailplat.core.errors import DiskFull, OverQuota, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.quota import NO_QUOTA, Quota
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.db.schema import running
from mailplat.store import NewMessage, Shard, Store, StoreLimits
from mailplat.store.pools import POOL_LEASE_S, Elsewhere
from mailplat.store.quota import AGAIN_S, Crossing
from mailplat.store.repair import problems, rebuild, verify
from tests.store.conftest import HOME, Hints, Rig, letter, new

ANN, BOB, CAT = (Residence(number, "s1", 1) for number in (1, 2, 3))
ORG, NET = "example.org", "example.net"


def octets(count: int) -> NewMessage:
    return new(b"x" * count)


def totals(shard: Shard) -> tuple[dict[int, tuple[int, int]], dict[str, tuple[int, int]]]:
    """(messages, octets) by account and by pool, as the index says."""
    with shard.site.read() as connection:
        accounts = connection.exec_driver_sql("SELECT account_id, messages, octets FROM account").fetchall()
        pools = connection.exec_driver_sql("SELECT domain, messages, octets FROM pool").fetchall()
    return {each[0]: (each[1], each[2]) for each in accounts}, {each[0]: (each[1], each[2]) for each in pools}


def counted(
    shard: Shard, domains: dict[int, str]
) -> tuple[dict[int, tuple[int, int]], dict[str, tuple[int, int]]]:
    """The same from the rows of messages."""
    accounts: dict[int, tuple[int, int]] = dict.fromkeys(domains, (0, 0))
    pools: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    with shard.site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT b.account_id, count(*), sum(m.size) FROM message m JOIN mailbox b ON b.id = m.mailbox_id"
            " GROUP BY b.account_id"
        )
        accounts.update({each[0]: (each[1], each[2]) for each in found})
    for account_id, (messages, size) in accounts.items():
        before = pools[domains[account_id]]
        pools[domains[account_id]] = before[0] + messages, before[1] + size
    return accounts, dict(pools)


class Chaos:
    """Whatever may happen to three accounts of two domains, in any order."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.random = random.Random(seed)
        self.domains = {1: ORG, 2: ORG, 3: NET}
        self.epochs = {1: 1, 2: 1, 3: 1}
        self.refused = 0
        for number, domain in self.domains.items():
            rig.shard.grant(number, 1, domain)
            rig.shard.create(self.home(number), "Box")

    def home(self, number: int) -> Residence:
        return Residence(number, "s1", self.epochs[number])

    def quota(self, number: int) -> Quota:
        return Quota(4000, self.domains[number], 6000)

    def message(self) -> NewMessage:
        return octets(self.random.randrange(1, 900))

    def step(self) -> None:
        number = self.random.choice([1, 2, 3])
        verb = self.random.choices(
            [
                self.append,
                self.deliver,
                self.copy,
                self.move,
                self.expunge,
                self.delete,
                self.remove,
                self.join,
            ],
            [8, 4, 4, 3, 4, 1, 1, 1],
        )[0]
        with contextlib.suppress(OverQuota):
            verb(number)
            return
        self.refused += 1

    def append(self, number: int) -> None:
        messages = [self.message() for _ in range(self.random.randrange(1, 4))]
        mailbox = self.random.choice(["INBOX", "Box"])
        self.rig.append(*messages, mailbox=mailbox, home=self.home(number), quota=self.quota(number))

    def deliver(self, _: int) -> None:
        numbers = self.random.sample([1, 2, 3], 2)
        self.rig.deliver([(self.home(each), "INBOX", self.quota(each)) for each in numbers], self.message())

    def some(self, number: int) -> tuple[int, list[tuple[int, int]]]:
        mailbox = self.rig.shard.mailbox(self.home(number), self.random.choice(["INBOX", "Box"]))
        low = self.random.randrange(1, mailbox.uidnext + 1)
        return mailbox.id, [(low, low + 2)]

    def copy(self, number: int) -> None:
        self.rig.shard.copy(self.home(number), *self.some(number), "INBOX", quota=self.quota(number))

    def move(self, number: int) -> None:
        self.rig.shard.move(self.home(number), *self.some(number), "Box")

    def expunge(self, number: int) -> None:
        self.rig.shard.expunge_uids(self.home(number), *self.some(number))

    def delete(self, number: int) -> None:
        self.rig.shard.delete(self.home(number), "Box")
        self.rig.shard.create(self.home(number), "Box")

    def remove(self, number: int) -> None:
        self.rig.shard.remove_account(self.home(number))
        self.epochs[number] += 1
        self.rig.shard.grant(number, self.epochs[number], self.domains[number])
        self.rig.shard.create(self.home(number), "Box")

    def join(self, number: int) -> None:
        """It was a mistake: the account is another domain's."""
        self.domains[number] = NET if self.domains[number] == ORG else ORG
        self.rig.shard.assign_pools({number: self.domains[number]})


@pytest.mark.parametrize("seed", range(3))
def test_totals_are_those_of_the_rows(rig: Rig, seed: int) -> None:
    chaos = Chaos(rig, seed)
    for _ in range(80):
        before = totals(rig.shard)
        chaos.step()
        accounts, pools = totals(rig.shard)
        assert (accounts, {domain: each for domain, each in pools.items() if each[0]}) == (
            (found := counted(rig.shard, chaos.domains))[0],
            {domain: each for domain, each in found[1].items() if each[0]},
        )
        for number, (_, size) in accounts.items():
            assert size <= max(4000, before[0][number][1]), "a quota was passed"
    assert chaos.refused, "no limit was met"
    assert verify(rig.shard, sweep_hours=0).problems == []
    expected = totals(rig.shard)
    rig.shard.settle_names()
    rig.close()
    for file in rig.path.glob("index.db*"):
        file.unlink()
    shard = Shard("s1", rig.path, Hints(), upkeep=False, mend=True)
    rebuild(shard)
    accounts, pools = totals(shard)
    assert accounts == expected[0]
    assert {domain: each for domain, each in pools.items() if each[0]} == {
        domain: each for domain, each in expected[1].items() if each[0]
    }
    shard.close()


class TestLimits:
    def test_the_pool_is_full_though_the_account_is_not(self, rig: Rig) -> None:
        rig.shard.grant(2, 1)
        rig.append(octets(60), quota=Quota(100, ORG, 100))
        with pytest.raises(OverQuota, match=r"domain example\.org uses 60 of 100 octets; 41 more") as refused:
            rig.append(octets(41), home=BOB, quota=Quota(100, ORG, 100))
        assert refused.value.pool == ORG
        rig.append(octets(40), home=BOB, quota=Quota(100, ORG, 100))
        rig.append(
            octets(40), home=BOB, quota=Quota(100, NET, 100)
        )  # another domain's by now: with all it has
        assert rig.shard.pools() == {ORG: 60, NET: 80}

    def test_the_account_is_full_though_the_pool_is_not(self, rig: Rig) -> None:
        with pytest.raises(OverQuota, match=r"account 1 uses 0 of 10 octets; 11 more") as refused:
            rig.append(octets(11), quota=Quota(10, ORG, 100))
        assert refused.value.pool == ""

    def test_a_delivery_to_two_of_one_pool_counts_both(self, rig: Rig) -> None:
        rig.shard.grant(2, 1)
        quota = Quota(0, ORG, 100)
        with pytest.raises(OverQuota):
            rig.deliver([(ANN, "INBOX", quota), (BOB, "INBOX", quota)], octets(51))
        assert rig.shard.usages() == {1: 0, 2: 0}
        rig.deliver([(ANN, "INBOX", quota), (BOB, "INBOX", quota)], octets(50))
        assert rig.shard.pools() == {ORG: 100}

    def test_copy_is_asked_and_move_is_not(self, rig: Rig) -> None:
        quota = Quota(0, ORG, 15)
        rig.append(octets(10), quota=quota)
        rig.shard.create(HOME, "Box")
        with pytest.raises(OverQuota) as refused:
            rig.shard.copy(HOME, rig.inbox.id, None, "Box", quota=quota)
        assert refused.value.pool == ORG
        assert rig.shard.move(HOME, rig.inbox.id, None, "Box").target_uids == [1]
        assert rig.shard.pools() == {ORG: 10}

    def test_room(self, rig: Rig) -> None:
        quota = Quota(100, ORG, 150)
        rig.append(octets(90), quota=quota)
        rig.shard.check_room(ANN, 10, quota)
        rig.shard.check_room(ANN, 0, quota)  # its size is not known: there is room for something
        rig.shard.check_room(BOB, 60, quota)  # was never here
        with pytest.raises(OverQuota, match="account 1"):
            rig.shard.check_room(ANN, 11, quota)
        with pytest.raises(OverQuota, match="domain"):
            rig.shard.check_room(BOB, 61, quota)
        rig.append(octets(10), quota=quota)
        with pytest.raises(OverQuota, match="account 1"):
            rig.shard.check_room(ANN, 0, quota)
        rig.shard.check_room(ANN, 1 << 20, NO_QUOTA)
        with pytest.raises(DiskFull, match="octets free"):
            rig.shard.check_room(ANN, 1 << 60, NO_QUOTA)

    async def test_many_at_once_pass_neither_limit(self, rig: Rig) -> None:
        """Of two writers on one index, as two workers are."""
        rig.shard.grant(2, 1)
        other = Store({"s1": rig.path}, rig.executors, rig.hints, upkeep=False)  # type: ignore[arg-type]

        async def append(number: int) -> bool:
            store, home = (rig.store, other)[number % 2], (ANN, BOB)[number // 2 % 2]
            quota = Quota(500, ORG, 800)
            try:
                await store.append(home, "INBOX", [NewMessage(Body.of(b"x" * 25))], quota=quota)
            except OverQuota:
                return False
            return True

        done = await asyncio.gather(*(append(number) for number in range(80)))
        other.close()
        accounts, pools = totals(rig.shard)
        assert sum(done) == 32
        assert pools == {ORG: (32, 800)}
        assert sum(size for _, size in accounts.values()) == 800
        assert max(size for _, size in accounts.values()) <= 500
        assert verify(rig.shard, sweep_hours=0).problems == []


class TestRepair:
    def test_verify_finds_and_corrects_wrong_totals(self, rig: Rig) -> None:
        rig.append(octets(10), quota=Quota(0, ORG))
        with rig.shard.site.database.write() as connection:
            connection.exec_driver_sql("UPDATE account SET octets = 11, messages = 3")
            connection.exec_driver_sql("UPDATE pool SET octets = 99 WHERE domain = ?", (ORG,))
            connection.exec_driver_sql("INSERT INTO pool VALUES ('gone.example', 5, 1, 0)")
        found = verify(rig.shard, sweep_hours=0).problems
        assert [(each.kind, each.path) for each in found[1:]] == [
            (problems.COUNT, f"pool {ORG}"),
            (problems.COUNT, "pool gone.example"),
        ]
        assert found[0].kind == problems.COUNT
        assert found[0].text == "(messages, octets) were [3, 11], are [1, 10]"
        assert verify(rig.shard, sweep_hours=0).problems == []
        assert totals(rig.shard)[1] == {ORG: (1, 10), "gone.example": (0, 0)}

    def test_rebuild_keeps_the_domain_though_the_index_is_gone(self, rig: Rig) -> None:
        rig.append(octets(10), quota=Quota(0, ORG))
        rig.shard.settle_names()
        rig.close()
        for file in rig.path.glob("index.db*"):
            file.unlink()
        shard = Shard("s1", rig.path, Hints(), upkeep=False, mend=True)
        rebuild(shard)
        assert shard.pools() == {ORG: 10}
        shard.close()

    def test_a_file_of_before_says_no_domain(self, rig: Rig) -> None:
        """The row knows it: it stays."""
        rig.append(octets(10), quota=Quota(0, ORG))
        rig.shard.settle_names()
        [file] = rig.path.rglob("mailplat-account.json")
        file.write_text(file.read_text().replace(f' "pool": "{ORG}",\n', ""))
        rebuild(rig.shard)
        assert rig.shard.pools() == {ORG: 10}

    def test_an_index_of_before(self, tmp_path: Path) -> None:
        """Which account belongs where is known of those under a hold; the rest waits to be told."""
        path = tmp_path / "s1"
        path.mkdir()
        database = Database(f"sqlite:///{path}/index.db")
        alembic = running.config("shard")
        with database.write() as connection:
            alembic.attributes["connection"] = connection
            command.upgrade(alembic, "0002")
            connection.exec_driver_sql(
                "INSERT INTO account VALUES (1, 1, 5, 70, 2, 1, 0), (2, 1, 5, 30, 1, 1, 0)"
            )
            connection.exec_driver_sql(
                "INSERT INTO vault_owner VALUES (1, 'ann@Example.org', NULL, 9, 'why', 'me')"
            )
        schema.upgrade(database, "shard")
        database.close()
        shard = Shard("s1", path, Hints(), upkeep=False)
        assert totals(shard)[1] == {ORG: (2, 70)}
        assert shard.poolless(0, 10) == [2]
        shard.assign_pools({2: ORG})
        assert totals(shard)[1] == {ORG: (3, 100)}
        assert shard.poolless(0, 10) == []
        shard.close()


class TestSeveralShards:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        executors = Executors()
        paths = {"s1": tmp_path / "s1", "s2": tmp_path / "s2"}
        store = Store(paths, executors, Hints(), upkeep=False)  # type: ignore[arg-type]
        yield store
        store.close()
        executors.close()

    async def test_what_the_pool_has_elsewhere_counts(self, store: Store) -> None:
        quota = Quota(0, ORG, 100)
        there = Residence(2, "s2", 1)
        await store.append(there, "INBOX", [octets(70)], quota=quota)
        with pytest.raises(OverQuota, match=r"domain example\.org uses 70 of 100"):
            await store.append(ANN, "INBOX", [octets(31)], quota=quota)
        await store.append(ANN, "INBOX", [octets(30)], quota=quota)
        assert store.shard("s1").pool_octets(quota) == store.shard("s1").pool_octets(quota) == 100
        with pytest.raises(OverQuota):
            store.shard("s1").check_room(ANN, 0, quota)

    def test_readings_are_as_old_as_is_said_and_no_older(self) -> None:
        asked: list[str] = []
        now = ManualClock()

        def read(shard: str, pool: str) -> int:
            asked.append(shard)
            return 10 * len(asked)

        elsewhere = Elsewhere(["s1", "s2"], read, now.monotonic)
        assert elsewhere.octets(ORG, "s1") == 10
        now.advance(POOL_LEASE_S - 0.1)
        assert elsewhere.octets(ORG, "s1") == 10
        now.advance(0.1)
        assert elsewhere.octets(ORG, "s1") == 20
        assert elsewhere.octets(NET, "s1") == 30
        assert asked == ["s2"] * 3
        elsewhere.close()

    def test_a_shard_that_stalls_is_waited_for_once(self) -> None:
        stalled, freed = threading.Event(), threading.Event()
        now = ManualClock()

        def read(shard: str, pool: str) -> int:
            if shard == "s2" and stalled.is_set():
                assert freed.wait(60)
                return 500
            return {"s2": 5, "s3": 7}[shard]

        elsewhere = Elsewhere(["s1", "s2", "s3"], read, now.monotonic)
        assert elsewhere.octets(ORG, "s1") == 12
        stalled.set()
        now.advance(60)
        for _ in range(50):  # were each to wait its 0.25 s, the test would notice at its time-out
            assert elsewhere.octets(ORG, "s1") == 12
            now.advance(60)
        freed.set()
        elsewhere._readings["s2"]._thread.shutdown(wait=True)
        assert elsewhere.octets(ORG, "s1") == 507
        elsewhere.close()

    def test_a_shard_that_cannot_be_read_counts_as_it_did(self, tmp_path: Path) -> None:
        executors = Executors()
        paths = {"s1": tmp_path / "s1", "s2": tmp_path / "s2"}
        shutil.copytree(tmp_path, tmp_path / "s2", ignore=lambda *_: ["s2"])
        (tmp_path / "s2" / "index.db").write_bytes(b"not a database" * 100)
        store = Store(paths, executors, Hints(), upkeep=False)  # type: ignore[arg-type]
        asyncio.run(store.append(ANN, "INBOX", [octets(10)], quota=Quota(0, ORG, 15)))
        with pytest.raises(OverQuota):
            asyncio.run(store.append(ANN, "INBOX", [octets(10)], quota=Quota(0, ORG, 15)))
        store.close()
        executors.close()


class TestCrossings:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def rig(self, tmp_path: Path, clock: ManualClock) -> Iterator[Rig]:
        rig = Rig(tmp_path / "s1", StoreLimits(quota_warn=(80, 95)), clock=clock)
        yield rig
        rig.close()

    def levels(self, rig: Rig) -> list[int]:
        """Of what is due, which is then told."""
        found = rig.shard.due_warnings(10)
        for crossing in found:
            rig.shard.settle_warning(crossing, True)
        return [crossing.level for crossing in found]

    def test_once_for_each_level(self, rig: Rig, clock: ManualClock) -> None:
        quota = Quota(1000)
        rig.append(octets(799), quota=quota)
        assert self.levels(rig) == []
        rig.append(octets(1), quota=quota)
        assert rig.shard.due_warnings(10) == [Crossing(1, "", 80, int(clock.now()))]
        assert self.levels(rig) == [80]
        rig.append(octets(100), quota=quota)
        assert self.levels(rig) == []
        rig.append(octets(50), quota=quota)
        assert self.levels(rig) == [95]

    def test_only_the_highest_that_is_reached_at_once(self, rig: Rig) -> None:
        rig.append(octets(99), quota=Quota(100))
        assert self.levels(rig) == [95]

    def test_again_after_falling_but_once_a_day(self, rig: Rig, clock: ManualClock) -> None:
        quota = Quota(1000)
        rig.append(octets(500), octets(350), quota=quota)
        assert self.levels(rig) == [80]
        for elapsed, told in ((AGAIN_S - 1, []), (1, [80])):
            rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 99)])
            clock.advance(elapsed)
            rig.append(octets(350), quota=quota)
            assert self.levels(rig) == told

    def test_a_quota_that_was_lowered(self, rig: Rig) -> None:
        rig.append(octets(500), quota=Quota(1000))
        rig.append(octets(1), quota=Quota(600))
        assert self.levels(rig) == [80]
        rig.append(octets(1), quota=Quota(600))
        assert self.levels(rig) == []

    def test_copies_cross_too(self, rig: Rig) -> None:
        rig.shard.create(HOME, "Box")
        rig.append(octets(45), quota=Quota(100))
        rig.shard.copy(HOME, rig.inbox.id, None, "Box", quota=Quota(100))
        assert self.levels(rig) == [80]

    def test_a_refused_message_crosses_nothing(self, rig: Rig) -> None:
        with pytest.raises(OverQuota):
            rig.append(octets(101), quota=Quota(100))
        rig.append(octets(101), quota=Quota(0))
        assert self.levels(rig) == []

    def test_what_was_dropped_is_crossed_anew(self, rig: Rig) -> None:
        rig.append(octets(50), octets(35), quota=Quota(100))
        [crossing] = rig.shard.due_warnings(10)
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2)])
        rig.shard.settle_warning(crossing, False)
        rig.append(octets(35), quota=Quota(100))
        assert self.levels(rig) == [80]

    def test_a_pool(self, rig: Rig, clock: ManualClock) -> None:
        rig.shard.grant(2, 1)
        quota = Quota(0, ORG, 100)
        rig.append(octets(50), quota=quota)
        rig.append(octets(30), home=BOB, quota=quota)
        assert rig.shard.due_warnings(10) == [Crossing(0, ORG, 80, int(clock.now()))]

    def test_a_removed_account_is_not_warned(self, rig: Rig) -> None:
        rig.append(octets(90), quota=Quota(100))
        rig.shard.remove_account(HOME)
        assert rig.shard.due_warnings(10) == []


def test_a_login_says_the_domain(rig: Rig) -> None:
    rig.append(new(letter()))
    assert rig.shard.pools() == {}
    rig.shard.grant(1, 1, ORG)
    assert rig.shard.pools() == {ORG: len(letter())}
    rig.shard.grant(1, 2)
    assert rig.shard.pools() == {ORG: len(letter())}


def test_a_shard_that_opens_too_late_is_closed_again(tmp_path: Path) -> None:
    """A thread that reads pools, or watches quotas, may be in the middle of it when the process stops."""
    executors = Executors()
    store = Store({"s1": tmp_path / "s1"}, executors, Hints(), upkeep=False)  # type: ignore[arg-type]
    store.close()
    with pytest.raises(Unavailable, match="the store is closed"):
        store.shard("s1")
    shard = Shard("s1", tmp_path / "s1", Hints(), upkeep=False)
    shard.site.claim()  # nobody else has it open
    shard.close()
    executors.close()
