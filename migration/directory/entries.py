"""What a source says, one value an entry, and what is said of entries that cannot be taken as they stand."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mailplat.core.address import Address


@dataclass(frozen=True, slots=True)
class DomainEntry:
    name: str  # as the source has it
    place: str
    quota: int | None = None  # octets of all its accounts; None: the source does not say


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """None is what the source does not say: another source may."""

    address: Address
    place: str
    password_hash: str | None = field(
        default=None, repr=False
    )  # with its scheme's tag; "": nobody logs in there
    quota: int | None = None  # octets, 0 for none
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class AliasEntry:
    source: str  # Address.key, or "@domain" for the catch-all
    targets: tuple[Address, ...]
    place: str


@dataclass(frozen=True, slots=True)
class DomainAliasEntry:
    """Each address of `target` is one of `name` too."""

    name: str
    target: str
    place: str


@dataclass(frozen=True, slots=True)
class Remark:
    """`text` says what is the matter and what to do, never a secret. `refused`: something was not taken."""

    place: str  # FILE:LINE, or the query and its row
    text: str
    refused: bool = True


Entry = DomainEntry | AccountEntry | AliasEntry | DomainAliasEntry | Remark
Entries = Iterator[Entry]
