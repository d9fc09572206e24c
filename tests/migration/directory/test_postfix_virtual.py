"""virtual_alias_maps against postmap and against a Postfix that delivers; what else its maps may hold."""

import re
import smtplib
from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput
from migration.directory import formats, lines, postmap
from migration.directory.addresses import split
from migration.directory.entries import DomainAliasEntry, DomainEntry
from tests.migration.directory.reading import DOMAIN, as_postfix_reads, lists, random_map, read, remarks
from tests.postfix import Postfix
from tests.until import until


@pytest.mark.interop
@pytest.mark.parametrize("seed", range(3))
def test_maps_say_what_postmap_says(tmp_path: Path, seed: int) -> None:
    keys = [f"u{n}@{DOMAIN}" for n in range(60)] + [f"@{DOMAIN}", f'"two words"@{DOMAIN}', "bare"]
    text = random_map(seed, keys, "")
    theirs = as_postfix_reads(tmp_path, "postmap", text)
    ours: dict[str, str] = {}
    for pair in postmap.pairs(tmp_path / "map"):
        if isinstance(pair, postmap.Pair):
            ours.setdefault(pair.key, pair.value)
    assert {key: split(value) for key, value in ours.items()} == {
        key: split(value) for key, value in theirs.items()
    }
    assert len(ours) >= len(keys) - 1
    entries = lists(read(tmp_path, "postfix-virtual", text, origin=DOMAIN))
    for key, value in theirs.items():
        name = key.replace('"', "") if "@" in key else f"{key}@{DOMAIN}"
        wanted = list(dict.fromkeys(item.replace('"', "") for item in split(value)))
        assert [each.lower() for each in entries[name]] == [each.lower() for each in wanted], key


VIRTUAL = f"""
a@{DOMAIN}    x@out.test, y@out.test
b@{DOMAIN}    x@out.test y@out.test
c@{DOMAIN}    <x@out.test>,"q q"@out.test
d@{DOMAIN}    @other.test
e@{DOMAIN}    a@{DOMAIN}, z@out.test
f@{DOMAIN}    f@{DOMAIN}, z@out.test
@{DOMAIN}     rest@out.test
@twin.test    @{DOMAIN}
"""


@pytest.mark.interop
async def test_postfix_sends_where_we_say(tmp_path: Path) -> None:
    """Who gets mail for an address, of the real thing: each recipient's fate is in its log."""
    if reason := Postfix.reason_to_skip():
        pytest.skip(reason)
    settings = "virtual_alias_domains = moving.test twin.test\nvirtual_alias_maps = texthash:{root}/virtual\n"
    settings += "default_transport = error:5.1.1 sink\nnotify_classes =\n"
    root = tmp_path / "postfix"
    root.mkdir()
    (root / "virtual").write_text(VIRTUAL)
    server = Postfix(root, settings)
    asked = [*(f"{name}@{DOMAIN}" for name in "abcdefg"), "a@twin.test", "g@twin.test"]
    try:
        for name in asked:
            send(server.port, name)
        await until(lambda: (root / "log").read_text().count(": removed") >= len(asked))
        log = (root / "log").read_text()
    finally:
        server.stop()
    entries = read(tmp_path, "postfix-virtual", VIRTUAL)
    ours = lists(entries)
    twins = {each.name: each.target for each in entries if isinstance(each, DomainAliasEntry)}
    for name in asked:
        assert reached(log, name) == leads_to(ours, twins, name), name


def send(port: int, recipient: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail("", [recipient], f"Subject: {recipient}\r\n\r\n")


def reached(log: str, asked: str) -> set[str]:
    """Recipients of the message for `asked`, from lines "to=<x>, orig_to=<y>"."""
    found = re.findall(r"to=<([^>]*)>, (?:orig_to=<([^>]*)>, )?relay=", log)
    return {to.replace('"', "") for to, first in found if (first or to) == asked}


def leads_to(ours: dict[str, list[str]], twins: dict[str, str], name: str) -> set[str]:
    """Virtual(5): once more until nothing changes; a target that is its own source stays."""
    local, _, domain = name.partition("@")
    if domain in twins:
        return leads_to(ours, twins, f"{local}@{twins[domain]}")
    targets = ours.get(name) or ours.get(f"@{domain}")
    if targets is None:
        return {name}
    return {
        found
        for target in targets
        for found in ({target} if target == name else leads_to(ours, twins, target))
    }


@pytest.mark.parametrize("kind", ["pcre", "regexp", "mysql", "proxy:ldap", "cidr"])
def test_maps_that_are_no_text_are_refused(tmp_path: Path, kind: str) -> None:
    found = formats.find("postfix-virtual")
    options = found.options.model_validate(
        {"format": "postfix-virtual", "file": f"{kind}:/etc/postfix/virtual"}
    )
    with pytest.raises(
        InvalidInput, match="cannot be listed" if kind in ("pcre", "regexp") else "use format sql"
    ):
        list(found.read(options, tmp_path))


def test_a_pattern_in_a_text_map_is_refused(tmp_path: Path) -> None:
    entries = read(tmp_path, "postfix-virtual", f"/^info@.*$/ ada@{DOMAIN}\ninfo@{DOMAIN} ada@{DOMAIN}\n")
    assert lists(entries) == {f"info@{DOMAIN}": [f"ada@{DOMAIN}"]}
    assert "source:1: is a pattern" in remarks(entries)


def test_virtual_alias_domains_and_twins(tmp_path: Path) -> None:
    entries = read(
        tmp_path, "postfix-virtual", f"{DOMAIN} anything\n@twin.test @{DOMAIN}\nx@a.test @b.test\n"
    )
    assert [each.name for each in entries if isinstance(each, DomainEntry)] == [DOMAIN]
    [twin] = [each for each in entries if isinstance(each, DomainAliasEntry)]
    assert (twin.name, twin.target) == ("twin.test", DOMAIN)
    assert lists(entries) == {"x@a.test": ["x@b.test"]}


def test_lines_that_no_program_would_read(tmp_path: Path) -> None:
    text = (
        b"a@x.test \xff\n  b@x.test\nc@x.test d@x.test\n"
        + b"e" * (lines.MAX_LINE + 9)
        + b"\nf@x.test g@x.test\n"
    )
    text += b"h@x.test i@x.test\0\n   j@x.test\nk@x.test " + b" l@x.test\n" * (lines.MAX_LINE // 8 + 1)
    entries = read(tmp_path, "postfix-virtual", text)
    assert lists(entries) == {"c@x.test": ["d@x.test"], "f@x.test": ["g@x.test"]}
    said = remarks(entries)
    for words in ("1: is not UTF-8", "4: a line has at most", "6: has a NUL", "8: a line has"):
        assert f"source:{words}" in said
    assert len(said.splitlines()) == 4
