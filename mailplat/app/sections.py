"""The tables of mailplat.toml, one class each: a key is a field, what it says is checked here."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mailplat.app.spellings import Endpoint, MailAddress, Network, Percent, SharedPrefix, Words
from mailplat.core.executors import PATIENCE_S
from mailplat.core.limits import check
from mailplat.core.limits.brake import BrakeLimits
from mailplat.core.limits.census import CensusLimits
from mailplat.core.limits.imap import Bounds, ImapLimits
from mailplat.core.limits.pop3 import Pop3Limits
from mailplat.core.limits.rehearsal import RehearsalLimits
from mailplat.core.limits.sieve import SieveLimits
from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.limits.store import FulltextMode, StoreLimits
from mailplat.core.limits.usage import GateLimits
from mailplat.core.limits.workers import WorkerLimits
from mailplat.core.wording import SUBJECT, TEXT

# The other users' namespace of IMAP (RFC 2342), as Cyrus has it.
PREFIX = "user/"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlatformSection(Section):
    hostname: str = "localhost"  # what we call ourselves: greeting, Received, Message-ID
    data_dir: Path = Path("data")
    workers: int = Field(default=0, ge=0, le=256)  # 0: one per core
    drain_timeout: float = Field(default=30.0, gt=0)  # seconds that open work gets at shutdown


class ListenSection(Section):
    smtp: list[Endpoint] = []
    lmtp: list[Endpoint] = []
    imap: list[Endpoint] = []
    imaps: list[Endpoint] = []
    pop3: list[Endpoint] = []
    pop3s: list[Endpoint] = []
    http: list[Endpoint] = []
    # Doors that this release does not have yet: their ports are reserved, an address here is refused.
    submission: list[Endpoint] = []
    submissions: list[Endpoint] = []
    managesieve: list[Endpoint] = []


class CertificatePair(Section):
    certificate: Path  # PEM, with the chain
    key: Path


class TlsSection(Section):
    certificate: Path | None = None  # PEM, with the chain; for clients that ask for no name or an unknown one
    key: Path | None = None
    others: list[CertificatePair] = []  # for clients that ask for one of their names (SNI)

    @property
    def pairs(self) -> list[CertificatePair]:
        """All of them, the one for everybody first; empty without TLS."""
        if self.certificate is None or self.key is None:
            return []
        return [CertificatePair(certificate=self.certificate, key=self.key), *self.others]


class AuthSection(Section):
    plaintext_without_tls: bool = False
    master_user: str = ""  # may log in as anybody, as "user*master"; "" turns it off
    master_password: str = Field(default="", repr=False)
    # Hashes that came from another platform become argon2id at their owner's next login here
    rehash: bool = True
    # Failed logins a minute beyond which each further answer is delayed; a right password is never (throttle.py)
    address_failures: int = Field(default=20, ge=1)  # of one address
    network_failures: int = Field(default=100, ge=1)  # of one /24 of IPv4, /64 of IPv6
    # Connections of one such network that have not logged in, in one worker; more are refused
    unauthenticated_per_network: int = Field(default=200, ge=1)
    # Webmail, proxies: the three limits above are not theirs. Who comes from the machine itself is one of them.
    trusted_networks: list[Network] = ["127.0.0.0/8", "::1/128"]


class OauthSection(Section):
    introspection_url: str = ""  # RFC 7662; "": tokens are not taken
    client_id: str = ""
    client_secret: str = Field(default="", repr=False)
    scope: str = ""  # that a token must have; "": none is asked for
    audience: str = ""  # that a token must be for (aud, RFC 7662 2.2); "": none is asked for
    claim: str = "username"  # the member of the answer that has the address
    timeout: float = Field(default=5.0, gt=0)  # seconds that an answer may take, connecting included
    cache: float = Field(
        default=60.0, ge=0
    )  # seconds that a yes is good for; never beyond the token's own end
    ca: str = ""  # PEM file with the authorities of the URL's certificate; "": the system's


class DatabaseSection(Section):
    url: str = "sqlite:///data/mailplat.db"
    busy_timeout: float = Field(default=5.0, gt=0)  # seconds


class BusSection(Section):
    url: str = ""


class ShardSection(Section):
    path: Path
    weight: float = Field(default=1.0, gt=0)  # its share of new accounts, beside its free space
    placement: bool = True  # false: no new accounts


class StoreSection(Section):
    shards: dict[str, ShardSection] = {}
    patience: float = Field(
        default=PATIENCE_S, gt=0
    )  # seconds until a shard that does not answer is Unavailable
    # Expunged UIDs remembered of one mailbox, for clients that were away (RFC 7162)
    tombstones: int = Field(default=10_000, ge=1)
    limits: Annotated[StoreLimits, AfterValidator(check)] = StoreLimits()
    # Whose decoded text is kept for SEARCH: mailboxes that were searched once, all, or nobody's (docs/storage.md)
    fulltext: FulltextMode = "searched"


class VaultSection(Section):
    # That expunged mail can be brought back, 0.5 is twelve hours; 0: no vault
    days: float = Field(default=14, ge=0, le=36_500)
    # Octets of one account in the vault of a shard: the eldest go before their days are over; 0: no limit
    max_account_size: int = Field(default=0, ge=0)


class QuotaSection(Section):
    warn: list[Percent] = [80, 95]  # of a quota, at which its owner is told once; []: nobody is
    subject: Words = SUBJECT  # $address, $domain, $percent, $used, $quota are filled in
    text: Words = TEXT


class FilterSection(Section):
    """`stages` is the order; every stage may have a table of its own, checked by the stage."""

    model_config = ConfigDict(extra="allow", frozen=True)
    stages: list[str] = ["loops", "limits", "mailauth"]
    dns: str = ""
    refuse_score: float = Field(default=0.0, ge=0)  # points from which a message is refused; 0: none is


class SmtpSection(Section):
    max_message_size: int = Field(default=50_000_000, gt=0)  # octets, RFC 1870
    max_recipients: int = Field(default=1000, ge=100)  # a message; RFC 5321 4.5.3.1.8 asks for at least 100
    max_connections: int = Field(default=5000, gt=0)  # open at once, one worker
    postmaster: MailAddress = ""  # account or alias that has the mail for postmasters nobody else is
    trusted_networks: list[Network] = ["127.0.0.0/8", "::1/128"]  # only max_connections limits them
    proxy_networks: list[Network] = []  # proxies in front: each connection begins with a PROXY v2 header
    xclient_networks: list[Network] = []  # mail servers in front that may say XCLIENT
    limits: Annotated[SmtpLimits, AfterValidator(check)] = SmtpLimits()


class ImapSection(Section):
    """Tables of limits are the classes themselves: each field is a key, its comment the reason (docs/limits.md)."""

    max_message_size: int = Field(default=50_000_000, gt=0)  # octets, RFC 7889
    max_connections: int = Field(default=20_000, gt=0)  # open at once, one worker
    limits: Annotated[ImapLimits, AfterValidator(check)] = ImapLimits()
    commands: Annotated[Bounds, AfterValidator(check)] = Bounds()
    # Before the owner's address in names of shared mailboxes; "": no sharing
    shared_prefix: SharedPrefix = PREFIX
    share_across_domains: bool = False  # true: also between accounts of two domains
    shared_owners: int = Field(default=500, ge=1)  # whose shared mailboxes one LIST looks through


class Pop3Section(Section):
    max_connections: int = Field(default=5000, gt=0)
    limits: Annotated[Pop3Limits, AfterValidator(check)] = Pop3Limits()


class SieveSection(Section):
    limits: Annotated[SieveLimits, AfterValidator(check)] = SieveLimits()


class QueueSection(Section):
    path: Path | None = None  # spool of messages on their way; default: data_dir/queue


class RelaySection(Section):
    mx_port: int = Field(default=25, gt=0, le=65535)


class MigrationSection(Section):
    # Connections to one legacy platform at once, of all workers: what its own limits bear without being noticed
    connections: int = Field(default=4, ge=1)
    # Seconds in which it is to answer a small command while it is copied from; above it copying slows down. 0: never
    latency: float = Field(default=0.1, ge=0)
    # Accounts on their way from shard to shard at once: a disk reads for its users too
    transfers: int = Field(default=4, ge=1)
    # Seconds from one takeover of a legacy platform's directory to the next: how long a password that was changed
    # there is not known here. 0: only when it is asked for
    directory_every: float = Field(default=900.0, ge=0)
    # Where the engine keeps which worker has what to do; nothing in it would be missed. "": a schema of its own where
    # database.url is PostgreSQL, else a file in data_dir
    workflows: str = ""
    brake: Annotated[BrakeLimits, AfterValidator(check)] = BrakeLimits()
    gates: Annotated[GateLimits, AfterValidator(check)] = GateLimits()
    rehearsal: Annotated[RehearsalLimits, AfterValidator(check)] = RehearsalLimits()
    census: Annotated[CensusLimits, AfterValidator(check)] = CensusLimits()
    workers: Annotated[WorkerLimits, AfterValidator(check)] = WorkerLimits()
    sources: Annotated[SourceLimits, AfterValidator(check)] = SourceLimits()


class LogSection(Section):
    level: str = "info"
    format: str = "console"  # or "json"
