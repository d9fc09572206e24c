"""Names of files: `<unique>,S=<size>[,C=<coding>][,Z=<zone>][,P=<uidl>][,D=<key>][,U=<uid>][,K=<keywords>]` and
`:2,<flags>`.

unique  time, process, counter and chance; never changes, so that a file is found whatever else its name says
S=      size in octets, as Dovecot and Courier write it; of the message, however its file is encoded
C=      how the file's octets are encoded (compressed, encrypted), left out where they are the message's own. Kept
        for later releases: this one writes none and knows none (CODINGS). A file with a C= that is not known cannot
        be read (opening.py) and is never swept, adopted, cut or given a name without it: after a downgrade it waits
        for the release that wrote it. verify names it, rebuild refuses to run.
Z=      minutes east of UTC of the INTERNALDATE, left out when 0 (the date itself is the file's mtime)
P=      POP3 UIDL that another platform gave, with ``%,/:`` as %XX
Q=      the same in base64 (RFC 4648 5) where P= would be too long for a file name
D=      dedupe key of the delivery, so that a queue which delivers again after the index was lost doubles nothing;
        not beside P= and Q=, which have its room: who gives UIDLs delivers nothing
U=      UID; from here on as the namer writes it
K=      keywords number 26 and up as a hexadecimal mask
flags   P is not used; D Draft, F Flagged, R Answered, S Seen, T Deleted, a to z keywords 0 to 25

A file in `new/` has no ":2,", one in `cur/` has it. Names of mailboxes are never part of a path.
"""

import base64
import hashlib
import itertools
import os
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from mailplat.store.flagsets import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, SYSTEM_BITS

FOLDERS = ("cur", "new", "tmp")
MARKER = "maildirfolder"  # Maildir++: this is a folder of the Maildir above
MAILBOX_FILE = "mailplat-mailbox.json"
ACCOUNT_FILE = "mailplat-account.json"

# Values of C= that this release can read.
CODINGS: frozenset[str] = frozenset()

LETTERS = 26
# Longest P= field; a name (at most 255 octets) must hold all the others too.
_LONGEST_UIDL = 110

# In the order in which Maildir wants them: ASCII.
_SYSTEM_LETTERS = (("D", DRAFT), ("F", FLAGGED), ("R", ANSWERED), ("S", SEEN), ("T", DELETED))
_LETTER_BITS = dict(_SYSTEM_LETTERS) | {chr(ord("a") + n): 1 << (SYSTEM_BITS + n) for n in range(LETTERS)}

# What new_unique makes.
_OURS = re.compile(r"[0-9]+\.M[0-9]{6}P[0-9]+R[0-9a-f]{12}Q[0-9]+", re.ASCII)

_counter = itertools.count()
_UIDL_QUOTED = {ord(char): f"%{ord(char):02X}" for char in "%,/: "}


def _new_process() -> str:
    return f"P{os.getpid()}R{secrets.token_hex(6)}"


_process = _new_process()


def _after_fork() -> None:
    global _process
    _process = _new_process()


os.register_at_fork(after_in_child=_after_fork)


def new_unique() -> str:
    """A name that no other file has or had: two processes differ in number or in chance, two calls of one
    process in the counter."""
    now = time.time_ns()
    return f"{now // 1_000_000_000}.M{now // 1000 % 1_000_000:06d}{_process}Q{next(_counter)}"


def dedupe_key(text: str) -> str:
    """What index and file names keep of a dedupe key of any length: 16 characters of base 32; "" for none. Of two
    keys of one mailbox and two weeks the chance to be taken for each other is 2**-80."""
    if not text:
        return ""
    return base64.b32encode(hashlib.blake2b(text.encode(), digest_size=10).digest()).decode().lower()


def keyed_name(name: str, key: str) -> str:
    """`name` with a dedupe key, as dedupe_key makes it, where there is one."""
    base, colon, information = name.partition(":")
    return f"{base},D={key}{colon}{information}" if key else name


def first_name(
    unique: str, size: int, zone: int = 0, uidl: str = "", *, key: str = "", coding: str = ""
) -> str:
    """The name at append, without UID and flags. `key` as dedupe_key makes it; `coding` is that of the file that gets
    the name."""
    parts = [unique, f"S={size}"]
    if coding:
        parts.append(f"C={coding}")
    if zone:
        parts.append(f"Z={zone}")
    if uidl:
        quoted = uidl.translate(_UIDL_QUOTED)
        if len(quoted) <= _LONGEST_UIDL:
            parts.append(f"P={quoted}")
        else:  # of 70 octets 94
            parts.append(f"Q={urlsafe_b64encode(uidl.encode()).rstrip(b'=').decode()}")
    if key and not uidl:
        parts.append(f"D={key}")
    return ",".join(parts)


def full_name(name: str, uid: int, mask: int) -> str:
    """The name that says all; `name` is any earlier name of the file."""
    base = name.partition(":")[0]
    kept = [
        part for number, part in enumerate(base.split(",")) if number == 0 or part[:2] not in ("U=", "K=")
    ]
    kept.append(f"U={uid}")
    beyond = mask >> (SYSTEM_BITS + LETTERS)
    if beyond:
        kept.append(f"K={beyond:x}")
    return f"{','.join(kept)}:2,{letters(mask)}"


def resize_name(name: str, size: int) -> str:
    """`name` with another S=: the file was cut, or written to by hand."""
    base, colon, information = name.partition(":")
    parts = [f"S={size}" if part.startswith("S=") else part for part in base.split(",")]
    return ",".join(parts) + colon + information


def letters(mask: int) -> str:
    text = "".join(letter for letter, bit in _SYSTEM_LETTERS if mask & bit)
    keywords = mask >> SYSTEM_BITS
    if keywords:
        text += "".join(chr(ord("a") + n) for n in range(LETTERS) if keywords >> n & 1)
    return text


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name says. `size` -1, `uid` 0: not said. `ours` is False for a name that another program
    gave."""

    unique: str
    size: int
    zone: int
    uidl: str
    key: str
    uid: int
    mask: int
    ours: bool
    coding: str = ""  # "": the octets of the file are the message

    @property
    def readable(self) -> bool:
        return not self.coding or self.coding in CODINGS


def parse_name(name: str) -> FileName:
    """Never raises: what cannot be read counts as not said."""
    base, _, information = name.partition(":")
    unique, *fields = base.split(",")
    said = {field[:2]: field[2:] for field in reversed(fields)}
    mask = 0
    if information.startswith("2,"):
        for letter in information[2:]:
            mask |= _LETTER_BITS.get(letter, 0)
    mask |= _number(said.get("K=", ""), 16) << (SYSTEM_BITS + LETTERS)
    zone = said.get("Z=", "")
    minutes = _number(zone.removeprefix("-"))
    uid = _number(said.get("U=", ""))
    size = said.get("S=", "")
    return FileName(
        unique=unique,
        size=_number(size) if size else -1,
        zone=-minutes if zone.startswith("-") else minutes,
        uidl=unquote(said.get("P=", "")) or _uidl(said.get("Q=", "")),
        key=said.get("D=", ""),
        uid=uid,
        mask=mask,
        ours=_is_ours(unique),
        coding=said.get("C=", ""),
    )


def _uidl(text: str) -> str:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError:
        return ""


def saved_at(unique: str) -> int:
    """When the file was made, by its name; 0 where the name does not say."""
    return _number(unique.partition(".")[0])


def _is_ours(unique: str) -> bool:
    """Other programs name files much the same, and a host name may be anything."""
    return _OURS.fullmatch(unique) is not None


def _number(text: str, base: int = 10) -> int:
    if not text.isascii() or not text.isalnum() or len(text) > 80:
        return 0
    try:
        return int(text, base)
    except ValueError:
        return 0


def folder_of(name: str) -> str:
    return "cur" if ":2," in name else "new"


def spread(account_id: int) -> str:
    """Two hexadecimal digits: 256 folders share the accounts of a shard."""
    return hashlib.blake2s(str(account_id).encode(), digest_size=1).hexdigest()


def account_path(account_id: int) -> Path:
    """Relative to the shard."""
    return Path("accounts") / spread(account_id) / str(account_id)


def mailbox_folder(mailbox_id: int, name: str) -> str:
    """Relative to the account: the Maildir's root for INBOX, else a Maildir++ folder named by number."""
    return "" if name == "INBOX" else f".m{mailbox_id}"


def find_file(folder: Path, unique: str) -> str | None:
    """The present name of the file with this unique part, looked for in cur/ and new/; of two the one that can be
    read. Reads the whole directory: for the rare moment between a rename and its row."""
    unreadable = None
    for place in ("cur", "new"):
        try:
            with os.scandir(folder / place) as entries:
                for entry in entries:
                    if entry.name.startswith(unique) and entry.name[len(unique) : len(unique) + 1] in ",:":
                        if parse_name(entry.name).readable:
                            return entry.name
                        unreadable = entry.name
        except FileNotFoundError:
            continue
    return unreadable
