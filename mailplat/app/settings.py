"""mailplat.toml as typed values. Unknown keys are errors that name the nearest known key.

Each key can also be set by an environment variable MAILPLAT_<SECTION>__<KEY>, which wins over the file; lists are
written as JSON. Relative paths are relative to the folder of the configuration file.
"""

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, PrivateAttr, ValidationError

from mailplat.app.keys import unknown_keys
from mailplat.app.sections import (
    AuthSection,
    BusSection,
    CertificatePair,
    DatabaseSection,
    FilterSection,
    ImapSection,
    ListenSection,
    LogSection,
    MigrationSection,
    OauthSection,
    PlatformSection,
    Pop3Section,
    QueueSection,
    QuotaSection,
    RelaySection,
    Section,
    SieveSection,
    SmtpSection,
    StoreSection,
    TlsSection,
    VaultSection,
)
from mailplat.core.errors import InvalidInput
from mailplat.core.limits import check, elsewhere
from mailplat.core.limits.imap import ImapLimits
from mailplat.core.limits.pop3 import Pop3Limits
from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.limits.store import StoreLimits
from mailplat.core.limits.usage import UsageLimits

ENVIRONMENT_PREFIX = "MAILPLAT_"
# Variables of our own that are no settings.
RESERVED = frozenset({"MAILPLAT_CONFIG", "MAILPLAT_SHARED", "MAILPLAT_DIE_AT", "MAILPLAT_TEST_PG_URL"})

# What a process of `mailplat serve` can be told to do.
ROLES = ("ingress", "access", "queue", "admin", "migration")

PLACES = ("./mailplat.toml", "/etc/mailplat/mailplat.toml")


class Settings(Section):
    platform: PlatformSection = PlatformSection()
    listen: ListenSection = ListenSection()
    tls: TlsSection = TlsSection()
    auth: AuthSection = AuthSection()
    oauth: OauthSection = OauthSection()
    database: DatabaseSection = DatabaseSection()
    bus: BusSection = BusSection()
    store: StoreSection = StoreSection()
    vault: VaultSection = VaultSection()
    quota: QuotaSection = QuotaSection()
    filter: FilterSection = FilterSection()
    smtp: SmtpSection = SmtpSection()
    imap: ImapSection = ImapSection()
    pop3: Pop3Section = Pop3Section()
    sieve: SieveSection = SieveSection()
    queue: QueueSection = QueueSection()
    relay: RelaySection = RelaySection()
    usage: Annotated[UsageLimits, AfterValidator(check)] = UsageLimits()
    migration: MigrationSection = MigrationSection()
    log: LogSection = LogSection()
    _file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """What was loaded; None where it was made otherwise."""
        return self._file

    def without_secrets(self) -> dict[str, Any]:
        """Every value, ready for JSON; passwords inside URLs are starred."""
        content = self.model_dump(mode="json")
        if content["auth"]["master_password"]:
            content["auth"]["master_password"] = "***"
        if content["oauth"]["client_secret"]:
            content["oauth"]["client_secret"] = "***"
        for section in ("database", "bus"):
            url = content[section]["url"]
            content[section]["url"] = re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", url)
        for name, section in ((name, getattr(self, name)) for name in ("imap", "pop3", "smtp", "store")):
            for key in elsewhere(section.limits):
                del content[name]["limits"][key]
        return content

    @property
    def smtp_limits(self) -> SmtpLimits:
        return dataclasses.replace(
            self.smtp.limits,
            message_size=self.smtp.max_message_size,
            recipients=self.smtp.max_recipients,
            connections=self.smtp.max_connections,
        )

    @property
    def imap_limits(self) -> ImapLimits:
        """What all keys together say."""
        return dataclasses.replace(
            self.imap.limits,
            message_size=self.imap.max_message_size,
            connections=self.imap.max_connections,
            bounds=self.imap.commands,
        )

    @property
    def pop3_limits(self) -> Pop3Limits:
        return dataclasses.replace(self.pop3.limits, connections=self.pop3.max_connections)

    @property
    def store_limits(self) -> StoreLimits:
        return dataclasses.replace(
            self.store.limits,
            vault_days=self.vault.days,
            vault_octets=self.vault.max_account_size,
            tombstones=self.store.tombstones,
            fulltext=self.store.fulltext,
            quota_warn=tuple(self.quota.warn),
        )


def find(explicit: str | None) -> Path:
    """The configuration file: --config, $MAILPLAT_CONFIG, ./mailplat.toml, /etc/mailplat/mailplat.toml.
    Raises InvalidInput when none is there."""
    named = explicit or os.environ.get("MAILPLAT_CONFIG")
    if named:
        path = Path(named)
        if not path.is_file():
            raise InvalidInput(f"no configuration file at {path}; make one: mailplat init DIR")
        return path
    for place in PLACES:
        if Path(place).is_file():
            return Path(place)
    raise InvalidInput(
        f"no configuration file at {' or '.join(PLACES)}; name one with --config, or: mailplat init DIR"
    )


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read, overlay the environment, check, and make paths absolute. Raises InvalidInput with one line that
    names the key, what is wrong and the nearest known key."""
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: {error}") from error
    for section, key, value in _from_environment(os.environ if environment is None else environment):
        table = content.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = value
    unknown = next(unknown_keys(Settings, content, ()), None)
    if unknown:
        raise InvalidInput(f"{path}: {unknown}")
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error
    settings = _resolved(settings, path.resolve().parent)
    settings._file = path.resolve()
    return settings


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    for name, text in sorted(environment.items()):
        section, separator, key = name.removeprefix(ENVIRONMENT_PREFIX).partition("__")
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED or not separator:
            continue
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        yield section.lower(), key.lower(), value


def _resolved(settings: Settings, base: Path) -> Settings:
    data_dir = base / settings.platform.data_dir
    shards = {
        name: shard.model_copy(update={"path": base / shard.path})
        for name, shard in settings.store.shards.items()
    }
    queue = base / settings.queue.path if settings.queue.path else data_dir / "queue"
    tls: dict[str, Any] = {
        name: base / value
        for name, value in (("certificate", settings.tls.certificate), ("key", settings.tls.key))
        if value
    }
    tls["others"] = [
        CertificatePair(certificate=base / pair.certificate, key=base / pair.key)
        for pair in settings.tls.others
    ]
    ca = settings.oauth.ca and str(base / settings.oauth.ca)
    return settings.model_copy(
        update={
            "platform": settings.platform.model_copy(update={"data_dir": data_dir}),
            "store": settings.store.model_copy(update={"shards": shards}),
            "queue": settings.queue.model_copy(update={"path": queue}),
            "tls": settings.tls.model_copy(update=tls),
            "oauth": settings.oauth.model_copy(update={"ca": ca}),
            "database": settings.database.model_copy(
                update={"url": _absolute_url(settings.database.url, base)}
            ),
            "migration": settings.migration.model_copy(
                update={"workflows": _absolute_url(settings.migration.workflows, base)}
            ),
            "filter": settings.filter.model_copy(update={"dns": _absolute_zone(settings.filter.dns, base)}),
        }
    )


def _absolute_url(url: str, base: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        return prefix + str(base / url.removeprefix(prefix))
    return url


def _absolute_zone(spec: str, base: Path) -> str:
    return f"zone:{base / spec.removeprefix('zone:')}" if spec.startswith("zone:") else spec
