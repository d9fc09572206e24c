"""STORE, EXPUNGE, COPY and MOVE."""

from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput, LimitReached, NotFound, OverQuota
from mailplat.core.hint import MailboxChanged
from mailplat.core.quota import Quota
from mailplat.store import StoreLimits
from tests.store.conftest import HOME, Rig, letter, new


def flags(rig: Rig, name: str = "INBOX") -> dict[int, tuple[str, ...]]:
    mailbox = rig.shard.mailbox(HOME, name)
    return dict(rig.shard.rows(HOME, mailbox.id, None, ["uid", "flags"]))


class TestStore:
    def test_set_add_remove(self, rig: Rig) -> None:
        rig.fill(3)
        inbox = rig.inbox.id
        rig.shard.store_flags(HOME, inbox, [(1, 2)], "set", ["\\Seen", "Kw"])
        rig.shard.store_flags(HOME, inbox, [(2, 3)], "add", ["\\flagged", "KW"])
        rig.shard.store_flags(HOME, inbox, [(1, 1)], "remove", ["\\SEEN", "kW", "Unheard"])
        assert flags(rig) == {1: (), 2: ("\\Flagged", "\\Seen", "Kw"), 3: ("\\Flagged", "Kw")}
        assert rig.inbox.unseen == 2

    def test_only_what_changed_gets_a_modseq(self, rig: Rig) -> None:
        rig.fill(3)
        rig.shard.store_flags(HOME, rig.inbox.id, [(1, 1)], "add", ["\\Seen"])
        before = rig.inbox.modseq
        changed, failed = rig.shard.store_flags(HOME, rig.inbox.id, None, "add", ["\\Seen"])
        assert [(uid, modseq) for uid, modseq, _ in changed] == [(2, before + 1), (3, before + 1)]
        assert failed == []
        rig.hints.sent.clear()
        assert rig.shard.store_flags(HOME, rig.inbox.id, None, "add", ["\\Seen"]) == ([], [])
        assert rig.inbox.modseq == before + 1
        assert rig.hints.sent == []

    def test_unchanged_since(self, rig: Rig) -> None:
        """RFC 7162 3.1.3"""
        rig.fill(2)
        seen = rig.inbox.modseq
        rig.shard.store_flags(HOME, rig.inbox.id, [(2, 2)], "add", ["\\Flagged"])
        changed, failed = rig.shard.store_flags(HOME, rig.inbox.id, None, "set", ["\\Seen"], seen)
        assert [uid for uid, _, _ in changed] == [1]
        assert failed == [2]
        assert flags(rig) == {1: ("\\Seen",), 2: ("\\Flagged",)}

    def test_recent_is_not_kept(self, rig: Rig) -> None:
        rig.append(new(flags=("\\Recent", "\\Seen")))
        assert flags(rig) == {1: ("\\Seen",)}

    def test_two_hundred_keywords(self, rig: Rig) -> None:
        words = [f"Keyword{number}" for number in range(200)]
        rig.append(new(flags=tuple(words)), new())
        rig.shard.store_flags(HOME, rig.inbox.id, [(2, 2)], "add", words[30:40])
        rig.shard.settle_names()
        assert flags(rig) == {1: tuple(words), 2: tuple(words[30:40])}
        assert all(len(path.name) < 255 for path in rig.files())

    def test_limits(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path / "s1", StoreLimits(keywords=2, keyword=8))
        rig.fill(1)
        for given, error in (
            (["a", "b", "c"], LimitReached),
            (["muchtoolong"], LimitReached),
            (["\\Other"], InvalidInput),
            (["a(b"], InvalidInput),
            ([""], InvalidInput),
        ):
            with pytest.raises(error):
                rig.shard.store_flags(HOME, rig.inbox.id, None, "add", given)
        assert flags(rig) == {1: ()}
        assert rig.shard.store_flags(HOME, rig.inbox.id, None, "remove", ["x", "y", "z"]) == ([], [])
        rig.close()


class TestExpunge:
    def test_takes_what_is_deleted(self, rig: Rig) -> None:
        rig.append(*(new(flags=("\\Seen",) * (n % 2)) for n in range(5)))
        rig.shard.store_flags(HOME, rig.inbox.id, [(2, 4)], "add", ["\\Deleted"])
        size, _ = rig.shard.usage(HOME)
        assert rig.shard.expunge(HOME, rig.inbox.id, [(1, 3)]) == [2, 3]
        assert rig.shard.expunge(HOME, rig.inbox.id, None) == [4]
        assert rig.shard.expunge(HOME, rig.inbox.id, None) == []
        assert list(flags(rig)) == [1, 5]
        inbox = rig.inbox
        assert (inbox.messages, inbox.unseen, inbox.uidnext) == (2, 2, 6)
        assert rig.shard.usage(HOME) == (size * 2 // 5, 2)
        assert rig.shard.sweep() == 3
        assert len(rig.files()) == 2
        assert rig.append(new())[0].uid == 6

    def test_a_name_that_changes_meanwhile_leaves_no_file(self, rig: Rig) -> None:
        rig.fill(4)
        rig.shard.settle_names()
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 2)])
        rig.shard.settle_names()
        rig.shard.sweep()
        assert len(rig.files()) == 2


class TestCopy:
    def test_takes_everything_along_but_the_number(self, rig: Rig) -> None:
        rig.shard.create(HOME, "Target")
        rig.append(
            new(letter("x"), flags=("\\Seen", "B", "A"), internaldate=1_000_000_000, internaldate_zone=60)
        )
        rig.append(new(flags=("A",)), mailbox="Target")
        result = rig.shard.copy(HOME, rig.inbox.id, None, "target".title())
        target = rig.shard.mailbox(HOME, "Target")
        assert (result.uidvalidity, result.source_uids, result.target_uids) == (target.uidvalidity, [1], [2])
        columns = ["flags", "internaldate", "internaldate_zone", "envelope", "bodystructure", "size"]
        (copied,) = rig.shard.rows(HOME, target.id, [(2, 2)], columns)
        (source,) = rig.shard.rows(HOME, rig.inbox.id, None, columns)
        assert copied[1:] == source[1:]
        assert set(copied[0]) == set(source[0])
        assert rig.shard.octets(HOME, target.id, 2) == letter("x")
        assert rig.shard.usage(HOME)[1] == 3
        rig.shard.expunge_uids(HOME, rig.inbox.id, None)
        rig.shard.sweep()
        assert rig.shard.octets(HOME, target.id, 2) == letter("x")
        assert MailboxChanged(1, target.id) in rig.hints.sent

    def test_into_itself(self, rig: Rig) -> None:
        rig.fill(2)
        assert rig.shard.copy(HOME, rig.inbox.id, [(1, 1)], "INBOX").target_uids == [3]
        assert rig.shard.move(HOME, rig.inbox.id, [(1, 2)], "INBOX").target_uids == [4, 5]
        assert list(flags(rig)) == [3, 4, 5]
        assert rig.inbox.messages == 3

    def test_move_is_one_change(self, rig: Rig) -> None:
        rig.shard.create(HOME, "T")
        rig.fill(3)
        usage = rig.shard.usage(HOME)
        since = rig.inbox.modseq
        result = rig.shard.move(HOME, rig.inbox.id, [(2, 9)], "T")
        assert (result.source_uids, result.target_uids) == ([2, 3], [1, 2])
        assert rig.shard.changes(HOME, rig.inbox.id, since).expunged == [2, 3]
        assert rig.shard.usage(HOME) == usage
        assert rig.shard.mailbox(HOME, "T").messages == 2
        rig.shard.sweep()
        assert len(rig.files()) == 3

    def test_refusals_leave_nothing(self, rig: Rig) -> None:
        rig.shard.create(HOME, "T")
        rig.append(new(b"12345"), new(b"12345"))
        with pytest.raises(OverQuota):
            rig.shard.copy(HOME, rig.inbox.id, None, "T", quota=Quota(15))
        with pytest.raises(NotFound):
            rig.shard.copy(HOME, rig.inbox.id, None, "nowhere")
        with pytest.raises(NotFound):
            rig.shard.copy(HOME, 99, None, "T")
        assert len(rig.files()) == 2
        assert rig.shard.move(HOME, rig.inbox.id, None, "T").target_uids == [1, 2]

    def test_of_nothing(self, rig: Rig) -> None:
        rig.shard.create(HOME, "T")
        result = rig.shard.copy(HOME, rig.inbox.id, [(5, 9)], "T")
        assert (result.source_uids, result.target_uids) == ([], [])
