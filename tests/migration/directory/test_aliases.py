"""/etc/aliases against postalias, and what is not taken of it."""

from pathlib import Path

import pytest

from migration.directory.addresses import split
from migration.directory.entries import AliasEntry
from tests.migration.directory.reading import DOMAIN, as_postfix_reads, lists, random_map, read, remarks


@pytest.mark.interop
@pytest.mark.parametrize("seed", range(2))
def test_aliases_say_what_postalias_says(tmp_path: Path, seed: int) -> None:
    text = random_map(seed, [f"u{n}" for n in range(60)] + ['"two words"', "Post.Master"], ":")
    theirs = as_postfix_reads(tmp_path, "postalias", text)
    ours: dict[str, list[str]] = {}
    for entry in read(tmp_path, "aliases", text, domain=DOMAIN):
        if isinstance(entry, AliasEntry):
            ours.setdefault(entry.source, [str(each).lower() for each in entry.targets])
    assert ours == {
        f"{key.lower()}@{DOMAIN}": list(dict.fromkeys(item.replace('"', "").lower() for item in split(value)))
        for key, value in theirs.items()
    }


def test_aliases_refuse_what_is_no_address_one_by_one(tmp_path: Path) -> None:
    text = (
        'vac: \\vac, "|/usr/bin/vacation vac"\n'
        "log: /var/log/mail, ada\n"
        "all: :include:/etc/mail/all\n"
        "who@else.test: ada\n"
        "plain\n"
    )
    entries = read(tmp_path, "aliases", text, domain="Moving.Test")
    assert lists(entries) == {f"vac@{DOMAIN}": [f"vac@{DOMAIN}"], f"log@{DOMAIN}": [f"ada@{DOMAIN}"]}
    said = remarks(entries).splitlines()
    assert [line.split("source:")[1][:1] for line in said] == ["1", "2", "3", "4", "5"]
    for line, words in zip(
        said,
        ("runs a program", "writes to a file", "reads a list", "not one local name", "NAME: TARGETS"),
        strict=True,
    ):
        assert words in line
