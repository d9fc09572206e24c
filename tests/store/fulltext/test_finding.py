"""SEARCH with text that is kept, all of it or some, answers what the files would."""

import random

import pytest

from mailplat.core.errors import LimitReached
from mailplat.store import StoreLimits
from mailplat.store.fulltext import keeping, texts
from mailplat.store.fulltext.keeper import Rounds
from mailplat.wire.imap import search as keys
from mailplat.wire.mime import scan
from mailplat.wire.mime.text import searchable_text
from tests.store.conftest import HOME, Rig, letter, new
from tests.store.fulltext.conftest import HOSTILE, find, keep, messages, scanned

_FIELDS = ("Subject", "from", "TO", "cc", "Bcc")


def needles(chance: random.Random, octets: list[bytes]) -> list[str]:
    """Pieces of what is there, short and long, some with a character that is not."""
    found = [
        "e",
        "the",
        "zz top",
        "\x00",
        "\ufffd",
        "\x01",
        "k",
        "ss",
        "\U0001f600",
        "a\u0301",
        "\ud83f",
        "İ",
    ]
    pieces = [piece for each in octets for piece in searchable_text(each, scan(each), headers=True) if piece]
    for piece in chance.sample(pieces, 12):
        start = chance.randrange(len(piece))
        found.append(piece[start : start + chance.choice((1, 2, 3, 8, 40))])
    return [*found, found[-1] + "~"]


def some_keys(chance: random.Random, words: list[str]) -> list[keys.Key]:
    found: list[keys.Key] = []
    for word in words:
        leaves = [keys.Body(word), keys.Text(word), keys.Header(chance.choice(_FIELDS), word)]
        other = keys.Body(chance.choice(words))
        found += leaves
        found.append(
            keys.Or((keys.And((leaves[1], keys.Not(other))), keys.And((leaves[2], keys.Uids(((2, 9),))))))
        )
        found.append(keys.Not(keys.And((leaves[0], keys.Flag("\\Seen", True)))))
    return found


@pytest.mark.parametrize("seed", range(2))
def test_the_same_as_the_files_say(rig: Rig, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Through appends, expunges and moves, with all, some and nothing of it kept."""
    monkeypatch.setattr(keeping, "_MESSAGES", 7)
    monkeypatch.setattr("mailplat.store.fulltext.blocks.BLOCK", 3000)
    chance = random.Random(seed)
    octets = messages(seed, 10) + list(HOSTILE)
    words = needles(chance, octets)
    rig.shard.create(HOME, "Box")
    box = rig.shard.mailbox(HOME, "Box").id
    rounds = Rounds(rig.shard.site)
    for _ in range(4):
        some = chance.sample(octets, 12)
        rig.append(*(new(each, flags=("\\Seen",) * chance.randrange(2)) for each in some))
        uids = rig.shard.snapshot(HOME, rig.inbox.id).uids
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid) for uid in chance.sample(list(uids), 3)])
        rig.shard.move(HOME, rig.inbox.id, [(uids[0], uids[2])], "Box")
        for _ in range(chance.randrange(3)):
            rounds.round()
        for key in chance.sample(some_keys(chance, words), 12):
            for mailbox in (rig.inbox.id, box):
                assert find(rig, key, mailbox) == scanned(rig.shard, key, mailbox), key


def test_no_file_is_opened_for_what_is_kept(kept: Rig) -> None:
    for file in kept.files():
        file.rename(file.with_name("elsewhere-" + file.name))
    assert find(kept, keys.Text("number 3")) == [4]
    assert find(kept, keys.Header("Subject", "number")) == [1, 2, 3, 4, 5]
    assert find(kept, keys.Not(keys.Body("text"))) == []
    assert find(kept, keys.And((keys.Flag("\\Seen", False), keys.Header("To", "bob"), keys.Text("r 1")))) == [
        2
    ]


def test_a_search_makes_a_mailbox_a_kept_one(rig: Rig) -> None:
    rig.fill(3)
    rig.shard.keep_texts()
    assert not rig.shard.site.fulltext.exists
    find(rig, keys.Flag("\\Seen", True))
    find(rig, keys.Header("X-Own", "a"))
    assert not rig.shard.site.fulltext.wanted
    find(rig, keys.Header("Subject", "a"))
    assert rig.shard.site.fulltext.wanted == {(rig.inbox.id, texts.HEADINGS)}
    rig.shard.keep_texts()
    find(rig, keys.Header("Subject", "a"))
    assert not rig.shard.site.fulltext.wanted
    find(rig, keys.Not(keys.Or((keys.Body("b"), keys.Header("Subject", "a")))))
    assert rig.shard.site.fulltext.wanted == {(rig.inbox.id, texts.CONTENT)}


def test_a_search_ends_when_its_time_is_over(kept: Rig) -> None:
    kept.shard.site.limits = StoreLimits(search_seconds=0.0)
    assert find(kept, keys.Header("Subject", "Number 1")) == [2]
    with pytest.raises(LimitReached):
        find(kept, keys.Body("text"))


def test_what_is_too_long_to_be_kept_is_found(rig: Rig) -> None:
    rig.append(new(letter("long", "x" * texts.MOST + "end")), new(letter("short")))
    keep(rig)
    assert find(rig, keys.Body("xend")) == [1]
    assert find(rig, keys.Not(keys.Body("xend"))) == [2]
