"""Registered directories are taken over again by the role, and moves of accounts that vanish are halted."""

import asyncio
import contextlib
import fcntl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mailplat.admin import metrics
from mailplat.core.errors import OverQuota
from mailplat.core.route import RouteState
from mailplat.directory.credentials import verify_password
from migration.directory.drift import Drift, folder_of
from migration.directory.register import Register
from migration.ledger import PLANNED, RUNNING, Ledger
from tests.dovecot import Dovecot
from tests.migration.directory.house import DOMAIN, OTHER, SECRET, House
from tests.migration.house import PASSWORD, client, letter
from tests.migration.house import House as Moving
from tests.until import until

PASSWD = 'format = "dovecot-passwd-file"\nfile = "users"'


@contextlib.asynccontextmanager
async def drifting(here: House, every: float = 3600.0) -> AsyncIterator[Drift]:
    drift = Drift(here.platform, every, look=0.02)
    running = asyncio.create_task(drift.run())
    try:
        yield drift
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def register(here: House, path: Path, began: float = 0.0) -> Register:
    found = Register(here.platform.database, here.platform.clock)
    found.put("old", str(path), began, {})
    return found


def value(name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def is_free(lock: Path) -> bool:
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


async def test_what_changed_there_is_taken(here: House) -> None:
    users = here.write("users", f"ada@{DOMAIN}:{SECRET}\nbob@{DOMAIN}:{SECRET}\n")
    path = here.describe(PASSWD)
    here.take_over(path)
    found = register(here, path)
    users.write_text(f"ada@{DOMAIN}:{OTHER}\ncarl@{DOMAIN}:{SECRET}\n")
    before = value("mailplat_legacy_directory_changes_total", backend="old", change="account changed")
    async with drifting(here):
        await until(lambda: found.all()[0].figures)
    assert here.account(f"ada@{DOMAIN}").password_hash == OTHER
    assert here.account(f"carl@{DOMAIN}").password_hash == SECRET
    assert here.account(f"bob@{DOMAIN}").password_hash == SECRET, "nothing is removed by itself"
    [done] = found.all()
    assert done.figures == {"account added": 1, "account changed": 1, "account gone": 1}
    assert (done.note, done.ended > done.began - 1) == ("", True)
    after = value("mailplat_legacy_directory_changes_total", backend="old", change="account changed")
    assert after == before + 1
    assert value("mailplat_legacy_directory", backend="old", what="account gone") == 1
    assert value("mailplat_legacy_directory", backend="old", what="refused") == 0
    entries = here.platform.audit.entries(who="mailplat: role migration")
    assert {(each.action, each.subject) for each in entries} == {
        ("directory.change", f"ada@{DOMAIN}"),
        ("directory.add", f"carl@{DOMAIN}"),
        ("directory.gone", f"bob@{DOMAIN}"),
    }


async def test_one_that_cannot_be_read_is_noted_and_changes_nothing(here: House) -> None:
    here.write("users", f"ada@{DOMAIN}:{SECRET}\n")
    path = here.describe(PASSWD)
    here.take_over(path)
    before = here.content()
    found = register(here, path)
    (here.root / "users").unlink()
    async with drifting(here):
        await until(lambda: found.all()[0].note)
    assert "users: No such file" in found.all()[0].note
    assert here.content() == before
    here.write("users", f"ada@{DOMAIN}:{SECRET}\n")
    async with drifting(here, every=1e-9):
        await until(lambda: found.all()[0].note == "")


async def test_never_where_the_setting_says_so(here: House) -> None:
    found = register(here, here.root / "nowhere.toml")
    await asyncio.wait_for(Drift(here.platform, 0.0).run(), 10)
    assert found.all()[0].note == ""


async def test_two_machines_do_it_once(here: House) -> None:
    found = register(here, here.describe(PASSWD))
    [each] = found.all()
    assert found.begin(each)
    assert not found.begin(each)


async def test_a_stop_is_between_two_batches(here: House) -> None:
    """What was done stays, and the next one goes on."""
    here.write("users", "".join(f"u{number:04}@{DOMAIN}:{SECRET}\n" for number in range(1200)))
    path = here.describe(PASSWD)
    found = register(here, path)
    async with drifting(here) as drift:
        reached, real = threading.Event(), drift._pause

        def pause() -> None:
            if here.directory.accounts_by_home():
                reached.set()
                drift._stopped.wait(30)
            real()

        drift._pause = pause  # type: ignore[method-assign]
        await until(reached.is_set)
    await until(lambda: is_free(folder_of(here.platform) / "lock"))
    assert len(here.directory.accounts()) == 500
    assert found.all()[0].note == ""
    here.take_over(path)
    assert len(here.directory.accounts()) == 1200


@pytest.mark.interop
async def test_a_real_move_halts_when_its_account_vanishes(
    dovecot: Dovecot, user: str, house: Callable[..., Moving], tmp_path: Path
) -> None:
    """And goes on when a person says so: with its password, and from then on with its quota."""
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
    moving = house(user)
    moving.platform.directory.set_account(moving.accounts[user].id, password_hash="{PLAIN}another")
    moving.plan()
    folder = tmp_path / "described"
    folder.mkdir()
    users = folder / "users"
    users.write_text(f"{user}:{{PLAIN}}{PASSWORD}::::::userdb_quota_rule=*:storage=1M\n")
    (folder / "old.toml").write_text(f'backend = "old"\n[[source]]\n{PASSWD}\n')
    found = Register(moving.platform.database, moving.platform.clock)
    found.put("old", str(folder / "old.toml"), 0.0, {})
    async with moving.engine():
        await moving.reach(RouteState.READY)
        await until(lambda: found.all()[0].figures)
    users.write_text("")
    found.put("old", str(folder / "old.toml"), 0.0, {})
    async with moving.engine():
        reason = await moving.halted(user)
        assert reason.startswith("gone in the directory of the legacy platform since 20")
        moving.ledger.request_cutover(DOMAIN)
        assert moving.move(user).route.state is RouteState.READY, "it is where it was"
        moving.ledger.clear_halts(DOMAIN)
        moving.ledger.request_cutover(DOMAIN)
        await moving.reach(RouteState.NEW)
    account = moving.platform.directory.account_by_id(moving.accounts[user].id)
    assert verify_password(PASSWORD, account.password_hash)
    shard = moving.platform.store.shard(moving.residence(user).shard)
    shard.check_room(moving.residence(user), 1 << 19, account.allowance)
    with pytest.raises(OverQuota):
        shard.check_room(moving.residence(user), 1 << 20, account.allowance)


async def test_a_halt_needs_a_move(here: House) -> None:
    here.write("users", f"ada@{DOMAIN}:{SECRET}\n")
    path = here.describe(PASSWD)
    here.take_over(path)
    ledger = Ledger(here.platform.database, here.platform.clock)
    ledger.plan(DOMAIN, ["s1"])
    ledger.set_plan(DOMAIN, RUNNING, expected={PLANNED})
    found = register(here, path)
    here.write("users", "")
    async with drifting(here):
        await until(lambda: found.all()[0].figures)
    assert ledger.find_move(here.account(f"ada@{DOMAIN}").id).halted
