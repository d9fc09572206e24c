"""Maildir as Dovecot keeps it. The way out writes the same files (mailplat/store/export/formats/dovecot).

dovecot-uidlist    in each mailbox, or below CONTROL=, where INBOX has a folder "INBOX" too (".INBOX" in Maildir++)
dovecot-keywords   beside it: "<number> <keyword>" for the letters a to z. A letter without a line is shown as
                   unknown-<number>. What does not fit there is in Dovecot's index only.
subscriptions      in the root, or in CONTROL=: version 1 a name a line, levels as on disk; version 2 "V<tab>2", an
                   empty line, levels separated by tabs
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mailplat.core.limits.sources import SourceLimits
from mailplat.store.maildir import LETTERS as KEYWORD_LETTERS
from mailplat.wire.imap import mutf7
from migration import uidl
from migration.errors import Misbehaviour
from migration.sources.maildir import layout, uidlist
from migration.sources.maildir.layout import Flags
from migration.sources.maildir.listing import Folder, Listing
from migration.sources.maildir.location import Location
from migration.sources.maildir.octets import LineEnds
from migration.sources.maildir.tree import Mount
from migration.sources.names import SLASH_STANDS_AS

# pop3_uidl_format, by default.
UIDL_FORMAT = "%08Xu%08Xv"
_ESCAPED = re.compile(rb"\\([0-9a-f]{2})")
_TABBED = {
    b"\x01" + code: octet for code, octet in ((b"1", b"\x01"), (b"t", b"\t"), (b"r", b"\r"), (b"n", b"\n"))
}
_TABS = re.compile(rb"\x01[1trn]")


class Dovecot:
    """A Layout."""

    line_ends = LineEnds(every_lf=False, nul_stands_as=b"\x80")
    by_select = False

    def __init__(self, location: Location, account: str, limits: SourceLimits) -> None:
        self._location = location
        self._mount = Mount.of(location.path, account, limits)
        self._root = location.path.path(account)
        self._latest = uidlist.Latest()
        inbox, control = location.inbox, location.control
        self._inbox = inbox.path(account) if inbox else self._root
        self._inbox_mount = Mount.of(inbox, account, limits) if inbox else self._mount
        self._control = control.path(account) if control else None
        self._control_mount = Mount.of(control, account, limits) if control else self._mount

    def folders(self, prefix: Sequence[str]) -> list[Folder]:
        layout.check_root(self._mount, self._root)
        layout.check_root(self._inbox_mount, self._inbox / "cur")
        if self._control is not None:
            layout.check_root(self._control_mount, self._control)
        by_folders = self._location.by_folders
        places = (layout.nested if by_folders else layout.dotted)(self._mount, self._root)
        found = [self._folder("INBOX", "INBOX" if by_folders else ".INBOX", self._inbox)]
        for levels, path in places:
            name = layout.decode([self._level(each) for each in levels], prefix)
            found.append(self._folder(name, path, self._root / path))
        return found

    def _folder(self, name: str, relative: str, path: Path) -> Folder:
        mount = self._inbox_mount if name == "INBOX" else self._mount
        control = path if self._control is None else self._control / relative
        control_mount = mount if self._control is None else self._control_mount
        wire = relative.encode("utf-8", "surrogateescape")
        return Folder(name, wire, mount, path, control_mount, control)

    def _level(self, octets: bytes) -> bytes:
        """In modified UTF-7, as clients see it."""
        if self._location.escaped:
            octets = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), octets)
            octets = octets.replace(b"/", mutf7.encode(SLASH_STANDS_AS))
        if self._location.utf8:
            try:
                return mutf7.encode(octets.decode())
            except UnicodeDecodeError:
                return octets
        return octets

    def subscriptions(self, prefix: Sequence[str]) -> frozenset[str]:
        control = self._control is not None
        folder = self._control if self._control is not None else self._root
        mount = self._control_mount if control else self._mount
        octets = mount.octets(folder, self._location.subscriptions) or b""
        separator = b"/" if self._location.by_folders else b"."
        lines = octets.split(b"\n")
        if lines[0].startswith(b"V\t"):
            if lines[0] != b"V\t2":
                raise Misbehaviour(f"{folder / self._location.subscriptions}: version {lines[0][2:]!r}")
            lines, separator = lines[2:], b"\t"
        found = set()
        for line in filter(None, lines):
            levels = line.split(separator)
            if separator == b"\t":
                levels = [_TABS.sub(lambda each: _TABBED[each[0]], level) for level in levels]
            inbox = len(levels) == 1 and levels[0].upper() == b"INBOX"
            found.add("INBOX" if inbox else layout.decode([self._level(each) for each in levels], prefix))
        return frozenset(found)

    def uidlist(self, folder: Folder) -> uidlist.UidList | None:
        octets = folder.control_mount.octets(folder.control, "dovecot-uidlist")
        return self._latest.parse(octets, f"{folder.control}/dovecot-uidlist") if octets else None

    def flags(self, folder: Folder) -> Flags | None:
        octets = folder.control_mount.octets(folder.control, "dovecot-keywords") or b""
        names = parse_keywords(octets)
        if len(names) >= KEYWORD_LETTERS:
            return None
        meaning = dict(layout.LETTERS)
        for number in range(KEYWORD_LETTERS):
            meaning[chr(ord("a") + number)] = names.get(number, f"unknown-{number}")
        known: dict[str, tuple[str, ...]] = {}

        def flags(base: str, name: str) -> tuple[str, ...]:
            said = layout.letters(name)
            if said not in known:
                known[said] = tuple(meaning[each] for each in said if each in meaning)
            return known[said]

        return flags

    def uidls(self, folder: Folder, listing: Listing, text: str) -> Mapping[int, str]:
        text = text or UIDL_FORMAT
        uidvalidity = listing.uidlist.uidvalidity if listing.uidlist else 0
        messages = [(uid, each.base, each.entry) for uid, each in listing.messages.items()]
        # Those with a place come first, in the order of their places.
        messages.sort(key=lambda each: (each[2].order == 0, each[2].order))
        return {
            uid: entry.uidl or (base if text == uidl.FILE_FORMAT else uidl.render(text, uid, uidvalidity))
            for uid, base, entry in messages
        }


def parse_keywords(octets: bytes) -> dict[int, str]:
    """By number. A line that cannot be read counts as none, as for Dovecot."""
    found: dict[int, str] = {}
    for line in octets.split(b"\n"):
        number, _, name = line.partition(b" ")
        if number.isdigit() and len(number) < 4 and name and int(number) < KEYWORD_LETTERS:
            found[int(number)] = name.decode("utf-8", "replace")
    return found
