"""Where an account's Maildir lies: what Dovecot calls mail_location.

    [maildir:]/mnt/mail/%d/%n/Maildir[:KEY[=VALUE]]...     Dovecot
    courier:/mnt/mail/%d/%n/Maildir[:TZ=ZONE]              Courier

    %u address, %n local part, %d domain, in lower case (as Dovecot's auth_username_format has them by default);
    %1n its first character, %1.2n two after the first, %% a percent sign

    LAYOUT=fs      mailboxes are folders in folders; else Maildir++
    CONTROL=PATH   where dovecot-uidlist, dovecot-keywords and subscriptions lie, if not with the mail
    INBOX=PATH     where INBOX lies, if not in the root
    SUBSCRIPTIONS=NAME, UTF-8 as in Dovecot;  INDEX= and the like: not read
    PREFIX=TEXT    prefix of the namespace, such as INBOX.; default: what the server's NAMESPACE says
    LISTESCAPE     the plugin of that name is on
    HOME=PATH      home folder of the user: scripts in HOME/sieve (or SIEVE=PATH), the active one's link
                   HOME/.dovecot.sieve, whom a vacation has answered in HOME/.dovecot.lda-dupes
    TZ=ZONE        time zone in which the server shows INTERNALDATE, such as Europe/Berlin; default UTC

(https://doc.dovecot.org/2.3/configuration_manual/mail_location/). The mount is what stands before the first component
with a variable: no account leads out of it.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mailplat.core.errors import InvalidInput
from migration.errors import Halt

MAX_LENGTH = 1000  # of the column

_VARIABLE = re.compile(r"%(?:(?:(\d{1,3})\.)?(\d{1,3}))?L?([und%])")
# Settings of what is not read, or of what changes nothing for a reader.
_WITHOUT_MEANING = frozenset({"INDEX", "INDEXCACHE", "VOLATILEDIR", "NO-NOSELECT", "NO-FS-VALIDATION"})


@dataclass(frozen=True, slots=True)
class Template:
    text: str

    @property
    def mount(self) -> Path:
        """What all accounts have in common."""
        fixed = self.text[: self.text.index("%")]
        return Path(fixed.rpartition("/")[0] or "/")

    def own(self, account: str) -> Path:
        """The folder that is the account's alone: up to the last component with its local part. Raises Halt."""
        parts = self.text.split("/")
        last = max(at for at, part in enumerate(parts) if any(m[3] in "un" for m in _VARIABLE.finditer(part)))
        return Path(*self.path(account).parts[: last + 1])

    def path(self, account: str) -> Path:
        """Raises Halt for an address that would lead out of its folder."""
        local, _, domain = account.lower().rpartition("@")
        values = {"u": account.lower(), "n": local, "d": domain, "%": "%"}

        def replace(found: re.Match[str]) -> str:
            text = values[found[3]]
            skip, width = int(found[1] or 0), int(found[2] or len(text))
            return text[skip : skip + width]

        text = "/".join(_component(_VARIABLE.sub(replace, part), account) for part in self.text.split("/"))
        return Path(text)


def _component(text: str, account: str) -> str:
    if text in (".", "..") or "/" in text or "\0" in text:
        raise Halt(f"{account}: an address that would be {text!r} in a path; move it over IMAP")
    return text


@dataclass(frozen=True, slots=True)
class Location:
    kind: str  # "dovecot" or "courier"
    path: Template
    control: Template | None = None
    inbox: Template | None = None
    by_folders: bool = False  # LAYOUT=fs
    utf8: bool = False
    subscriptions: str = "subscriptions"
    prefix: str | None = None
    escaped: bool = False
    home: Template | None = None
    sieve: Template | None = None
    zone: tzinfo = field(default=UTC)

    def minutes(self, seconds: int) -> int:
        """East of UTC, at that time."""
        offset = datetime.fromtimestamp(seconds, self.zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds()) // 60


def parse(text: str) -> Location:
    """Raises InvalidInput saying what is wrong with it."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"a location of {len(text)} characters; {MAX_LENGTH} at most")
    kind, colon, rest = text.partition(":")
    if not colon or kind not in ("maildir", "courier"):
        kind, rest = "maildir", text
    path, *words = rest.split(":")
    settings: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        settings[key] = value
    location = _location(kind, _template(path), settings)
    if settings:
        raise InvalidInput(
            f"{text!r}: {', '.join(settings)} is not known, or changes what files mean; see docs"
        )
    return location


def _location(kind: str, path: Template, settings: dict[str, str]) -> Location:
    """Takes what it knows out of `settings`."""
    zone = _zone(settings.pop("TZ", ""))
    if kind == "courier":
        return Location("courier", path, prefix="INBOX.", zone=zone)
    for name in _WITHOUT_MEANING:
        settings.pop(name, None)
    layout = settings.pop("LAYOUT", "Maildir++")
    if layout.lower() not in ("maildir++", "fs"):
        raise InvalidInput(f"LAYOUT={layout}: Maildir++ and fs can be read")
    subscriptions = settings.pop("SUBSCRIPTIONS", "subscriptions")
    if not subscriptions or "/" in subscriptions or "\0" in subscriptions:
        raise InvalidInput(f"SUBSCRIPTIONS={subscriptions}: not the name of a file")
    return Location(
        "dovecot",
        path,
        control=_optional(settings.pop("CONTROL", "")),
        inbox=_optional(settings.pop("INBOX", "")),
        by_folders=layout.lower() == "fs",
        utf8=settings.pop("UTF-8", None) is not None,
        subscriptions=subscriptions,
        prefix=settings.pop("PREFIX", None),
        escaped=settings.pop("LISTESCAPE", None) is not None,
        home=_optional(settings.pop("HOME", "")),
        sieve=_optional(settings.pop("SIEVE", "")),
        zone=zone,
    )


def _optional(text: str) -> Template | None:
    return _template(text) if text else None


def _template(text: str) -> Template:
    if not text.startswith("/"):
        raise InvalidInput(f"{text!r} is no absolute path; write ~ and %h out")
    parts = text.split("/")[1:]
    if any(part in ("", ".", "..") for part in parts) or "\0" in text:
        raise InvalidInput(f"{text!r}: a path without empty parts, . and ..")
    if "%" in _VARIABLE.sub("", text):
        raise InvalidInput(f"{text!r}: the variables are %u, %n and %d (and %1n, %1.2n, %%)")
    if not any(found[3] in "un" for found in _VARIABLE.finditer(text)):
        raise InvalidInput(f"{text!r}: neither %u nor %n; all accounts would have one folder")
    template = Template(text)
    if template.mount == Path("/"):
        raise InvalidInput(f"{text!r}: a folder that all accounts are in must come first, such as /mnt/mail")
    return template


def _zone(name: str) -> tzinfo:
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(f"TZ={name}: no such time zone here") from error
