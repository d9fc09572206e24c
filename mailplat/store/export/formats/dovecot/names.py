r"""Names of ours as parts of paths, and as Dovecot keeps them.

Accounts: a local part of a-z 0-9 . _ + - that does not begin with one of . + - is its own folder; in any other one
all but a-z 0-9 _ is written =XX, so that no two meet and none leads out of the tree.

Mailboxes: levels in modified UTF-7 behind a dot each, ".Work.2026". In a level Dovecot's plugin listescape writes "."
as \2e, "\" as \5c, and "~" at its beginning as \7e. A name too long for a folder becomes mailplat-NUMBER.
"""

import re

from mailplat.core.address import Address
from mailplat.store.names import INBOX, SEPARATOR
from mailplat.wire.imap import mutf7

# Of every file system that Dovecot is run on, octets.
MAX_FILE_NAME = 255

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9._+-]*", re.ASCII)


def component(text: str) -> str:
    """One part of a path."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        chr(octet) if octet < 128 and re.fullmatch(r"[a-z0-9_]", chr(octet)) else f"={octet:02X}"
        for octet in text.encode()
    )


def account_path(address: Address | None, account_id: int) -> str:
    """Relative to the tree. By the name in lower case that Dovecot looks up."""
    if address is None:
        return f"account-{account_id}"
    local, _, domain = address.key.rpartition("@")
    return f"{component(domain)}/{component(local)}"


def levels(name: str) -> list[str]:
    return [_escape(mutf7.encode(level).decode("ascii")) for level in name.split(SEPARATOR)]


def mailbox_folder(name: str) -> str:
    """Relative to the account; "" for INBOX."""
    return "" if name == INBOX else "".join(f".{level}" for level in levels(name))


def substitute(number: int, taken: set[str]) -> str:
    """A short name for mailbox `number` that no other mailbox has."""
    name = f"mailplat-{number}"
    while mailbox_folder(name) in taken:
        name += "x"
    return name


def subscriptions_file(names: list[str]) -> bytes:
    """Version 2: levels separated by a tab."""
    return "".join(["V\t2\n\n", *("\t".join(levels(name)) + "\n" for name in names)]).encode("ascii")


def _escape(level: str) -> str:
    escaped = level.replace("\\", "\\5c").replace(".", "\\2e")
    return "\\7e" + escaped[1:] if escaped.startswith("~") else escaped
