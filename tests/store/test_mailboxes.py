"""CREATE, DELETE, RENAME, SUBSCRIBE, and names that try to be something else."""

from pathlib import Path

import pytest

from mailplat.core.errors import AlreadyExists, InvalidInput, LimitReached, NotFound
from mailplat.store import StoreLimits
from mailplat.store.names import canonical, check_name
from tests.store.conftest import HOME, Rig, letter, new


def names(rig: Rig) -> list[str]:
    return [mailbox.name for mailbox in rig.shard.mailboxes(HOME)]


def test_inbox_is_there_from_the_start(rig: Rig) -> None:
    assert names(rig) == ["INBOX"]
    assert rig.shard.mailbox(HOME, "inBox") == rig.inbox
    assert (rig.inbox.uidnext, rig.inbox.modseq, rig.inbox.messages) == (1, 1, 0)


def test_create_makes_what_is_above(rig: Rig) -> None:
    made = rig.shard.create(HOME, "a/b/c/", special_use="\\Archive")
    assert made.name == "a/b/c"
    assert made.special_use == "\\Archive"
    assert names(rig) == ["INBOX", "a", "a/b", "a/b/c"]
    assert rig.shard.mailbox_by_id(HOME, made.id) == made
    for taken in ("a/b", "a/b/c", "inbox"):
        with pytest.raises(AlreadyExists):
            rig.shard.create(HOME, taken)


def test_a_name_that_comes_back_is_another_mailbox(rig: Rig) -> None:
    first = rig.shard.create(HOME, "x")
    rig.append(new(), mailbox="x")
    rig.shard.delete(HOME, "x")
    second = rig.shard.create(HOME, "x")
    assert second.uidvalidity > first.uidvalidity
    assert second.id > first.id
    assert second.messages == 0


def test_delete_gives_space_back_and_leaves_what_is_below(rig: Rig) -> None:
    rig.shard.create(HOME, "a/b")
    rig.append(new(), mailbox="a")
    rig.append(new(), mailbox="a/b")
    before = rig.shard.usage(HOME)[1]
    rig.shard.delete(HOME, "a")
    assert names(rig) == ["INBOX", "a/b"]
    assert rig.shard.usage(HOME)[1] == before - 1
    rig.shard.sweep()
    assert len(rig.files()) == 1
    with pytest.raises(NotFound):
        rig.shard.delete(HOME, "a")
    with pytest.raises(InvalidInput):
        rig.shard.delete(HOME, "inbox")


def test_rename_takes_the_tree_along(rig: Rig) -> None:
    rig.shard.create(HOME, "a/b/c")
    rig.shard.create(HOME, "ab")  # begins with the same letter, is not below
    rig.append(new(), mailbox="a/b")
    old = rig.shard.mailbox(HOME, "a/b")
    rig.shard.rename(HOME, "a", "x/y")
    assert names(rig) == ["INBOX", "ab", "x", "x/y", "x/y/b", "x/y/b/c"]
    renamed = rig.shard.mailbox(HOME, "x/y/b")
    assert (renamed.id, renamed.uidvalidity, renamed.messages) == (old.id, old.uidvalidity, 1)
    assert rig.shard.octets(HOME, renamed.id, 1) == letter()


def test_renames_that_cannot_be(rig: Rig) -> None:
    rig.shard.create(HOME, "a/b")
    rig.shard.create(HOME, "c")
    for old, to, error in (
        ("a", "a/b/x", InvalidInput),
        ("a", "a", InvalidInput),
        ("a", "c", AlreadyExists),
        ("nowhere", "d", NotFound),
        ("a", "x//y", InvalidInput),
        ("a", "x" * 256, LimitReached),
        ("a", "INBOX", AlreadyExists),
    ):
        with pytest.raises(error):
            rig.shard.rename(HOME, old, to)
    assert names(rig) == ["INBOX", "a", "a/b", "c"]


def test_a_name_without_a_mailbox_of_its_own_can_be_renamed(rig: Rig) -> None:
    rig.shard.create(HOME, "a/b")
    rig.shard.delete(HOME, "a")
    rig.shard.rename(HOME, "a", "z")
    assert names(rig) == ["INBOX", "z/b"]


def test_renaming_inbox_moves_its_messages_and_it_stays(rig: Rig) -> None:
    """RFC 3501 6.3.5"""
    rig.shard.create(HOME, "INBOX/below")
    rig.append(new(flags=("\\Flagged", "kw")))
    rig.shard.rename(HOME, "INBOX", "old mail")
    assert names(rig) == ["INBOX", "INBOX/below", "old mail"]
    assert rig.inbox.messages == 0
    moved = rig.shard.mailbox(HOME, "old mail")
    assert rig.shard.rows(HOME, moved.id, None, ["flags"]) == [(("\\Flagged", "kw"),)]


def test_subscriptions_are_for_names(rig: Rig) -> None:
    """RFC 3501 6.3.6, 6.3.7: they outlive their mailbox."""
    rig.shard.create(HOME, "a")
    for name in ("a", "a", "not there", "inbox"):
        rig.shard.subscribe(HOME, name, True)
    assert rig.shard.mailbox(HOME, "a").subscribed
    rig.shard.delete(HOME, "a")
    assert rig.shard.subscriptions(HOME) == ["INBOX", "a", "not there"]
    rig.shard.subscribe(HOME, "a", False)
    rig.shard.subscribe(HOME, "a", False)
    assert rig.shard.subscriptions(HOME) == ["INBOX", "not there"]


class TestMoves:
    def test_numbers_are_kept(self, rig: Rig) -> None:
        made = rig.shard.create(HOME, "x", uidvalidity=12345, uidnext=700, modseq=9000)
        assert (made.uidvalidity, made.uidnext, made.modseq) == (12345, 700, 9000)
        assert rig.append(new(), mailbox="x")[0].uid == 700

    def test_inbox_takes_its_old_uidvalidity_while_it_is_untouched(self, rig: Rig) -> None:
        made = rig.shard.create(HOME, "INBOX", uidvalidity=4711, uidnext=50, modseq=60)
        assert (made.id, made.uidvalidity, made.uidnext, made.modseq) == (rig.inbox.id, 4711, 50, 60)
        with pytest.raises(AlreadyExists):
            rig.shard.create(HOME, "INBOX", uidvalidity=4712)

    def test_a_used_inbox_keeps_its_own(self, rig: Rig) -> None:
        rig.append(new())
        rig.shard.expunge_uids(HOME, rig.inbox.id, None)
        with pytest.raises(AlreadyExists):
            rig.shard.create(HOME, "INBOX", uidvalidity=4711)

    def test_uidnext_is_raised_never_lowered(self, rig: Rig) -> None:
        rig.shard.raise_uidnext(HOME, rig.inbox.id, 5000, 50_000)
        rig.shard.raise_uidnext(HOME, rig.inbox.id, 10, 20)
        assert (rig.inbox.uidnext, rig.inbox.modseq) == (5000, 50_000)

    def test_what_went_below_a_raised_modseq_is_not_known(self, rig: Rig) -> None:
        first, second = rig.append(new(), new())
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(first.uid, first.uid)])
        rig.shard.raise_uidnext(HOME, rig.inbox.id, 1, 50_000)
        [third] = rig.append(new())
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(third.uid, third.uid)])
        assert list(rig.shard.changes(HOME, rig.inbox.id, 49_999).present or ()) == [second.uid]
        since = rig.shard.changes(HOME, rig.inbox.id, 50_000)
        assert (since.present, since.expunged) == (None, [third.uid])

    @pytest.mark.parametrize("bad", [0, -1, 2**32])
    def test_numbers_that_cannot_be(self, rig: Rig, bad: int) -> None:
        with pytest.raises(InvalidInput):
            rig.shard.create(HOME, "x", uidvalidity=bad)


class TestNames:
    limits = StoreLimits()

    @pytest.mark.parametrize(
        "name",
        [
            "", "/", "a//b", "/a", "../../etc/passwd", "INBOX/../x", "a/./b", "..", "a\0b", "a\nb", "a\rb",
            "a\x7fb", "\x85", "\ud800", "a\u2028b",
        ],
    )  # fmt: skip
    def test_refused(self, name: str) -> None:
        with pytest.raises(InvalidInput):
            check_name(name, self.limits)

    @pytest.mark.parametrize("name", ["x" * 256, "/".join("x" * 65), "/".join(["x" * 250] * 5)])
    def test_too_long(self, name: str) -> None:
        with pytest.raises(LimitReached):
            check_name(name, self.limits)

    @pytest.mark.parametrize(
        "name", ["Entwürfe", "日本語/メール", "a.b", ".hidden", "#x", "%*", "~root", "a b", "…"]
    )
    def test_kept_as_they_are(self, rig: Rig, name: str) -> None:
        assert rig.shard.create(HOME, name).name == name
        assert all(part.name.startswith((".m", "m")) for part in rig.shard.site.account_folder(1).glob(".*"))

    def test_inbox_has_one_spelling_on_its_first_level(self) -> None:
        assert check_name("iNbOx/Inbox", self.limits) == "INBOX/Inbox"
        assert canonical("Inboxes") == "Inboxes"


def test_so_many_mailboxes_and_no_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(mailboxes=4, subscriptions=2))
    with pytest.raises(LimitReached):
        rig.shard.create(HOME, "a/b/c/d")
    assert names(rig) == ["INBOX"]  # none of them
    rig.shard.create(HOME, "a/b/c")
    with pytest.raises(LimitReached):
        rig.shard.rename(HOME, "a/b/c", "x/y")
    rig.shard.subscribe(HOME, "1", True)
    rig.shard.subscribe(HOME, "2", True)
    with pytest.raises(LimitReached):
        rig.shard.subscribe(HOME, "3", True)
    rig.close()


def test_deep_nesting_is_refused_clearly(rig: Rig) -> None:
    with pytest.raises(LimitReached, match="characters"):
        rig.shard.create(HOME, "/".join("x" * 5000))
    assert rig.shard.create(HOME, "/".join("x" * 64)).name.count("/") == 63
