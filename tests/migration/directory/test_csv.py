"""CSV files with a header."""

from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput
from migration.directory.entries import AccountEntry, DomainAliasEntry, DomainEntry
from tests.migration.directory.reading import DOMAIN, lists, read, remarks


def test_csv(tmp_path: Path) -> None:
    text = (
        "\ufeffQuota,address,password,active,aliases,forward\r\n"
        f'10G,ada@{DOMAIN},{{PLAIN}}x,yes,"a@{DOMAIN} b@{DOMAIN}","ada@{DOMAIN}, bob@{DOMAIN}"\r\n'
        f"0,bob@{DOMAIN},,no,,\r\n"
        "\r\n"
        f"lots,carl@{DOMAIN},{{NOPE}}hush,perhaps,,\r\n"
        "1,{PLAIN}hush,,,,\r\n"
        f"1,dan@{DOMAIN}\r\n"
    )
    entries = read(tmp_path, "csv", text)
    people = {str(each.address): each for each in entries if isinstance(each, AccountEntry)}
    ada, bob = people[f"ada@{DOMAIN}"], people[f"bob@{DOMAIN}"]
    assert (ada.password_hash, ada.quota, ada.active) == ("{PLAIN}x", 10 << 30, True)
    assert (bob.password_hash, bob.quota, bob.active) == (None, 0, False)
    assert lists(entries) == {
        f"a@{DOMAIN}": [f"ada@{DOMAIN}"],
        f"b@{DOMAIN}": [f"ada@{DOMAIN}"],
        f"ada@{DOMAIN}": [f"ada@{DOMAIN}", f"bob@{DOMAIN}"],
    }
    said = remarks(entries)
    for words in ("source:5: carl", "source:6: column address", "source:7: has 2 columns, the header 6"):
        assert words in said
    assert "hush" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("address,adress\n", "'adress' is no column of accounts; known: address, password"),
        ("quota\n", "the header needs address or alias_domain and target_domain or source and"),
        ("source,targets,quota\n", "'quota' is no column of aliases"),
        ("address,address\n", "there twice"),
        (f'address\n"a@{DOMAIN}\n', "source:2: unexpected end of data"),
        (b"address\n\xff\n", "source:2: is not UTF-8"),
    ],
)
def test_csv_that_cannot_be_read(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(tmp_path, "csv", text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("stored", "scheme", "taken"),
    [
        ("$6$x$y", "CRYPT", "{CRYPT}$6$x$y"),
        ("!$6$x$y", "CRYPT", ""),
        ("{SHA512-CRYPT}*", "CRYPT", ""),
        ("!secret ", "PLAIN", "{PLAIN}!secret "),
        ("{SSHA}", "CRYPT", ""),
        ("{ssha}x", "CRYPT", "{ssha}x"),
        ("", "CRYPT", None),
    ],
)
def test_what_a_hash_is_taken_for(tmp_path: Path, stored: str, scheme: str, taken: str | None) -> None:
    entries = read(tmp_path, "csv", f"password,address\n{stored},ada@{DOMAIN}\n", scheme=scheme)
    assert [each.password_hash for each in entries if isinstance(each, AccountEntry)] == [taken]


def test_a_hash_that_is_too_long_or_no_text(tmp_path: Path) -> None:
    text = f"password,address\n{{PLAIN}}{'x' * 512},ada@{DOMAIN}\n{{PLAIN}}\x07,bob@{DOMAIN}\n"
    entries = read(tmp_path, "csv", text)
    assert [each.password_hash for each in entries if isinstance(each, AccountEntry)] == [None, None]
    assert "at most 512 characters" in remarks(entries)
    assert "is printable text" in remarks(entries)


def test_tables_of_the_other_kinds(tmp_path: Path) -> None:
    """As `mysql -B` prints a query: tabs, a header."""
    aliases = f"source\ttargets\nsales@{DOMAIN}\tada@{DOMAIN},bob@{DOMAIN}\n@{DOMAIN}\tada@{DOMAIN}\nx\ty@{DOMAIN}\n"
    entries = read(tmp_path, "csv", aliases, delimiter="\t")
    assert lists(entries) == {
        f"sales@{DOMAIN}": [f"ada@{DOMAIN}", f"bob@{DOMAIN}"],
        f"@{DOMAIN}": [f"ada@{DOMAIN}"],
    }
    assert "source:4: alias 'x'" in remarks(entries)
    text = f"address\tpassword\tquota\tactive\nada@{DOMAIN}\tNULL\tNULL\t1\n"
    [ada] = read(tmp_path, "csv", text, delimiter="\t", null="NULL")
    assert isinstance(ada, AccountEntry)
    assert (ada.password_hash, ada.quota, ada.active) == (None, None, True)
    [domain, _] = read(tmp_path, "csv", "quota,domain\n2G,Moving.Test\n1,not a domain\n")
    assert isinstance(domain, DomainEntry)
    assert (domain.name, domain.quota) == (DOMAIN, 2 << 30)
    [twin] = read(tmp_path, "csv", f"alias_domain,target_domain\ntwin.test,{DOMAIN}\n")
    assert isinstance(twin, DomainAliasEntry)
    assert (twin.name, twin.target) == ("twin.test", DOMAIN)


@pytest.mark.parametrize(
    ("quota", "octets"),
    [
        ("10G", 10 << 30),
        ("1024", 1024),
        ("-1", 0),
        ("0", 0),
        ("²", None),
        ("9" * 5000, None),
        ("9999999999T", None),
    ],
)
def test_quotas_of_a_table(tmp_path: Path, quota: str, octets: int | None) -> None:
    entries = read(tmp_path, "csv", f"address,quota\nada@{DOMAIN},{quota}\n")
    assert [each.quota for each in entries if isinstance(each, AccountEntry)] == [octets]
    assert bool(remarks(entries)) == (octets is None)
