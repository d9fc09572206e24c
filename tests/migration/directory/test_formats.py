"""The registry of formats."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput, Unavailable
from migration.directory import formats
from migration.directory.entries import AccountEntry, AliasEntry, Entry, Remark
from tests.migration.directory.reading import DOMAIN, read, remarks


def test_every_format_is_described() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/migration.md").read_text()
    for name in formats.names():
        assert f"`{name}`" in page, name


SPOILERS = [b'"', b"\\", b"@", b":", b",", b"\n", b" ", b"\0", b"\xff", b"", b"{", b"\xc2\x85", b"\r"]

SAMPLES = {
    "aliases": ({"domain": "x.test"}, b'root: ada, "|/bin/x y", :include:/z\n  bob\n"a b": \\ada # c\n'),
    "courier-userdb": ({}, b"ada@x.test\timappw={MD5}hush|pop3pw=hush|quota=10S,2C\n"),
    "csv": (
        {},
        b'address,password,quota,active,aliases,forward\n"ada@x.test",{PLAIN}hush,1G,yes,b@x.test,@y.test\n',
    ),
    "dovecot-passwd-file": (
        {},
        b"ada@x.test:{PLAIN}hush:1:1:g:/h:s:userdb_quota_rule=*:storage=1G nologin\nbob@x.test:hush[34]\n",
    ),
    "postfix-domains": ({}, b"x.test OK\ny.test\n# z\n"),
    "postfix-mailboxes": ({}, b"ada@x.test x/ada/\n@x.test y\n"),
    "postfix-virtual": ({}, b'ada@x.test b@x.test, <c@x.test>\n  "d d"@x.test\n@x.test @y.test\nx.test z\n'),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_any_octets_are_read_or_refused(tmp_path: Path, name: str) -> None:
    """Each is an entry, a remark, or a refusal of the whole; no hash is in what is said of it."""
    options, sample = SAMPLES[name]
    found = formats.find(name)
    values = found.options.model_validate({"format": name, "file": "source", **options})
    choose = random.Random(7)
    assert list(found.read(values, _written(tmp_path, sample)))
    for _ in range(120):
        octets = bytearray(sample * choose.randrange(1, 3))
        for _ in range(choose.randrange(1, 6)):
            at = choose.randrange(len(octets))
            spoil = choose.choice(
                [b'"', b"\\", b"@", b":", b",", b"\n", b" ", b"\0", b"\xff", b"", b"{", b"\xc2\x85", b"\r"]
            )
            octets[at : at + choose.randrange(3)] = spoil
        for text, entry in _told(found, values, _written(tmp_path, bytes(octets))):
            assert "hush" not in text, octets
            if isinstance(entry, AliasEntry):
                assert entry.targets
                assert entry.source == entry.source.casefold()


def _told(found: formats.Format, values: object, folder: Path) -> Iterator[tuple[str, Entry | None]]:
    """Each entry, and what is said of it; last the refusal of the whole, where it is refused."""
    try:
        for each in found.read(values, folder):
            yield each.text if isinstance(each, Remark) else "", each
    except InvalidInput as refused:
        yield str(refused), None


def _written(folder: Path, octets: bytes) -> Path:
    (folder / "source").write_bytes(octets)
    return folder


def test_all_that_are_files_are_tried() -> None:
    assert set(SAMPLES) == set(formats.names()) - {"sql"}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, name: str) -> None:
    """An account of that name is another one, and looks the same; the one that is meant would be gone."""
    options, octets = SAMPLES[name]
    plain = read(tmp_path, name, octets, **options)
    assert plain
    assert read(tmp_path, name, b"\xef\xbb\xbf" + octets, **options) == plain


def test_a_header_in_quotes_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    assert len(read(tmp_path, "csv", f'\ufeff"address"\nada@{DOMAIN}\n')) == 1


@pytest.mark.parametrize("first", ["# a comment", f"ada@{DOMAIN}:x:::::"])
def test_lines_that_end_with_cr_alone_are_not_passed_over_in_silence(tmp_path: Path, first: str) -> None:
    found = read(tmp_path, "dovecot-passwd-file", f"{first}\rbob@{DOMAIN}:x:::::\r\n")
    assert remarks(found).endswith("source:1: has a CR that ends no line; write it anew with LF")


def test_a_file_that_is_written_meanwhile_is_not_believed(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"ada@{DOMAIN}:x\n")
    found = formats.find("dovecot-passwd-file")
    options = found.options.model_validate({"format": "dovecot-passwd-file", "file": "users"})
    entries = found.read(options, tmp_path)
    assert isinstance(next(entries), AccountEntry)
    with open(users, "a") as file:
        file.write(f"bob@{DOMAIN}:x\n")
    with pytest.raises(Unavailable, match="was written while it was read"):
        list(entries)
    assert len(list(found.read(options, tmp_path))) == 2
