"""Columns of a table or a query, and what a row of them comes to. There are four kinds of tables; KINDS says which
columns may be left out.

    accounts       address: the account's
                   password: its hash, with the scheme's tag or in the source's scheme; empty: not known
                   quota: octets, or 10G; 0 or -1: none
                   active: yes or no (true, 1; false, 0), whether it takes mail
                   aliases: more addresses of it
                   forward: where its mail goes; with its own address a copy stays
    aliases        source: an address, or @domain for the catch-all; targets: a list
    domains        domain; quota: that all its accounts share
    alias_domains  alias_domain: each of its addresses is that of target_domain
"""

from collections.abc import Mapping
from typing import Any

from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.directory import sizes
from migration.directory.addresses import address, aliases, split
from migration.directory.entries import AccountEntry, DomainAliasEntry, DomainEntry, Entries, Remark
from migration.directory.options import tagged

ACCOUNT = ("address", "password", "quota", "active", "aliases", "forward")

# By kind: columns that must be there, columns that may.
KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "domains": (("domain",), ("quota",)),
    "accounts": (("address",), ACCOUNT[1:]),
    "aliases": (("source", "targets"), ()),
    "alias_domains": (("alias_domain", "target_domain"), ()),
}

_YES = frozenset({"yes", "y", "true", "t", "1"})
_NO = frozenset({"no", "n", "false", "f", "0"})


def text(value: Any) -> str:
    return _raw(value).strip()


def _raw(value: Any) -> str:
    """A password of {PLAIN} may end with a space. Raises InvalidInput."""
    if isinstance(value, bytes | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise InvalidInput("a column is not UTF-8") from None
    return "" if value is None else str(value)


def flag(value: Any) -> bool | None:
    """Raises InvalidInput."""
    word = text(value).lower()
    if word and word not in _YES | _NO:
        raise InvalidInput("active is yes or no")
    return word in _YES if word else None


def entries(kind: str, row: Mapping[str, Any], place: str, scheme: str) -> Entries:
    """`row` has the columns that `kind` must have; `scheme` is that of hashes without a tag."""
    if kind == "accounts":
        yield from _account(row, place, scheme)
        return
    try:
        if kind == "domains":
            yield DomainEntry(domain_key(text(row["domain"])), place, sizes.cell(row.get("quota")))
        elif kind == "aliases":
            yield from aliases(text(row["source"]), split(text(row["targets"])), place)
        else:
            name, target = (domain_key(text(row[column])) for column in KINDS[kind][0])
            yield DomainAliasEntry(name, target, place)
    except InvalidInput as error:
        yield Remark(place, str(error))


def _account(row: Mapping[str, Any], place: str, scheme: str) -> Entries:
    """What cannot be read of a row is left out, with a remark that has nothing of the row in it but its address."""
    try:
        who = address(text(row.get("address")))
    except InvalidInput:
        yield Remark(place, "column address has no address")
        return
    stored: str | None = None
    quota: int | None = None
    active: bool | None = None
    try:
        if password := _raw(row.get("password")):
            stored = tagged(password, scheme)
    except InvalidInput as error:
        yield Remark(
            place, f"{who}: {error}; taken without it, its owner's next login through mailplat brings one"
        )
    try:
        quota = sizes.cell(row.get("quota"))
        active = flag(row.get("active"))
    except InvalidInput as error:
        yield Remark(place, f"{who}: {error}; taken without it")
    yield AccountEntry(who, place, stored, quota, active)
    try:
        others, forward = split(text(row.get("aliases"))), split(text(row.get("forward")))
    except InvalidInput as error:
        yield Remark(place, f"{who}: {error}; taken without aliases and forward")
        return
    for each in others:
        yield from aliases(each, [_written(row)], place)
    if forward:
        yield from aliases(_written(row), forward, place)


def _written(row: Mapping[str, Any]) -> str:
    return text(row["address"])
