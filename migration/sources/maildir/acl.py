"""Rights in a Maildir: Dovecot's `dovecot-acl` in the folder of each mailbox (acl = vfile).

    IDENTIFIER [LETTERS] [:NAME NAME...]

    IDENTIFIER    owner, user=NAME, group=NAME, group-override=NAME, authenticated, anyone, anonymous; behind "-"
                  rights are taken away; in quotes where it has blanks
(https://doc.dovecot.org/2.3/settings/plugin/acl/, src/plugins/acl). Given as its IMAP server would show them. The
platform's own list (acl_globals) is not in the tree.
"""

import re

from migration.errors import Misbehaviour
from migration.sources.maildir.listing import Folder

FILE = "dovecot-acl"

_NAMES = {
    "lookup": "l",
    "read": "r",
    "write": "w",
    "write-seen": "s",
    "write-deleted": "t",
    "insert": "i",
    "post": "p",
    "expunge": "e",
    "create": "k",
    "delete": "x",
    "admin": "a",
}
_PREFIXES = (("user=", ""), ("group=", "$"), ("group-override=", "!$"))
_LINE = re.compile(
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^ "]\S*))(?: +(?P<letters>[^: ]*))?(?: *:(?P<names>.*))?'
)


def read(folder: Folder) -> list[tuple[str, str]]:
    """(identifier, letters) of a mailbox. Synchronous. Raises Unavailable, Misbehaviour."""
    octets = folder.mount.octets(folder.path, FILE)
    if octets is None:
        return []
    most = folder.mount.limits.rights
    if len(octets) > most:
        raise Misbehaviour(f"{folder.path}/{FILE} has more than {most} octets")
    return parse(octets, f"{folder.path}/{FILE}")


def parse(octets: bytes, what: str) -> list[tuple[str, str]]:
    """Raises Misbehaviour for a line that is none: what it would take away must not be passed over."""
    found = []
    for number, line in enumerate(octets.decode("utf-8", "backslashreplace").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise Misbehaviour(f"{what}, line {number}: unreadable")
        name = match["bare"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
        letters = (match["letters"] or "") + "".join(_letter(each) for each in (match["names"] or "").split())
        found.append((_identifier(name, f"{what}, line {number}"), letters))
    return found


def _letter(name: str) -> str:
    """A right that has no letter stands there as one that is none."""
    return _NAMES.get(name.lower(), "?")


def _identifier(text: str, what: str) -> str:
    sign = "-" if text.startswith("-") else ""
    name = text.removeprefix("-")
    if name in ("owner", "anyone", "anonymous", "authenticated"):
        return sign + name
    for prefix, shown in _PREFIXES:
        if name.startswith(prefix) and len(name) > len(prefix):
            return sign + shown + name[len(prefix) :]
    raise Misbehaviour(f"{what}: {text!r} is no identifier")
