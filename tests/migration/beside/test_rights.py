"""Rights of others move with their mailboxes, forward and back, and nobody gets more than he had."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from imapclient import IMAPClient

from mailplat.core.address import Address
from mailplat.core.errors import Unavailable
from mailplat.core.rights import parse, render
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory.tables import route_watcher
from mailplat.sieve import scripts
from mailplat.store.acl import Grantee
from migration import tables
from migration.beside import kept
from migration.beside.findings import findings, guests_elsewhere
from migration.beside.giving import preview
from migration.beside.rights import RightsHere
from migration.sources.imap_account import ImapAccount
from tests.dovecot import Dovecot
from tests.migration.beside.house import KEEP, write_scripts
from tests.migration.engines import Engines
from tests.migration.house import DOMAIN, House, client, letter
from tests.migration.way_back import Desk, move_here, roll_back, until_back
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

Lists = dict[str, dict[str, str]]


def share(imap: IMAPClient, folder: str, who: str, letters: str) -> None:
    imap.setacl(folder, who, letters)


def lists(house: House, user: str) -> Lists:
    """Here, without those of nobody."""
    desk = Desk(house, user)
    found = {}
    for mailbox in desk.shard.mailboxes(desk.home):
        entries = desk.shard.acl(desk.home, mailbox.id)
        if entries:
            found[mailbox.name] = {key: render(entry.rights) for key, entry in entries.items()}
    return found


def lists_there(legacy: Dovecot, user: str, *names: str) -> Lists:
    with client(legacy, user) as imap:
        found: Lists = {}
        for name in names:
            found[name] = {}
            for each in imap.getacl(name):
                who, letters = (part.decode().strip('"') for part in each)
                if who != user and letters:
                    found[name][who] = render(parse("".join(sorted(set(letters) - {"c", "d"}))))
        return found


def texts(house: House, user: str) -> list[str]:
    found = findings(house.platform.database, house.accounts[user].id, house.move(user).moved)
    return sorted(text for _, text in found)


@pytest.fixture
def people(legacy: Dovecot, users: Callable[[], str]) -> tuple[str, str, str]:
    """The owner, with folders; two others of his domain."""
    owner, bob, carl = users(), users(), users()
    with client(legacy, owner) as imap:
        for name in ("Team", "Team/Plans", "Mine"):
            imap.create_folder(name)
            imap.append(name, letter(1))
    return owner, bob, carl


async def test_there_and_back(
    legacy: Dovecot, people: tuple[str, str, str], open_house: Callable[..., House]
) -> None:
    owner, bob, carl = people
    with client(legacy, owner) as imap:
        share(imap, "Team", bob, "lrs")
        share(imap, "Team/Plans", bob, "lrswite")
        share(imap, "INBOX", carl, "lr")
    house = open_house(owner, bob, carl)
    house.plan()
    async with house.engine():
        await house.reach(RouteState.READY)
        with client(legacy, owner) as imap:  # until the fence
            share(imap, "Mine", carl, "lrx")
            share(imap, "INBOX", carl, "-lr")
            imap.create_folder("Team/New")  # begins with the rights of Team, there and here
        house.ledger.request_cutover(DOMAIN)
        await house.reach(RouteState.NEW)
        await until(lambda: all(house.move(each).released for each in people))
    there = lists_there(legacy, owner, "INBOX", "Team", "Team/Plans", "Team/New", "Mine")
    assert lists(house, owner) == {name: some for name, some in there.items() if some}
    assert lists(house, owner)["Team"] == {bob: "lrs"}
    assert "INBOX" not in lists(house, owner)
    assert texts(house, owner) == []
    # Who was given something finds it.
    assert [
        str(each.account.address)
        for each in house.platform.shares.owners(house.accounts[bob], across=False, limit=10)
    ] == [owner]
    desk = Desk(house, owner)
    grantee = Grantee(house.accounts[bob].id, bob, anyone=True)
    assert desk.shard.rights(desk.home, desk.box("Team").id, grantee) == parse("lrs")

    # Since the cutover here.
    number = {name: house.accounts[name].id for name in people}
    desk.shard.change_acl(desk.home, desk.box("Team").id, bob, number[bob], "", parse("lrsw"))
    desk.shard.change_acl(desk.home, desk.box("Team").id, carl, number[carl], "", parse("l"))
    desk.shard.change_acl(desk.home, desk.box("Mine").id, carl, number[carl], "", parse(""))
    desk.shard.create(desk.home, "Made here")
    desk.shard.change_acl(desk.home, desk.box("Made here").id, bob, number[bob], "", parse("lr"))
    desk.shard.rename(desk.home, "Team/Plans", "Plans")
    seen = lists(house, owner)
    assert preview(house.platform.database, desk.shard, desk.home) == (0, 4)
    roll_back(house)
    async with house.engine():
        for each in people:
            await until_back(house, each)
    there = lists_there(legacy, owner, *seen, "Mine", "INBOX")
    assert {name: some for name, some in there.items() if some} == seen
    assert seen["Plans"] == {bob: "lrswite"}
    assert house.move(owner).note == ""


async def test_what_others_share_is_not_ones_own(
    legacy: Dovecot, people: tuple[str, str, str], open_house: Callable[..., House]
) -> None:
    """It is seen there, and moves with its owner only."""
    owner, bob, _ = people
    shared = f"shared/{owner}/Team"
    with client(legacy, owner) as imap:
        share(imap, "Team", bob, "lrswi")
    with client(legacy, bob) as imap:
        imap.append("INBOX", letter(1))
        imap.subscribe_folder(shared)
        assert shared in [name for _, _, name in imap.list_folders()]
    house = open_house(bob)
    await move_here(house)
    assert house.content(bob).keys() == {"INBOX"}
    assert house.subscriptions(bob) == set()
    assert texts(house, bob) == []
    roll_back(house)
    async with house.engine():
        await until_back(house, bob)
    with client(legacy, bob) as imap:
        assert shared in [name for _, _, name in imap.list_sub_folders()], "left alone"


async def test_what_cannot_be_here_is_told(
    legacy: Dovecot, people: tuple[str, str, str], open_house: Callable[..., House]
) -> None:
    owner, bob, carl = people
    list_file = legacy.maildir(owner) / ".Team" / "dovecot-acl"
    with client(legacy, owner) as imap:
        share(imap, "Team", bob, "lrs")
    list_file.write_text(
        f"user={bob} lrsw\n-user={bob} s\ngroup=staff lr\nuser=nobody@{DOMAIN} lr\n"
        f"anyone lrw\nuser={carl} lr\n"
    )
    house = open_house(owner, bob, carl)
    house.platform.directory.add_domain("other.test")
    house.platform.directory.add_account(
        Address("eve", "other.test"), home=BackendHome("old"), password_hash="{PLAIN}x"
    )
    (legacy.maildir(owner) / ".Mine" / "dovecot-acl").write_text("user=eve@other.test lr\n")
    await move_here(house)
    # `anyone` here is no more than the group and Carl have, and not what was taken from Bob.
    assert lists(house, owner) == {"Team": {bob: "lrw", carl: "lr", "anyone": "lr"}}
    said = "\n".join(texts(house, owner))
    for part in (
        "Team: $staff lr: there are no groups here",
        f"Team: -{bob} s: no rights are taken away here",
        f"Team: nobody@{DOMAIN} lr: there is no account",
        "Team: anyone lrw: `anyone` is the accounts of the owner's domain here",
        "Team: anyone w: somebody there has fewer rights than all",
        "Mine: eve@other.test lr: Mailboxes are shared within a domain only",
    ):
        assert part in said
    assert {
        grade.label
        for grade, _ in findings(house.platform.database, house.accounts[owner].id, house.move(owner).moved)
    } == {"Investigate"}


async def test_rights_that_cannot_be_read_inside_the_fence_are_those_of_before(
    legacy: Dovecot,
    people: tuple[str, str, str],
    open_house: Callable[..., House],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a mailbox that was made meanwhile has none, though the one above it is shared."""
    owner, bob, _ = people
    with client(legacy, owner) as imap:
        share(imap, "Team", bob, "lr")
    house = open_house(owner, bob)
    house.plan()
    async with house.engine():
        await house.reach(RouteState.READY)

        async def refuse(*_: object) -> None:
            raise Unavailable("the source answered GETACL: NO")

        monkeypatch.setattr(ImapAccount, "access_lists", refuse)
        with client(legacy, owner) as imap:
            imap.create_folder("Team/New")
        house.ledger.request_cutover(DOMAIN)
        await house.reach(RouteState.NEW)
    assert lists(house, owner) == {"Team": {bob: "lr"}}
    assert texts(house, owner) == [
        "rights of others could not be read inside the fence: the source answered GETACL: NO"
    ]


async def test_both_sides_are_compared(
    legacy: Dovecot,
    people: tuple[str, str, str],
    open_house: Callable[..., House],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was not brought over, whatever the reason, lets no account move."""
    owner, bob, _ = people
    with client(legacy, owner) as imap:
        share(imap, "Team", bob, "lr")
    await write_scripts(legacy, owner, {"main": KEEP})

    async def forget(*_: object) -> None:
        pass

    monkeypatch.setattr(RightsHere, "put", forget)
    monkeypatch.setattr(scripts, "replace", lambda *_: 0)
    house = open_house(owner, bob)
    house.plan()
    async with house.engine():
        said = await house.halted(owner)
    assert f"Team: {bob} may nothing here, lr there" in said
    assert "Sieve scripts differ" in said


async def test_killed_at(
    legacy: Dovecot,
    people: tuple[str, str, str],
    open_house: Callable[..., House],
    tmp_path: Path,
    engines: Engines,
) -> None:
    owner, bob, carl = people
    with client(legacy, owner) as imap:
        share(imap, "Team", bob, "lr")
    house = open_house(owner, bob, carl)
    house.ledger.plan(DOMAIN, ["s1"])
    with house.platform.database.write() as connection:  # the others do not move
        connection.execute(tables.move.delete().where(tables.move.c.account_id != house.accounts[owner].id))
    house.ledger.set_plan(DOMAIN, "running", expected={"planned"})
    house.ledger.request_cutover(DOMAIN)
    assert await asyncio.to_thread(engines.run, tmp_path / "house", "beside.rights:2") == -signal.SIGKILL
    with house.platform.database.write() as connection:  # instead of the 3 s until nobody waits for the dead
        connection.execute(route_watcher.delete())
    assert house.move(owner).route.state is RouteState.FENCED
    with client(legacy, owner) as imap:
        share(imap, "Team", bob, "l")
        share(imap, "Mine", carl, "lr")
    async with house.engine():
        await house.reach(RouteState.TRACKING, RouteState.READY, users=[owner])
        house.ledger.request_cutover(DOMAIN)
        await house.reach(RouteState.NEW, users=[owner])
    assert lists(house, owner) == {"Team": {bob: "l"}, "Mine": {carl: "lr"}}
    database, number = house.platform.database, house.accounts[owner].id
    assert kept.of(database, number)[kept.RIGHTS].left == []
    # Who is not moved along, and what a certificate says of a right that is gone.
    assert guests_elsewhere(database, [number]) == {number: {bob, carl}}
    assert guests_elsewhere(database, [number, house.accounts[bob].id]) == {number: {carl}}
    seen = {"name": "Mine", "rights": [{"identifier": carl, "rights": "l"}]}
    assert [text for _, text in findings(database, number, 0.0, [seen])] == [
        f"Mine: {carl} had lr inside the fence and has not r any more"
    ]
    seen["rights"] = [{"identifier": carl, "rights": "lrs"}]
    assert findings(database, number, 0.0, [seen]) == []
