"""Courier's userdb as text (makeuserdb(8)): a name, a tab, `field=value|field=value`.

Of the passwords the one for IMAP is taken, else that for POP3, else the system's: `imappw`, `pop3pw`, `systempw`.
"""

from pathlib import Path

from mailplat.core.errors import InvalidInput
from migration.directory import sizes
from migration.directory.addresses import address
from migration.directory.entries import AccountEntry, Entries, Remark
from migration.directory.lines import physical
from migration.directory.options import FileOptions, domain_option, tagged

_PASSWORDS = ("imappw", "pop3pw", "systempw")

# What Courier's authlib calls by a name that is another scheme's in Dovecot, whose tags are ours.
_COURIERS = {"{MD5}": "{LDAP-MD5}", "{MD5RAW}": "{PLAIN-MD5}"}


class Options(FileOptions):
    domain: str = ""  # of names without one


def read(options: Options, folder: Path) -> Entries:
    domain = domain_option(options.domain)
    for line in physical(options.path(folder)):
        if isinstance(line, Remark):
            yield line
        elif line.text.strip() and not line.text.startswith("#"):
            yield from _entries(line.text, line.place, domain)


def _entries(text: str, place: str, domain: str) -> Entries:
    name, tab, rest = text.partition("\t")
    try:
        who = address(name.strip(), domain)
    except InvalidInput:
        yield Remark(place, "the name before the tab is no address; without a domain it needs option domain")
        return
    fields = dict(field.partition("=")[::2] for field in rest.strip().split("|")) if tab else {}
    passwords = list(dict.fromkeys(fields[each] for each in _PASSWORDS if fields.get(each)))
    if len(passwords) > 1:
        yield Remark(place, f"{who} has several passwords there; the one for IMAP is taken", refused=False)
    stored: str | None = None
    quota: int | None = None
    try:
        if passwords:
            stored = tagged(_translated(passwords[0]), "CRYPT")
    except InvalidInput as error:
        yield Remark(
            place, f"{who}: {error}; taken without it, its owner's next login through mailplat brings one"
        )
    try:
        if fields.get("quota"):
            quota = sizes.maildir_quota(fields["quota"])
    except InvalidInput as error:
        yield Remark(place, f"{who}: {error}; taken without it")
    yield AccountEntry(who, place, stored, quota)


def _translated(stored: str) -> str:
    tag, closed, hashed = stored.partition("}")
    return _COURIERS.get(tag.upper() + closed, tag + closed) + hashed
