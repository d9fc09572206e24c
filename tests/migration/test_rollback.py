"""A domain goes back to a real Dovecot with what happened here since, and forward again."""

import asyncio
import imaplib
import itertools
from collections.abc import Callable

import pytest

from mailplat.core.errors import InvalidInput, StaleEpoch, Unavailable
from mailplat.core.route import RouteState, ShardHome
from mailplat.core.spool import Body
from mailplat.store import NewMessage
from migration.back import travel
from migration.back.orders import request_rollback
from migration.back.preview import preview
from migration.back.travel import residence
from migration.origins import Origins
from migration.shardmoves import MOVE, ShardMoves
from migration.sources.imap_writer import ImapWriter
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, PASSWORD, House, client, content_of, letter, subscriptions_of
from tests.migration.way_back import Desk, furnish, move_here, roll_back, same_but_made, until_back
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FRESH = "Fresh & new"


async def test_everything_goes_back_and_forward_again(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    await desk.work()
    seen, subscribed = here.content(user), here.subscriptions(user)
    next_uid, modseq = desk.box().uidnext, desk.box().modseq
    at_home = residence(here.move(user))
    would = preview(desk.shard, at_home, Origins(here.platform.database).of(at_home.account_id))
    assert (would.made, would.renamed, would.deleted, would.messages) == (1, 2, 1, 10)
    roll_back(here)
    async with here.engine():
        await until_back(here, user)
    there = content_of(dovecot, user)
    same_but_made(there, seen, FRESH)
    assert subscriptions_of(dovecot, user) == subscribed
    with client(dovecot, user) as imap:
        status = imap.folder_status("INBOX", ["UIDNEXT", "HIGHESTMODSEQ"])
        assert status[b"UIDNEXT"] == next_uid
        assert status[b"HIGHESTMODSEQ"] > modseq, "a client that knows our MODSEQ hears of every change"
        imap.append("INBOX", letter(300))  # users go on there
        imap.select_folder("INBOX")
        imap.add_flags(imap.search()[0], ["\\Answered"])
    here.ledger.set_plan(DOMAIN, "running", expected={"paused"})
    async with here.engine():
        await here.reach(RouteState.READY)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
    assert here.move(user).rolled_back == 0.0


async def test_failure_mode_8_a_strays_uid_collides_on_the_way_back(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """One UID is never two messages: nothing goes back until new UIDs are accepted, and then all is there once."""
    furnish(dovecot, user, 6)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    taken = await desk.deliver(100)
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(666))  # under the same UID
    before = content_of(dovecot, user)
    roll_back(here)
    async with here.engine():
        assert f"has used UID {taken} for something else" in await here.halted(user)
        assert content_of(dovecot, user) == before
        assert here.move(user).route.home == ShardHome(here.move(user).shard)
        roll_back(here, accept_new_uids=True)
        await until_back(here, user)
    inbox = content_of(dovecot, user)["INBOX"]
    assert inbox[0] == before["INBOX"][0]
    assert taken not in inbox[1], "neither of the two has the UID that the other had"
    octets = [row[2] for row in inbox[1].values()]
    assert (octets.count(letter(100)), octets.count(letter(666))) == (1, 1)
    assert here.move(user).renumbered == 1


async def test_a_mailbox_that_was_emptied_here_tells_its_clients_too(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """A client that knows our MODSEQ hears of all that comes later, there and when the account comes again."""
    furnish(dovecot, user, 4)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    async with here.engine():
        desk.expunge(*desk.uids())
        modseq, next_uid = desk.box().modseq, desk.box().uidnext
        roll_back(here)
        await until_back(here, user)
        with client(dovecot, user) as imap:
            status = imap.folder_status("INBOX", ["MESSAGES", "UIDNEXT", "HIGHESTMODSEQ"])
            assert status[b"MESSAGES"] == 0
            assert status[b"UIDNEXT"] >= next_uid
            assert status[b"HIGHESTMODSEQ"] > modseq
            imap.append("INBOX", letter(77))
            imap.select_folder("INBOX")
            (uid,) = imap.search(["ALL"])
            assert uid >= next_uid
            assert imap.fetch([uid], ["MODSEQ"])[uid][b"MODSEQ"][0] > modseq
        here.ledger.set_plan(DOMAIN, "running", expected={"paused"})
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert Desk(here, user).box().modseq > modseq
    assert list(here.content(user)["INBOX"][1]) == [uid]


async def test_what_was_expunged_here_is_told_there_to_who_knows_our_modseq(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """Removed there under a lower number, it would stay in that client's cache for ever."""
    furnish(dovecot, user, 4)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    known, gone = desk.box().modseq, desk.uids()[0]  # as a client has them that comes back later
    desk.expunge(gone)
    roll_back(here)
    async with here.engine():
        await until_back(here, user)
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port) as imap:
        imap.login(user, PASSWORD)
        imap.enable("QRESYNC")
        imap.select("INBOX")
        imap.uid("FETCH", "1:*", "(FLAGS)", f"(CHANGEDSINCE {known} VANISHED)")
        _, vanished = imap.response("VANISHED")
    assert vanished == [f"(EARLIER) {gone}".encode()]


async def test_users_work_here_until_the_fence(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """What was acknowledged here is there under the UID that was told; what was expunged here is not."""
    furnish(dovecot, user, 4)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    home, inbox, store = desk.home, desk.box().id, here.platform.store
    kept: dict[int, bytes] = {}
    flagged: set[int] = set()

    async def work() -> None:
        """As a session that was opened before the fence and was not waited for."""
        for number in itertools.count(1000):
            (done,) = await store.append(home, "INBOX", [NewMessage(Body.of(letter(number)))])
            kept[done.uid] = letter(number)
            if number % 3 == 0:
                uid = min(kept)
                desk.shard.expunge_uids(home, inbox, [(uid, uid)])
                del kept[uid]
            if number % 4 == 0:
                desk.shard.store_flags(home, inbox, [(done.uid, done.uid)], "add", ["\\Flagged"])
                flagged.add(done.uid)
            await asyncio.sleep(0)

    async with here.engine():
        working = asyncio.create_task(work())
        await until(lambda: len(kept) > 20)
        roll_back(here, deletions=100_000)  # however long the machine takes
        with pytest.raises(StaleEpoch):
            await working
        await until_back(here, user)
    there = content_of(dovecot, user)["INBOX"][1]
    assert {uid: there[uid][2] for uid in there if uid >= 3} == kept
    assert {uid for uid, row in there.items() if "\\Flagged" in row[0]} == flagged & kept.keys()


async def test_a_stray_under_a_uid_that_was_never_used_here_comes_over(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user, 4)
    here = house(user)
    await move_here(here)
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(666))
    before = content_of(dovecot, user)
    desk = Desk(here, user)
    roll_back(here)
    async with here.engine():
        await until_back(here, user)
    assert content_of(dovecot, user) == before
    assert not desk.here.move(user).renumbered


async def test_failure_mode_14_a_lost_append_reply_doubles_nothing(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(dovecot, user, 4)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    for number in range(100, 104):
        await desk.deliver(number)
    desk.expunge(desk.uids()[-2])
    append, appended = ImapWriter.append, 0

    async def lose(self: ImapWriter, *args: object) -> object:
        nonlocal appended
        got = await append(self, *args)  # type: ignore[arg-type]
        appended += args[0] == b"INBOX"  # inside the fence mailboxes that are empty get a filler
        if args[0] == b"INBOX" and appended in (1, 3, 5):  # the second of these is a filler
            raise Unavailable("the reply was lost")
        return got

    monkeypatch.setattr(ImapWriter, "append", lose)
    monkeypatch.setattr("migration.attendance.backoff", lambda failures: 0.05)
    roll_back(here)
    seen = here.content(user)
    async with here.engine(ready_every=0.05):
        await until_back(here, user)
    assert content_of(dovecot, user) == seen
    assert appended == 4, "none of them twice"


async def test_failure_mode_11_a_name_that_is_another_mailboxs_by_now(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """Two mailboxes change names, a third is deleted and made again: each message stays in its own mailbox."""
    furnish(dovecot, user, 6)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    await desk.deliver(100, "Sent")
    old = content_of(dovecot, user)["Old things"][0]
    for was, now in (("Sent", "Tmp"), ("Archive", "Sent"), ("Tmp", "Archive")):
        desk.shard.rename(desk.home, was, now)
    desk.shard.delete(desk.home, "Old things")
    desk.shard.create(desk.home, "Old things")
    await desk.deliver(101, "Old things")
    seen = here.content(user)
    roll_back(here)
    async with here.engine():
        await until_back(here, user)
    there = content_of(dovecot, user)
    same_but_made(there, seen, "Old things")
    assert there["Old things"][0] != old


async def test_failure_mode_12_many_expunged_messages_need_a_word(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user, 60)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    desk.expunge(*desk.uids())
    before = content_of(dovecot, user)
    roll_back(here)
    async with here.engine():
        assert "30 messages are on the backend and gone here: INBOX (30)" in await here.halted(user)
        assert content_of(dovecot, user) == before
        request_rollback(here.ledger, DOMAIN, deletions=30)
        await until_back(here, user)
    assert content_of(dovecot, user)["INBOX"][1] == {}


async def test_what_the_store_does_not_remember_as_expunged_is_not_removed(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user, 6)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    desk.expunge(desk.uids()[0])
    desk.shard.site.write(lambda connection: connection.exec_driver_sql("DELETE FROM expunged"))
    desk.shard.forget()  # as after a rebuild
    before = content_of(dovecot, user)
    roll_back(here)
    async with here.engine():
        assert "of 1 the shard does not know any more" in await here.halted(user)
    assert content_of(dovecot, user) == before


async def test_failure_mode_9_another_uidvalidity_on_the_way_back(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """A mailbox that was made again there, and one that was deleted: only with a word, and whole."""
    furnish(dovecot, user, 6)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    await desk.deliver(100, "Sent")
    with client(dovecot, user) as imap:
        imap.delete_folder("Old things")
        imap.delete_folder("Sent")
        imap.create_folder("Old things")
        imap.append("Old things", letter(667))
    before, seen = content_of(dovecot, user), here.content(user)
    roll_back(here)
    async with here.engine():
        assert "--accept-new-uids" in await here.halted(user)
        assert content_of(dovecot, user) == before
        roll_back(here, accept_new_uids=True)
        await until_back(here, user)
    there = content_of(dovecot, user)
    for name in ("INBOX", "Archive", "Archive/2002"):
        assert there[name] == seen[name]
    assert there["Sent"][1] == seen["Sent"][1]
    assert sorted(row[2] for row in there["Old things"][1].values()) == sorted([letter(667), letter(900)])


async def test_an_account_that_went_on_to_another_shard_goes_back_from_there(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """With what was expunged before that move."""
    furnish(dovecot, user, 6)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    await desk.work()
    (other,) = {"s1", "s2"} - {here.residence(user).shard}
    between = ShardMoves(here.platform.database, here.platform.clock)
    account_id = here.accounts[user].id
    between.ask([account_id], other, cause=MOVE)
    with pytest.raises(InvalidInput, match="on its way to another shard"):
        roll_back(here)
    async with here.engine():
        await until(lambda: between.find_move(account_id).is_over, 30)
    assert here.residence(user).shard == other
    await desk.deliver(300)
    seen = here.content(user)
    roll_back(here)
    async with here.engine():
        await until_back(here, user)
    same_but_made(content_of(dovecot, user), seen, FRESH)


async def test_a_backend_without_uidplus(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    r"""UIDs are looked up, and EXPUNGE takes nobody else's \Deleted."""
    capabilities = property(
        lambda self: self.__dict__["known"] - {b"UIDPLUS", b"UNSELECT"},
        lambda self, found: self.__dict__.update(known=found),
    )
    monkeypatch.setattr(ImapWriter, "capabilities", capabilities, raising=False)
    append = ImapWriter.append

    async def silent(self: ImapWriter, *args: object) -> None:
        await append(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ImapWriter, "append", silent)
    furnish(dovecot, user, 8)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    desk.flag(desk.uids()[0], "\\Deleted")
    await desk.work()
    desk.flag(desk.uids()[1], "\\Deleted")
    seen = here.content(user)
    roll_back(here)
    async with here.engine():
        await until_back(here, user)
    same_but_made(content_of(dovecot, user), seen, FRESH)


async def test_failure_mode_5_a_fence_on_the_way_back_that_takes_too_long_is_taken_back(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(travel.go_back, "__kwdefaults__", {"length": 1.6})
    furnish(dovecot, user, 4)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    await desk.deliver(100)
    opened = asyncio.Event()

    class Door:
        """Does not acknowledge."""

        async def route_changed(self, route: object) -> None:
            if getattr(route, "state", None) is RouteState.ROLLBACK_FENCED:
                await opened.wait()

        async def lease_lost(self) -> None: ...

    async with here.engine(handler=Door()):
        roll_back(here)
        await until(lambda: here.move(user).aborts == 1, 30)
        opened.set()
        move = here.move(user)
        assert (move.route.state, move.rollback) == (RouteState.NEW, False)
        assert "no door had acknowledged" in move.note
        await desk.deliver(101)
        seen = here.content(user)
        monkeypatch.undo()  # in time, however busy the machine is
        roll_back(here)
        await until_back(here, user)
    assert content_of(dovecot, user) == seen
