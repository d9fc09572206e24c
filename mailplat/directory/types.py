"""The values that cross the directory's door."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailplat.core.address import Address
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.quota import Quota
from mailplat.core.route import Route


@dataclass(frozen=True, slots=True)
class Domain:
    name: str  # A-labels, lower case
    quota: int = 0  # octets of all its accounts together, 0 for none
    app_passwords_only: bool = False  # mail programs do not get in with the account's own password
    scram: bool = False  # keys for SCRAM are made of its accounts' passwords


@dataclass(frozen=True, slots=True)
class Account:
    id: int
    address: Address
    password_hash: str = field(repr=False)  # "{SCHEME}...", "" when only the backend knows the password
    quota: int  # octets, 0 for none
    active: bool
    pool: int = 0  # the domain's quota
    app_passwords_only: bool = False  # the domain's, as the next
    scram: bool = False
    # How its IMAP clients spell mailbox names: what separates levels, "/" or ".", and what new ones begin with, in
    # our spelling, such as "INBOX/" (RFC 2342 5). Of an account that moved here: as they knew it.
    separator: str = "/"
    prefix: str = ""

    @property
    def allowance(self) -> Quota:
        return Quota(self.quota, self.address.domain, self.pool)


@dataclass(frozen=True, slots=True)
class Alias:
    source: str  # an address, or "@domain" for the catch-all
    targets: Sequence[Address]


@dataclass(frozen=True, slots=True)
class Backend:
    """Another platform that accounts may live on. Endpoints are "host:port" or ""; TLS is "none", "starttls" or
    "implicit"; `relay` is "smtp:host:port" or "lmtp:host:port"; `maildir` says where its mail lies as files."""

    name: str
    imap: str = ""
    imap_tls: str = "starttls"
    pop3: str = ""
    pop3_tls: str = "starttls"
    relay: str = ""
    master_user: str = ""
    master_password: str = field(default="", repr=False)
    master_style: str = "login"  # "login": LOGIN user*master; "plain": AUTHENTICATE PLAIN with authzid
    maildir: str = ""  # as migration/sources/maildir/location.py reads it; "": its mail is read over IMAP
    managesieve: str = ""  # where its Sieve scripts are read
    managesieve_tls: str = "starttls"
    imap_compress: bool = False  # COMPRESS=DEFLATE (RFC 4978), where it offers that
    limits: SourceLimits = field(default_factory=SourceLimits)  # the platform's settings, not kept with it


@dataclass(frozen=True, slots=True)
class Target:
    """An account that mail for a recipient goes to."""

    address: Address
    account_id: int
    quota: Quota
    route: Route


@dataclass(frozen=True, slots=True)
class Resolution:
    """No targets and a known domain: 550 5.1.1. No known domain: relaying is not allowed."""

    targets: tuple[Target, ...]
    known_domain: bool


@dataclass(frozen=True, slots=True)
class Login:
    account: Account
    route: Route
