"""Dovecot's passwd-file: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields`, as Dovecot 2.3 and 2.4 read it.

Of the extra fields quotas are taken (`userdb_quota_rule=*:storage=1G`, `userdb_quota_storage_size=1G`), and `nologin`
says that an account is taken over without its password. Where mail lies (`home`, `userdb_mail`) says the backend.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mailplat.core.errors import InvalidInput
from migration.directory import sizes
from migration.directory.addresses import address
from migration.directory.entries import AccountEntry, Entries, Remark
from migration.directory.lines import physical
from migration.directory.options import FileOptions, domain_option, tagged

# libpam-pwdfile's "hash[13]": which scheme the number means.
_NUMBERED = re.compile(r"(?P<hash>[^{$].*)\[(?P<number>..)\]", re.DOTALL)
_NUMBERS = {"34": "PLAIN-MD5", "56": "DIGEST-MD5"}
_RULE = re.compile(r"userdb_quota_rule\d*")


class Options(FileOptions):
    scheme: str = "CRYPT"  # of hashes without a tag, as `args = scheme=` or `default_password_scheme` says
    domain: str = ""  # of users without one


def read(options: Options, folder: Path) -> Entries:
    domain = domain_option(options.domain)
    for line in physical(options.path(folder)):
        if isinstance(line, Remark):
            yield line
        elif line.text and not line.text.startswith((":", "#")):
            yield from _entries(line.text, line.place, options.scheme, domain)


def _entries(text: str, place: str, scheme: str, domain: str) -> Entries:
    user, *rest = text.split(":")
    if not rest:
        yield Remark(place, "has no colon: Dovecot passes it over, and so does this")
        return
    password, *rest = rest
    try:
        who = address(user, domain)
    except InvalidInput:  # whose text could show a hash that is in the wrong field
        yield Remark(
            place, "the name before the first colon is no address; without a domain it needs option domain"
        )
        return
    extra = ":".join(rest[5:])
    if extra.startswith(":"):  # the form before 1.0: an empty field, then the place of the mail
        extra = f"userdb_mail={extra[1:]}"
    fields = dict(_fields(extra))
    stored: str | None
    try:
        stored = _hash(password, scheme)
    except InvalidInput as error:
        yield Remark(
            place, f"{who}: {error}; taken without it, its owner's next login through mailplat brings one"
        )
        stored = None
    if "nopassword" in fields:
        yield Remark(
            place, f"{who}: nopassword lets anybody in; taken without a password, nobody gets in here"
        )
        stored = ""
    if "nologin" in fields:
        stored = ""
    if "allow_nets" in fields:
        yield Remark(
            place,
            f"{who}: allow_nets is not taken over; from elsewhere there is no login with app passwords only",
        )
    quota: int | None = None
    for name, value in fields.items():
        try:
            if _RULE.fullmatch(name):
                rule = sizes.dovecot_rule(value)
                quota = quota if rule is None else rule
            elif name == "userdb_quota_storage_size":
                quota = sizes.size(value)
        except InvalidInput as error:
            yield Remark(place, f"{who}: {error}; taken without it")
    yield AccountEntry(who, place, stored, quota)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for word in text.split(" "):
        name, _, value = word.partition("=")
        if name:
            yield name, value


def _hash(password: str, scheme: str) -> str:
    found = _NUMBERED.fullmatch(password)
    if found is None:
        return tagged(password, scheme)
    return tagged(found["hash"], _NUMBERS.get(found["number"], "CRYPT"))
