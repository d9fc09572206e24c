"""Who reaches a level of a quota is told, once, whichever worker comes first and whatever crashes in between."""

import asyncio
import email
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailplat.admin import metrics
from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.disk import DIE_AT
from mailplat.core.route import Residence, RouteState
from mailplat.core.wording import Wording
from mailplat.delivery import QuotaWatch
from mailplat.store.pools import POOL_LEASE_S
from mailplat.store.quota import AGAIN_S
from tests.delivery.house import DOMAIN, HOSTNAME, MESSAGE, House
from tests.until import until

LETTER = b"Subject: filling\r\n\r\n" + b"x" * 8500 + b"\r\n"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def house(tmp_path: Path, clock: ManualClock) -> Iterator[House]:
    house = House(tmp_path, clock=clock)
    yield house
    house.close()


def watch_of(house: House, **options: object) -> QuotaWatch:
    return QuotaWatch(
        house.directory,
        house.store,
        ["s1", "s2"],
        house.executors,
        house.clock,
        hostname=HOSTNAME,
        **options,  # type: ignore[arg-type]
    )


async def look(house: House, **options: object) -> None:
    """One round of a worker."""
    watch = watch_of(house, **options)
    for name in ("s1", "s2"):
        await watch.look(name)


def warnings(house: House, name: str, shard: str = "s1") -> list[EmailMessage]:
    """Of what is in that INBOX."""
    found = [email.message_from_bytes(octets, policy=policy.SMTPUTF8) for octets in house.inbox(name, shard)]
    return [message for message in found if message["Auto-Submitted"]]


def counted(scope: str, level: int) -> float:
    return metrics.quota_warnings.labels(scope, str(level))._value.get()


def due(house: House, shard: str = "s1") -> int:
    return len(house.store.shard(shard).due_warnings(100))


async def test_the_message(house: House) -> None:
    house.add("bert", quota=10_000)
    before = counted("account", 80)
    await house.accept("bert", octets=LETTER)
    await look(house)
    [octets] = [each for each in house.inbox("bert") if b"Auto-Submitted" in each]
    assert octets.startswith(b"Return-Path: <>\r\n")
    assert octets.count(b"\n") == octets.count(b"\r\n")
    [message] = warnings(house, "bert")
    assert message["From"] == f"Postmaster <postmaster@{DOMAIN}>"
    assert message["To"] == f"bert@{DOMAIN}"
    assert message["Subject"] == "Your mailbox is 85 % full"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith(f"@{HOSTNAME}>")
    assert message["Date"].datetime.timestamp() == house.clock.now()
    assert "holds 8.4 KB of the 9.8 KB" in message.get_content()
    await look(house)
    assert len(warnings(house, "bert")) == 1
    assert counted("account", 80) == before + 1


async def test_no_quota_refuses_a_warning(house: House) -> None:
    """At 100 % too; and it is counted."""
    house.add("bert", quota=len(LETTER) + 61)
    await house.accept("bert", octets=LETTER)
    used, _ = house.store.shard("s1").usage(Residence(house.target("bert").account_id, "s1", 1))
    house.directory.set_account(house.target("bert").account_id, quota=used)
    await look(house)
    assert len(warnings(house, "bert")) == 1
    now, messages = house.store.shard("s1").usage(Residence(house.target("bert").account_id, "s1", 1))
    assert now > used
    assert messages == 2
    assert house.store.shard("s1").pools() == {DOMAIN: now}


async def test_again_after_falling(house: House, clock: ManualClock) -> None:
    number = house.add("bert", quota=10_000)
    shard, home = house.store.shard("s1"), Residence(number, "s1", 1)
    for elapsed, told in ((0, 1), (AGAIN_S - 1, 1), (1, 2)):
        clock.advance(elapsed)
        shard.expunge_uids(home, shard.mailbox(home, "INBOX").id, [(uid, uid) for uid in letters(house)])
        await house.accept("bert", octets=LETTER)
        await look(house)
        assert len(warnings(house, "bert")) == told


def letters(house: House) -> list[int]:
    shard, home = house.store.shard("s1"), Residence(house.target("bert").account_id, "s1", 1)
    rows = shard.rows(home, shard.mailbox(home, "INBOX").id, None, ["uid", "subject"])
    return [uid for uid, subject in rows if subject == "filling"]


async def test_several_workers_send_one(house: House, tmp_path: Path, clock: ManualClock) -> None:
    house.add("bert", quota=10_000)
    before = counted("account", 80)
    await house.accept("bert", octets=LETTER)
    others = [House(tmp_path, clock=clock) for _ in range(3)]
    await asyncio.gather(*(look(each) for each in (house, *others)))
    for each in others:
        each.close()
    assert len(warnings(house, "bert")) == 1
    assert counted("account", 80) == before + 1
    assert due(house) == 0


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.delivery.house import House
from tests.delivery.test_quotawatch import LETTER, look

async def main() -> None:
    house = House(Path(sys.argv[1]))
    await house.accept("bert", octets=LETTER)
    await look(house)

asyncio.run(main())
"""


@pytest.mark.parametrize("step", ["append.commit", "append.commit:2", "warning.told", "warning.settled"])
async def test_a_crash_sends_it_once_all_the_same(tmp_path: Path, step: str) -> None:
    """The rows of the crash table."""
    house = House(tmp_path)
    house.add("bert", quota=10_000)
    house.close()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        str(tmp_path),
        env={**os.environ, DIE_AT: step},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    _, said = await child.communicate()
    assert child.returncode == -signal.SIGKILL, said.decode()
    house = House(tmp_path)
    try:
        assert due(house) == (0 if step == "warning.settled" else 1)
        await look(house)
        assert len(warnings(house, "bert")) == 1
        assert due(house) == 0
    finally:
        house.close()


async def test_what_is_not_true_any_more_is_dropped(house: House) -> None:
    number = house.add("bert", quota=10_000)
    await house.accept("bert", octets=LETTER)
    house.directory.set_account(number, quota=100_000)
    await look(house)
    assert (warnings(house, "bert"), due(house)) == ([], 0)
    house.directory.set_account(number, quota=20_000)
    await house.accept("bert", octets=LETTER)
    await look(house)
    assert len(warnings(house, "bert")) == 1


async def test_an_account_that_is_moved_waits(house: House) -> None:
    house.add("bert", quota=10_000)
    await house.accept("bert", octets=LETTER)
    house.advance("bert", RouteState.FENCED, fence_s=30)
    await look(house)
    assert due(house) == 1
    house.advance("bert", RouteState.NEW, "s2")
    await look(house)
    assert due(house) == 0, "it lives elsewhere now"
    assert warnings(house, "bert", "s2") == []


async def test_an_account_that_is_gone(house: House) -> None:
    house.add("bert", quota=10_000)
    await house.accept("bert", octets=LETTER)
    house.directory.remove_account(Address("bert", DOMAIN))
    await look(house)
    assert due(house) == 0


async def test_a_domain_warns_its_postmaster_once_for_all_shards(house: House, clock: ManualClock) -> None:
    for name, shard in (("anna", "s1"), ("bert", "s2"), ("postmaster", "s1")):
        house.add(name, shard)
    house.directory.set_domain(DOMAIN, quota=20_000)
    before = counted("domain", 80)
    await house.accept("anna", octets=LETTER)
    await house.accept("bert", octets=LETTER)
    clock.advance(POOL_LEASE_S)
    await house.accept("anna")
    assert (due(house, "s1"), due(house, "s2")) == (1, 1), "each shard has seen the level reached"
    await look(house)
    await look(house)
    [message] = warnings(house, "postmaster")
    assert message["Subject"] == f"The mailboxes of {DOMAIN} are 86 % full"
    assert message["To"] == f"postmaster@{DOMAIN}"
    assert warnings(house, "anna") == []
    assert (due(house, "s1"), due(house, "s2")) == (0, 0)
    assert counted("domain", 80) == before + 1


async def test_an_alias_is_the_postmaster_too_and_nobody_need_be(house: House, clock: ManualClock) -> None:
    house.add("anna", "s1")
    house.directory.set_domain(DOMAIN, quota=10_000)
    before = counted("domain", 80)
    await house.accept("anna", octets=LETTER)
    await look(house)
    assert (due(house), counted("domain", 80)) == (0, before + 1)
    house.directory.add_alias(f"postmaster@{DOMAIN}", [Address("anna", DOMAIN)])
    await house.accept("anna", octets=b"x" * 1000)
    await look(house)
    [message] = warnings(house, "anna")
    assert message["Subject"].endswith("96 % full")


async def test_an_index_that_knows_no_domains_is_told(house: House) -> None:
    house.add("bert"), house.add("cleo", "s2")
    await house.accept("bert", octets=MESSAGE)
    shard = house.store.shard("s1")
    with shard.site.database.write() as connection:
        connection.exec_driver_sql("UPDATE account SET pool = ''")
        connection.exec_driver_sql("DELETE FROM pool")
    await look(house)
    [octets] = house.inbox("bert")
    assert shard.pools() == {DOMAIN: len(octets)}
    assert house.store.shard("s2").pools() == {DOMAIN: 0}


async def test_an_admins_own_words(house: House) -> None:
    house.add("bert", quota=10_000)
    await house.accept("bert", octets=LETTER)
    wording = Wording("Ihr Postfach ist zu $percent % gefüllt", "Grüße aus $domain: $$5 für $address\n")
    await look(house, wording=wording)
    [message] = warnings(house, "bert")
    assert message["Subject"] == "Ihr Postfach ist zu 85 % gefüllt"
    assert message.get_content() == f"Grüße aus {DOMAIN}: $5 für bert@{DOMAIN}\r\n"


async def test_run_watches_until_it_is_stopped(house: House) -> None:
    house.add("bert", quota=10_000)
    stop = asyncio.Event()
    running = asyncio.create_task(watch_of(house, poll=0.01).run(stop))
    await house.accept("bert", octets=LETTER)
    await until(lambda: warnings(house, "bert"))
    stop.set()
    await running
