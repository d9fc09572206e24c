"""Maildir as Courier keeps it (https://www.courier-mta.org/imap/, courier-libs maildir/ and imap/).

    courierimapuiddb        in each mailbox: "1 <uidvalidity> <uidnext>", then "<uid> <file without flags>"
    courierimapkeywords/    in each mailbox: ":list" has a keyword a line, an empty line, then "<file>:<number> ...";
                            "<file>" and ".<time>.<file>" hold all that a message has had since, a line each: the
                            one without time counts, else the latest
    courierimapsubscribed   in the root: names as clients see them, INBOX.Sent
    courierpop3dsizelist    in the root: "/3 <next> <uidvalidity>", then "<file> <size> <number>:<uidvalidity>:<utf8>"
                            (version 2 without the last), from which UIDLs are made: UID<number>-<uidvalidity>,
                            UID<number>, or the file's name where the number is 0
    courierimapacl          rights; not read

Clients see every mailbox below "INBOX.", and so do we.
"""

import os
import re
from collections.abc import Mapping, Sequence

from mailplat.core.limits.sources import SourceLimits
from migration.errors import Misbehaviour
from migration.sources.maildir import layout, uidlist
from migration.sources.maildir.layout import Flags
from migration.sources.maildir.listing import Folder, Listing
from migration.sources.maildir.location import Location
from migration.sources.maildir.octets import LineEnds
from migration.sources.maildir.tree import Mount
from migration.sources.maildir.uidlist import base
from migration.sources.names import decode_name

_UPDATE = re.compile(r"(?:\.(\d{1,12})\.)?(.+)", re.DOTALL)
_SIZES_HEADER = re.compile(rb"/([23]) (\d{1,20})(?: (\d{1,20}))?\s*")
_SIZES_LINE = re.compile(rb"(.+) \d{1,20} (\d{1,20}):(\d{1,20})(?::\d+)?", re.DOTALL)
# What pop3d writes +XX in a UIDL of a file's name.
_QUOTED = re.compile(rb"[^!-~]|['\"+]")


class Courier:
    """A Layout."""

    line_ends = LineEnds(every_lf=True)
    by_select = True

    def __init__(self, location: Location, account: str, limits: SourceLimits) -> None:
        self._mount = Mount.of(location.path, account, limits)
        self._root = location.path.path(account)
        self._latest = uidlist.Latest()

    def folders(self, prefix: Sequence[str]) -> list[Folder]:
        layout.check_root(self._mount, self._root / "cur")
        found = [self._folder("INBOX", "")]
        for levels, path in layout.dotted(self._mount, self._root):
            found.append(self._folder(layout.decode(levels, prefix), path))
        return found

    def _folder(self, name: str, relative: str) -> Folder:
        path = self._root / relative
        wire = relative.encode("utf-8", "surrogateescape") or b"INBOX"
        return Folder(name, wire, self._mount, path, self._mount, path)

    def subscriptions(self, prefix: Sequence[str]) -> frozenset[str]:
        octets = self._mount.octets(self._root, "courierimapsubscribed") or b""
        return frozenset(decode_name(line, b".") for line in octets.split(b"\n") if line)

    def uidlist(self, folder: Folder) -> uidlist.UidList | None:
        octets = folder.control_mount.octets(folder.control, "courierimapuiddb")
        return self._latest.parse(octets, f"{folder.control}/courierimapuiddb") if octets else None

    def flags(self, folder: Folder) -> Flags | None:
        keywords = self._keywords(folder)

        def flags(base: str, name: str) -> tuple[str, ...]:
            said = (layout.LETTERS[each] for each in layout.letters(name) if each in layout.LETTERS)
            return (*said, *keywords.get(base, ()))

        return flags

    def _keywords(self, folder: Folder) -> dict[str, tuple[str, ...]]:
        place = folder.path / "courierimapkeywords"
        if not folder.mount.is_folder(place):
            return {}
        # An update is folded into :list before it goes: names first, then :list, then the updates.
        latest: dict[str, tuple[float, str]] = {}
        for name in folder.mount.names(place):
            found = _UPDATE.fullmatch(name)
            if name.startswith((":", ".tmp.")) or found is None:
                continue
            when = float(found[1]) if found[1] else float("inf")
            if name.startswith(".") and not found[1]:
                continue
            latest[found[2]] = max(latest.get(found[2], (0.0, "")), (when, name))
        known = parse_keywords(folder.mount.octets(place, ":list") or b"")
        for message, (_, name) in latest.items():
            octets = folder.mount.octets(place, name)
            if octets is not None:
                lines = octets.split(b"\n\n")[0].split(b"\n")
                known[message] = tuple(line.decode("utf-8", "replace") for line in lines if line)
        return known

    def uidls(self, folder: Folder, listing: Listing, text: str) -> Mapping[int, str]:
        octets = self._mount.octets(self._root, "courierpop3dsizelist") or b""
        known = parse_sizes(octets, f"{self._root}/courierpop3dsizelist")
        uids = {each.base: uid for uid, each in listing.messages.items()}
        # pop3d shows them by the time in the name, then by the name.
        ordered = sorted((name for name in known if name in uids), key=_by_time)
        return {uids[name]: known[name] for name in ordered}


def _by_time(name: str) -> tuple[int, bytes]:
    digits = re.match(r"\d{1,18}", name)
    return (int(digits[0]) if digits else 0, os.fsencode(name))


def parse_keywords(octets: bytes) -> dict[str, tuple[str, ...]]:
    """:list, by file without flags. What cannot be read counts as not there, as for Courier."""
    head, _, rest = octets.partition(b"\n\n")
    names = [line.decode("utf-8", "replace") for line in head.split(b"\n") if line]
    found: dict[str, tuple[str, ...]] = {}
    for line in rest.split(b"\n"):
        file, colon, numbers = line.rpartition(b":")
        if colon:
            said = [int(each) for each in numbers.split() if each.isdigit() and len(each) < 8]
            found[os.fsdecode(file)] = tuple(names[each] for each in said if each < len(names))
    return found


def parse_sizes(octets: bytes, what: str) -> dict[str, str]:
    """courierpop3dsizelist: UIDLs, by file without flags. Raises Misbehaviour for a version before 2, which names no
    UIDLs: pop3d writes it anew at the next login."""
    if not octets:
        return {}
    header, *lines = octets.split(b"\n")
    if not _SIZES_HEADER.fullmatch(header):
        raise Misbehaviour(
            f"{what} begins with {header[:60]!r}: neither version 2 nor 3; one POP3 login renews it"
        )
    found: dict[str, str] = {}
    for line in lines:
        said = _SIZES_LINE.fullmatch(line)
        if said is None:
            continue
        name, number, uidvalidity = base(os.fsdecode(said[1])), int(said[2]), int(said[3])
        if number:
            found[name] = f"UID{number}-{uidvalidity}" if uidvalidity else f"UID{number}"
        else:
            found[name] = _QUOTED.sub(lambda each: b"+%02X" % each[0][0], os.fsencode(name)).decode("ascii")
    return found
