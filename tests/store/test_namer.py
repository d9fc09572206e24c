"""Names of files and the description files follow the index."""

import json
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.route import Residence
from mailplat.store import StoreLimits
from mailplat.store.description import MODSEQ_BLOCK, UID_BLOCK, read_account, read_mailbox
from mailplat.store.maildir import dedupe_key, first_name, full_name, new_unique, parse_name, resize_name
from tests.store.conftest import HOME, Rig, letter, new
from tests.until import until


def test_a_name_says_uid_and_flags(rig: Rig) -> None:
    rig.append(
        new(b"12345"),
        new(b"12345", flags=("\\Answered", "\\Draft", "\\Flagged", "\\Seen", "\\Deleted", "b", "a")),
    )
    assert rig.shard.settle_names() == 2
    names = [path.name.partition(",")[2] for path in rig.files()]
    assert names == ["S=5,U=1:2,", "S=5,U=2:2,DFRSTab"]
    assert all(path.parent.name == "cur" for path in rig.files())
    assert rig.shard.settle_names() == 0
    assert dict(rig.shard.octets_many(HOME, rig.inbox.id, None)) == {1: b"12345", 2: b"12345"}


def test_many_changes_are_settled_in_pieces(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(names=7))
    rig.fill(30)
    rig.shard.create(HOME, "other")
    rig.fill(3, "other")
    assert rig.shard.settle_names() == 33
    rig.shard.store_flags(HOME, rig.inbox.id, [(1, 20)], "add", ["\\Seen"])
    assert rig.shard.settle_names() == 20
    rig.close()


def test_the_unique_part_never_changes_nor_does_the_date(rig: Rig) -> None:
    rig.append(new(internaldate=1_000_000_000))
    before = rig.files()[0].name.partition(",")[0]
    for flag in ("\\Seen", "kw", "\\Flagged"):
        rig.shard.store_flags(HOME, rig.inbox.id, None, "add", [flag])
        rig.shard.settle_names()
        (path,) = rig.files()
        assert path.name.partition(",")[0] == before
        assert os.stat(path).st_mtime == 1_000_000_000


async def test_it_happens_by_itself(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", upkeep=True)
    await rig.store.append(HOME, "INBOX", [new(flags=("\\Seen",))])
    await until(
        lambda: [path.name.partition(",")[2] for path in rig.files()] == [f"S={len(letter())},U=1:2,S"]
    )
    rig.shard.expunge_uids(HOME, rig.inbox.id, None)
    await until(lambda: rig.files() == [])
    await rig.store.append(HOME, "INBOX", [new(flags=("\\Flagged",))])
    rig.close()  # settles what is open
    assert rig.files()[0].name.endswith(",U=2:2,F")


def test_a_file_left_under_a_third_name_is_taken_up(rig: Rig) -> None:
    rig.append(new())
    (path,) = rig.files()
    cur = path.parent.parent / "cur"
    os.rename(path, cur / f"{path.name},U=1:2,FRST")
    assert rig.shard.settle_names() == 1
    assert [path.name.partition(":")[2] for path in rig.files()] == ["2,"]


class TestDescriptions:
    def folder(self, rig: Rig) -> Path:
        return rig.shard.site.account_folder(1)

    def test_ceilings_are_above_what_was_handed_out(self, rig: Rig) -> None:
        for uid in (UID_BLOCK - 1, UID_BLOCK + 1, 3 * UID_BLOCK, 50_000):
            rig.append(new(uid=uid, modseq=uid * 20))
            described = read_mailbox(self.folder(rig))
            assert described is not None
            assert uid < rig.inbox.uidnext <= described.uidnext <= rig.inbox.uidnext + UID_BLOCK
            assert rig.inbox.modseq <= described.modseq <= rig.inbox.modseq + MODSEQ_BLOCK

    def test_names_keywords_and_subscriptions_follow(self, rig: Rig) -> None:
        made = rig.shard.create(HOME, "Entwürfe/alt", special_use="\\Drafts")
        rig.append(new(flags=("One", "Two")), mailbox="Entwürfe/alt")
        rig.shard.rename(HOME, "Entwürfe", "x")
        rig.shard.subscribe(HOME, "Nirgends", True)
        rig.shard.settle_names()
        described = read_mailbox(self.folder(rig) / f".m{made.id}")
        assert described is not None
        assert (described.name, described.special_use, described.keywords) == (
            "x/alt",
            "\\Drafts",
            ("One", "Two"),
        )
        account = read_account(self.folder(rig))
        assert account is not None
        assert (account.epoch, account.subscriptions) == (1, ("Nirgends",))

    def test_what_cannot_be_read_is_none(self, tmp_path: Path) -> None:
        assert read_mailbox(tmp_path) is None
        for content in ("", "{", "[]", '{"id": "x"}', json.dumps({"id": 1, "name": 2})):
            (tmp_path / "mailplat-mailbox.json").write_text(content)
            assert read_mailbox(tmp_path) is None

    def test_grant_is_written_down(self, rig: Rig) -> None:
        rig.shard.grant(1, 12)
        account = read_account(self.folder(rig))
        assert account is not None
        assert account.epoch == 12


@given(
    st.integers(0, 2**40),
    st.integers(-5999, 5999),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=70),
    st.text(max_size=20),
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**255 - 1),
)
def test_names_say_what_was_said(size: int, zone: int, uidl: str, text: str, uid: int, mask: int) -> None:
    unique = new_unique()
    key = dedupe_key(text)
    first = first_name(unique, size, zone, uidl, key=key)
    for name in (full_name(first, uid, mask), full_name(full_name(first, 1, 2**255 - 1), uid, mask)):
        said = parse_name(name)
        assert (said.unique, said.size, said.zone, said.uid, said.mask, said.ours) == (
            unique, size, zone, uid, mask, True,
        )  # fmt: skip
        assert said.key == ("" if uidl else key)
        assert said.uidl in (uidl, "")  # left out when too long
        assert len(name) <= 255
        assert "/" not in name
        assert parse_name(resize_name(name, 77)).size == 77


@given(st.text())
def test_any_name_is_read_without_an_error(name: str) -> None:
    parse_name(name)


def test_uniques_differ() -> None:
    assert len({new_unique() for _ in range(10_000)}) == 10_000


def test_hard_links_of_a_delivery_are_named_apart(rig: Rig) -> None:
    other = Residence(2, "s1", 1)
    rig.deliver([(HOME, "INBOX", 0), (other, "INBOX", 0)], new(letter()))
    rig.shard.store_flags(HOME, rig.inbox.id, None, "add", ["\\Seen"])
    rig.shard.settle_names()
    assert rig.files(1)[0].name.endswith(":2,S")
    assert rig.files(2)[0].name.endswith(":2,")
