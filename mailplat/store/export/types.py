"""What goes into an export and what comes out of it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mailplat.core.address import Address


@dataclass(frozen=True, slots=True)
class Owner:
    """An account as the directory knows it; `address` None: it does not."""

    account_id: int
    address: Address | None = None
    password_hash: str = field(default="", repr=False)  # "{SCHEME}...", "" where none is known
    quota: int = 0  # octets, 0 for none
    active: bool = True
    remark: str = ""  # of the directory, such as: it lives elsewhere

    @property
    def name(self) -> str:
        return str(self.address) if self.address else f"account-{self.account_id}"


class Note(NamedTuple):
    """A remark: something that is not carried over as it was. Or a problem: something that should be there and is
    not. `kind` is one word of the format's or of files.py."""

    kind: str
    account: str
    mailbox: str  # "" for the whole account
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.account}{f' {self.mailbox}' if self.mailbox else ''}: {self.text}"


@dataclass(slots=True)
class ExportReport:
    accounts: int = 0
    mailboxes: int = 0
    messages: int = 0
    octets: int = 0
    linked: int = 0
    copied: int = 0
    gone: int = 0  # messages expunged, and accounts removed, while they were exported
    remarks: list[Note] = field(default_factory=list)
    problems: list[Note] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)  # settings without which the tree is not served as it was
    entries: list[dict[str, Any]] = field(default_factory=list)  # of the manifest, one an account
