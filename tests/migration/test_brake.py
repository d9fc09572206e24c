"""The brake on deletions: what users do all day passes, what a source that shows nothing looks like does not.

What changes at the source changes while no engine runs, so that one round sees all of it.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mailplat.core.errors import NotFound
from mailplat.core.route import RouteState
from tests.dovecot import Dovecot
from tests.migration.house import CONFIG, DOMAIN, MASTER, PASSWORD, House, client, content_of, letter
from tests.until import until

pytestmark = pytest.mark.interop

USES = """
namespace inbox {
  mailbox Trash {
    special_use = \\Trash
  }
  mailbox Spam {
    special_use = \\Junk
  }
}
"""


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    """One that tells what its mailboxes are for."""
    users = [(f"user{number:03}@{DOMAIN}", PASSWORD) for number in range(300)]
    with tempfile.TemporaryDirectory(prefix="mailplat-brake-") as root:
        server = Dovecot(Path(root), users, MASTER, settings=USES)
        yield server
        server.stop()


class Scene:
    """One account; `fill` it, `begin`, change it, and see what the next rounds do."""

    def __init__(self, dovecot: Dovecot, here: House, user: str) -> None:
        self.dovecot, self.here, self.user = dovecot, here, user

    def fill(self, mailbox: str, numbers: Sequence[int]) -> None:
        with client(self.dovecot, self.user) as imap:
            if not imap.folder_exists(mailbox):
                imap.create_folder(mailbox)
            for number in numbers:
                imap.append(mailbox, letter(number, 60))

    def mark(self, mailbox: str, uids: Sequence[int]) -> None:
        with client(self.dovecot, self.user) as imap:
            imap.select_folder(mailbox)
            imap.add_flags(uids, ["\\Deleted"])

    def expunge(self, mailbox: str, uids: Sequence[int]) -> None:
        with client(self.dovecot, self.user) as imap:
            imap.select_folder(mailbox)
            imap.add_flags(uids, ["\\Deleted"])
            imap.uid_expunge(uids)

    def move(self, mailbox: str, uids: Sequence[int], to: str) -> None:
        with client(self.dovecot, self.user) as imap:
            if not imap.folder_exists(to):
                imap.create_folder(to)
            imap.select_folder(mailbox)
            imap.move(uids, to)

    def copy(self, mailbox: str, uids: Sequence[int], to: str) -> None:
        with client(self.dovecot, self.user) as imap:
            imap.select_folder(mailbox)
            imap.copy(uids, to)

    def delete(self, mailbox: str) -> None:
        with client(self.dovecot, self.user) as imap:
            imap.delete_folder(mailbox)

    async def begin(self) -> None:
        """What is there now is here, by the copy: what comes next is stored in a later second."""
        self.here.plan()
        await self.settle()

    async def settle(self) -> None:
        async with self.here.engine():
            await self.here.reach(RouteState.READY)
        last = self.here.ledger.last_round(self.here.accounts[self.user].id)
        assert last is not None
        end = int(last.at + last.seconds) + 1
        await until(lambda: self.here.platform.clock.now() >= end)

    async def follows(self) -> None:
        """All of it is here in the end, and nobody was asked."""

        def same() -> bool:
            assert not self.here.move(self.user).halted, self.here.move(self.user).halted
            try:
                return self.here.content(self.user) == content_of(self.dovecot, self.user)
            except NotFound:  # a mailbox went while it was looked at
                return False

        async with self.here.engine():
            await until(same, 30)

    async def halts(self) -> str:
        """Why; nothing was deleted here."""
        before = self.here.content(self.user)
        async with self.here.engine():
            reason = await self.here.halted(self.user)
        now = self.here.content(self.user)
        assert {name: rows.keys() - now[name][1].keys() for name, (_, rows) in before.items()} == {
            name: set() for name in before
        }
        return reason


@pytest.fixture
def scene(dovecot: Dovecot, user: str, house: Callable[..., House]) -> Scene:
    return Scene(dovecot, house(user), user)


# marked


async def test_what_was_marked_before_is_no_reason(scene: Scene) -> None:
    scene.fill("INBOX", range(60))
    await scene.begin()
    scene.mark("INBOX", range(1, 41))
    await scene.follows()
    scene.expunge("INBOX", range(1, 41))
    await scene.follows()


async def test_what_went_without_a_word_is_one(scene: Scene) -> None:
    scene.fill("INBOX", range(60))
    await scene.begin()
    scene.expunge("INBOX", range(1, 31))
    reason = await scene.halts()
    assert (
        "30 of 60 messages are gone at the source, 30 of them unexplained (more than 5 %): INBOX (30)"
        in reason
    )
    assert "Explained" not in reason
    assert reason.endswith(f"mailplat migrate resume {DOMAIN} --allow-deletions 30")


async def test_the_rest_of_what_was_explained_is_one(scene: Scene) -> None:
    scene.fill("INBOX", range(60))
    scene.fill("Other", range(100, 130))
    await scene.begin()
    scene.mark("INBOX", range(1, 26))
    await scene.follows()
    scene.expunge("INBOX", range(1, 51))
    reason = await scene.halts()
    assert (
        "50 of 90 messages are gone at the source, 25 of them unexplained (more than 5 %): INBOX (25)"
        in reason
    )
    assert "Explained: 25 marked \\Deleted before." in reason
    scene.here.ledger.clear_halts(DOMAIN, deletions=50)
    await scene.follows()


async def test_a_mailbox_that_was_marked_in_part_and_shows_nothing(scene: Scene) -> None:
    scene.fill("INBOX", range(40))
    scene.fill("Other", range(100, 140))
    await scene.begin()
    scene.mark("Other", range(1, 31))
    await scene.follows()
    scene.expunge("Other", range(1, 41))
    assert "40 of them unexplained (more than 5 %): Other (40)" in await scene.halts()


async def test_a_mailbox_that_was_marked_whole_may_be_empty(scene: Scene) -> None:
    scene.fill("INBOX", range(10))
    scene.fill("Other", range(100, 140))
    await scene.begin()
    scene.mark("Other", range(1, 41))
    await scene.follows()
    scene.expunge("Other", range(1, 41))
    await scene.follows()


async def test_an_account_that_shows_nothing_is_never_explained(scene: Scene) -> None:
    scene.fill("INBOX", range(30))
    scene.fill("Trash", range(100, 130))
    await scene.begin()
    scene.mark("INBOX", range(1, 31))
    scene.mark("Trash", range(1, 31))
    await scene.follows()
    scene.expunge("INBOX", range(1, 31))
    scene.expunge("Trash", range(1, 31))
    assert "60 of 60 messages are gone at the source, 60 of them unexplained" in await scene.halts()


async def test_files_that_went_away_behind_the_servers_back(scene: Scene) -> None:
    """12: the server says that they are gone, and nobody deleted them."""
    scene.fill("INBOX", range(60))
    await scene.begin()
    maildir = scene.dovecot.maildir(scene.user)
    for file in [*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()]:
        file.unlink()
    assert "60 of 60 messages are gone at the source, 60 of them unexplained" in await scene.halts()


# moved


@pytest.mark.parametrize("to", ["Archive", "Trash"])
async def test_what_was_moved_is_no_reason(scene: Scene, to: str) -> None:
    """Mailboxes before and behind its own in the order of the round; one that is there, one that is new."""
    scene.fill("INBOX", range(60))
    scene.fill("Middle", range(100, 140))
    scene.fill("Archive", range(200, 203))
    await scene.begin()
    scene.move("INBOX", range(1, 41), to)
    scene.move("Middle", range(1, 31), to)
    await scene.follows()


async def test_all_of_a_mailbox_moved_and_the_mailbox_deleted(scene: Scene) -> None:
    scene.fill("Old", range(40))
    await scene.begin()
    scene.move("Old", range(1, 41), "New")
    scene.delete("Old")
    await scene.follows()


async def test_copied_first_and_expunged_a_round_later(scene: Scene) -> None:
    scene.fill("INBOX", range(60))
    scene.fill("Archive", [100])
    await scene.begin()
    scene.copy("INBOX", range(1, 41), "Archive")
    await scene.follows()
    scene.expunge("INBOX", range(1, 41))
    await scene.follows()


async def test_what_came_and_is_gone_too_explains_nothing(scene: Scene) -> None:
    scene.fill("INBOX", range(60))
    scene.fill("Archive", [100])
    await scene.begin()
    scene.copy("INBOX", range(1, 41), "Archive")
    await scene.follows()
    scene.expunge("INBOX", range(1, 41))
    scene.expunge("Archive", range(2, 42))
    assert "80 of them unexplained (more than 5 %): INBOX (40), Archive (40)" in await scene.halts()


async def test_one_that_came_explains_one_that_went(scene: Scene) -> None:
    scene.fill("INBOX", [*range(40), *range(40)])
    await scene.begin()
    scene.move("INBOX", range(1, 31), "Archive")
    scene.expunge("INBOX", range(41, 71))  # their twins
    reason = await scene.halts()
    assert (
        "60 of 80 messages are gone at the source, 30 of them unexplained (more than 5 %): INBOX (30)"
        in reason
    )
    assert "Explained: 30 moved to another mailbox." in reason
    # Looked at again, it is the same: what came with a round that halted came with this one.
    scene.here.ledger.clear_halts(DOMAIN)
    assert "30 of them unexplained" in await scene.halts()
    scene.here.ledger.clear_halts(DOMAIN, deletions=60)
    await scene.follows()


async def test_what_came_again_in_its_own_mailbox_explains_nothing(scene: Scene) -> None:
    """As after an index was rebuilt under the same UIDVALIDITY."""
    scene.fill("INBOX", range(40))
    await scene.begin()
    scene.fill("INBOX", range(40))
    scene.expunge("INBOX", range(1, 41))
    assert "40 of them unexplained" in await scene.halts()


async def test_what_is_in_two_mailboxes_all_the_time_explains_nothing(scene: Scene) -> None:
    scene.fill("INBOX", range(40))
    scene.fill("All", range(40))
    await scene.begin()
    scene.expunge("INBOX", range(1, 41))
    assert "40 of them unexplained (more than 5 %): INBOX (40)" in await scene.halts()


async def test_nor_does_it_after_the_account_was_copied_afresh(scene: Scene) -> None:
    scene.fill("INBOX", range(40))
    scene.fill("All", range(40))
    await scene.begin()
    scene.here.ledger.clear_halts(DOMAIN, afresh=[scene.here.accounts[scene.user].id])
    async with scene.here.engine():
        await until(lambda: not scene.here.move(scene.user).afresh)
    await scene.settle()
    scene.expunge("INBOX", range(1, 41))
    assert "40 of them unexplained (more than 5 %): INBOX (40)" in await scene.halts()


async def test_a_mailbox_that_is_not_listed_any_more(scene: Scene) -> None:
    scene.fill("INBOX", range(40))
    scene.fill("Old", range(100, 140))
    await scene.begin()
    scene.delete("Old")
    assert "40 of them unexplained (more than 5 %): Old (40)" in await scene.halts()


# emptied


@pytest.mark.parametrize("name", ["Trash", "Spam"])
async def test_a_bin_may_be_emptied(scene: Scene, name: str) -> None:
    """With the mailboxes in it."""
    scene.fill("INBOX", range(10))
    scene.fill(name, range(100, 220))
    scene.fill(f"{name}/Old", range(300, 330))
    await scene.begin()
    scene.expunge(name, range(1, 121))
    scene.delete(f"{name}/Old")
    await scene.follows()


async def test_a_name_makes_no_bin(scene: Scene) -> None:
    scene.fill("INBOX", range(10))
    scene.fill("Deleted Messages", range(100, 140))
    await scene.begin()
    scene.expunge("Deleted Messages", range(1, 41))
    assert "40 of them unexplained" in await scene.halts()


@pytest.mark.parametrize("witness", [True, False], ids=["one-is-left", "none-is-left"])
async def test_a_bin_that_is_empty_with_others(scene: Scene, witness: bool) -> None:
    scene.fill("INBOX", range(10))
    scene.fill("Trash", range(100, 140))
    if witness:
        scene.fill("Other", range(200, 210))
    await scene.begin()
    scene.expunge("Trash", range(1, 41))
    scene.expunge("INBOX", range(1, 11))
    assert "50 of them unexplained" in await scene.halts()


async def test_a_bin_that_is_all_there_is(scene: Scene) -> None:
    scene.fill("Trash", range(40))
    await scene.begin()
    scene.expunge("Trash", range(1, 31))
    assert "30 of them unexplained" in await scene.halts()


async def test_a_bin_emptied_beside_a_mailbox_that_was_moved_away(scene: Scene) -> None:
    scene.fill("INBOX", range(10))
    scene.fill("To do", range(100, 110))
    scene.fill("Trash", range(200, 240))
    await scene.begin()
    scene.move("To do", range(1, 11), "Done")
    scene.expunge("Trash", range(1, 41))
    await scene.follows()


# the setting


async def test_how_much_is_too_much_is_a_setting(
    dovecot: Dovecot, user: str, house: Callable[..., House], tmp_path: Path
) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "mailplat.toml").write_text(
        f"{CONFIG}[migration.brake]\nfree = 5\nnumber = 10\nshare = 0.9\n"
    )
    scene = Scene(dovecot, house(user), user)
    scene.fill("INBOX", range(40))
    await scene.begin()
    scene.expunge("INBOX", range(1, 11))
    await scene.follows()
    scene.expunge("INBOX", range(11, 22))
    assert (
        "11 of 30 messages are gone at the source, 11 of them unexplained (more than 10)"
        in await scene.halts()
    )
