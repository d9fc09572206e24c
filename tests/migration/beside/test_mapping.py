"""Rights of another server to ours: never wider."""

import pytest

from mailplat.core.rights import render
from mailplat.store.types import ANYONE
from migration.beside.mapping import Given, Said, give, letters_for, letters_of, sort

KNOWN = {
    "bob@x.test": ("bob@x.test", 2),
    "Carl@x.test": ("carl@x.test", 3),
    "carl@x.test": ("carl@x.test", 3),
    "gone@x.test": "there is no account",
}


def mapped(*said: str, old: bool = False, most: int = 200) -> Given:
    pairs = [Said(*each.rpartition(" ")[::2]) for each in said]
    return give(sort(pairs, frozenset({"ann@x.test", "owner"}), old=old), KNOWN, most)


@pytest.mark.parametrize(
    ("said", "given"),
    [
        (["bob@x.test lrs"], {"bob@x.test": "lrs"}),
        (["ann@x.test lrwstipekxacd", "bob@x.test lr"], {"bob@x.test": "lr"}),
        (
            ["bob@x.test lrcd"],
            {"bob@x.test": "lr"},
        ),  # c and d repeat k, x, t, e and stand for nothing themselves
        (["bob@x.test lr0"], {"bob@x.test": "lr"}),
        (["gone@x.test lrs"], {}),
        (["$staff lr", "!$boss lrs", "#owner lr"], {}),
        (["anyone lr"], {ANYONE: "lr"}),
        (["authenticated lrs"], {ANYONE: "lrs"}),
        (["anyone lrs", "authenticated lr"], {ANYONE: "lr"}),
        (["authenticated lr", "anyone lrs"], {ANYONE: "lr"}),
        (["anyone l", "authenticated lr"], {ANYONE: "l"}),
        # of anonymous some servers say that it is everybody, some that it is not
        (["anonymous lr"], {}),
        (["anonymous lrs", "anyone l"], {ANYONE: "l"}),
        (["anyone lr", "-anonymous r"], {ANYONE: "l"}),
        (["bob@x.test l", "bob@x.test lrs"], {"bob@x.test": "l"}),
        (["bob@x.test lrs", "bob@x.test l"], {"bob@x.test": "l"}),
        # who adds up would have more here than there
        (["anyone lrs", "bob@x.test l"], {ANYONE: "l", "bob@x.test": "l"}),
        (["anyone lr", "bob@x.test lrs"], {ANYONE: "lr", "bob@x.test": "lrs"}),
        (["anyone lrs", "$staff l"], {ANYONE: "l"}),
        (["anyone lrs", "gone@x.test l"], {ANYONE: "lrs"}),
        # taken away
        (["bob@x.test lrsw", "-bob@x.test w"], {"bob@x.test": "lrs"}),
        (["anyone lr", "-bob@x.test r"], {ANYONE: "l"}),
        (["anyone lr", "-gone@x.test r"], {ANYONE: "l"}),
        (["bob@x.test lrs", "-$staff s"], {"bob@x.test": "lr"}),
        (["bob@x.test lrs", "-anyone rs"], {"bob@x.test": "l"}),
        (["bob@x.test lr", "-owner lr"], {"bob@x.test": "lr"}),
        (["-bob@x.test lr"], {}),
        # two spellings of one account
        (["Carl@x.test lrs", "carl@x.test lw"], {"carl@x.test": "l"}),
        (["bob@x.test "], {}),
    ],
)
def test_never_wider(said: list[str], given: dict[str, str]) -> None:
    found = mapped(*said)
    assert {key: render(rights) for key, rights in found.rights.items()} == given
    assert found.numbers.keys() >= found.rights.keys()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("$staff lr", "no groups"),
        ("#owner lr", "platform's own list"),
        ("gone@x.test lr", "no account"),
        ("-bob@x.test r", "taken away"),
        ("anyone lr", "owner's domain"),
        ("bob@x.test lr9", "9 is no right"),
        ("owner lr", "the owner has all rights here, swiktea"),
    ],
)
def test_what_is_not_as_it_was_is_told(said: str, why: str) -> None:
    (left,) = mapped(said).left
    assert left.what == said
    assert why in left.why


def test_of_too_many_the_strongest() -> None:
    found = mapped("bob@x.test lrs", "carl@x.test l", most=1)
    assert found.rights.keys() == {"bob@x.test"}
    assert [each.what for each in found.left] == ["carl@x.test l"]
    many = mapped(*(f"bob@x.test {'l' * (number % 2)}" for number in range(1001)))
    assert "1 more identifiers" in [each.what for each in many.left]


def test_letters_of_rfc_2086() -> None:
    assert letters_of("lrcd", old=True) == (frozenset("lrkte"), "")
    assert letters_of("lrkxtecd", old=False) == (frozenset("lrkxte"), "")
    assert letters_for(frozenset("lrkxte"), old=True) == "lrcd"
    assert letters_for(frozenset("lrte"), old=True) == "lrd"
    assert letters_for(frozenset("lrt"), old=True) == "lr", "d would let him expunge"
    assert letters_for(frozenset("lrx"), old=True) == "lr"
    assert letters_for(frozenset("lrkxte"), old=False) == "lrkxte"
