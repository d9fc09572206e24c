"""Replies: octets ready to send. Lines are complete, with CRLF; codes and values are pieces without.

What goes into a reply's text or code must be printable ASCII: `tagged` and `untagged_status` see to it, so that
no text can end a line early.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Literal

from mailplat.wire.imap import mutf7
from mailplat.wire.imap.sequence import Range, in_order, render
from mailplat.wire.imap.spelling import PLAIN, Spelling
from mailplat.wire.imap.strings import astring, literal, nstring, string

Status = Literal["OK", "NO", "BAD", "BYE", "PREAUTH"]

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal()
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

CONTINUE = b"+ OK\r\n"


def tagged(tag: str, status: Status, text: str, code: str | bytes = "") -> bytes:
    """The reply that ends a command; `code` without its brackets ("READ-ONLY", b"APPENDUID 1 2")."""
    return b"%b %b" % (tag.encode("ascii"), _status(status, text, code))


def untagged_status(status: Status, text: str, code: str | bytes = "") -> bytes:
    return b"* " + _status(status, text, code)


def untagged(content: bytes) -> bytes:
    """`content` is what stands behind the star: b"12 EXISTS"."""
    return b"* %b\r\n" % content


def continuation(text: bytes = b"") -> bytes:
    """The server's part of a SASL exchange, in base64; empty: `+ ` (RFC 9051 6.2.2)."""
    return b"+ %b\r\n" % text


def _status(status: str, text: str, code: str | bytes) -> bytes:
    if isinstance(code, str):
        code = code.encode("ascii")
    shown = _UNPRINTABLE.sub("?", text).encode("ascii")
    return b"%b %b%b\r\n" % (status.encode("ascii"), b"[%b] " % code if code else b"", shown or b"done")


# Values.


def mailbox(name: str, spelling: Spelling = PLAIN) -> bytes:
    """A mailbox name as a reply has it: as its account spells it, in modified UTF-7, or in UTF-8 for a client that
    enabled it."""
    name = spelling.written(name)
    if not spelling.utf8:
        return _mailbox(name)
    if name.isascii():
        return astring(name.encode("ascii"))
    return b'"%b"' % name.encode("utf-8").replace(b"\\", b"\\\\").replace(b'"', b'\\"')


@lru_cache(maxsize=4096)
def _mailbox(name: str) -> bytes:
    return astring(mutf7.encode(name))


def flag_list(flags: Iterable[str]) -> bytes:
    """Flags in parentheses. They were checked on their way in: a flag is an atom."""
    return b"(%b)" % " ".join(flags).encode("ascii")


def internal_date(seconds: float, zone: int = 0) -> bytes:
    """INTERNALDATE in quotes: Unix seconds, shown in a zone so many minutes east of Greenwich. A moment that no
    four-digit year can hold is shown as the nearest that can."""
    day, second = divmod(int(seconds) + zone * 60, 86_400)
    day_text, zone_text = _day(min(max(day + _EPOCH, 1), _LAST_DAY)), _zone(zone)
    minute, second = divmod(second, 60)
    return b'"%b %02d:%02d:%02d %b"' % (day_text, minute // 60, minute % 60, second, zone_text)


def object_id(value: str) -> bytes:
    """MAILBOXID, EMAILID or THREADID (RFC 8474 7): a word of letters, digits, _ and -."""
    return b"(%b)" % value.encode("ascii")


@lru_cache(maxsize=4096)
def _day(ordinal: int) -> bytes:
    day = date.fromordinal(ordinal)
    return b"%2d-%b-%04d" % (day.day, _MONTHS[day.month - 1].encode("ascii"), day.year)


@lru_cache(maxsize=256)
def _zone(minutes: int) -> bytes:
    hours, rest = divmod(abs(minutes), 60)
    return b"%b%02d%02d" % (b"-" if minutes < 0 else b"+", hours, rest)


# FETCH.


def fetch_line(number: int, items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """`* 12 FETCH (UID 7 FLAGS (\\Seen))` from labels and values that are ready to send."""
    return b"* %d FETCH (%b)\r\n" % (number, b" ".join([label + b" " + value for label, value in items]))


def flags_lines(
    numbers: Sequence[int],
    flag_sets: Sequence[int],
    flags: Sequence[Collection[str]],
    uids: Sequence[int] | None = None,
    modseqs: Sequence[int] | None = None,
) -> bytes:
    """FETCH lines of FLAGS, and of UID and MODSEQ where they are given, for many messages at once: for message
    i its sequence number, the index of its flag set in `flags`, its UID and mod-sequence. Each flag set is
    rendered once, however many messages have it."""
    rendered = [b"FLAGS " + flag_list(each) for each in flags]
    if uids is None and modseqs is None:
        endings = [b"%b)\r\n" % each for each in rendered]
        return b"".join(
            [b"* %d FETCH (%b" % (n, endings[f]) for n, f in zip(numbers, flag_sets, strict=True)]
        )
    if modseqs is None:
        assert uids is not None
        endings = [b" %b)\r\n" % each for each in rendered]
        rows = zip(numbers, uids, flag_sets, strict=True)
        return b"".join([b"* %d FETCH (UID %d%b" % (n, u, endings[f]) for n, u, f in rows])
    if uids is None:
        rows = zip(numbers, flag_sets, modseqs, strict=True)
        return b"".join([b"* %d FETCH (%b MODSEQ (%d))\r\n" % (n, rendered[f], m) for n, f, m in rows])
    full = zip(numbers, uids, flag_sets, modseqs, strict=True)
    return b"".join(
        [b"* %d FETCH (UID %d %b MODSEQ (%d))\r\n" % (n, u, rendered[f], m) for n, u, f, m in full]
    )


# Other untagged replies.

# Ranges in one VANISHED line: clients read a line into a buffer of some KiB.
VANISHED_RANGES = 400


def vanished_lines(ranges: Sequence[Range], *, earlier: bool = False) -> bytes:
    """RFC 7162 3.2.10: UIDs that are gone, as ranges; nothing where there are none. `earlier`: they went before this
    connection knew the mailbox, and no sequence number changes."""
    head = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    starts = range(0, len(ranges), VANISHED_RANGES)
    return b"".join(
        [b"%b%b\r\n" % (head, render(ranges[start : start + VANISHED_RANGES])) for start in starts]
    )


def list_line(
    name: str,
    attributes: Iterable[str],
    *,
    command: Literal["LIST", "LSUB"] = "LIST",
    spelling: Spelling = PLAIN,
    child_info: Iterable[str] = (),
    old_name: str = "",
) -> bytes:
    """`* LIST (\\HasNoChildren) "/" INBOX`; `child_info`: the selection options that a child met
    (RFC 5258 4, CHILDINFO); `old_name`: what it was called before (RFC 9051 6.3.9.7, OLDNAME)."""
    shown = b" ".join(attribute.encode("ascii") for attribute in attributes)
    met = b" ".join(string(option.encode("ascii")) for option in child_info)
    items = [b'"CHILDINFO" (%b)' % met] if met else []
    if old_name:
        items.append(b'"OLDNAME" (%b)' % mailbox(old_name, spelling))
    extended = b" (%b)" % b" ".join(items) if items else b""
    quoted = string(spelling.separator.encode("ascii"))
    return b"* %b (%b) %b %b%b\r\n" % (
        command.encode("ascii"),
        shown,
        quoted,
        mailbox(name, spelling),
        extended,
    )


def namespaces(prefix: str, spelling: Spelling) -> bytes:
    """One of its kind (RFC 2342 5); `prefix` is ASCII."""
    written = spelling.written(prefix).encode("ascii")
    return b"((%b %b))" % (string(written), string(spelling.separator.encode("ascii")))


def delimiter_line(command: Literal["LIST", "LSUB"], spelling: Spelling = PLAIN) -> bytes:
    """The answer to LIST "" "" (RFC 3501 6.3.8)."""
    separator = string(spelling.separator.encode("ascii"))
    return b'* %b (\\Noselect) %b ""\r\n' % (command.encode("ascii"), separator)


def status_line(name: str, values: Mapping[str, int | str], *, spelling: Spelling = PLAIN) -> bytes:
    """Numbers, and as text what stands in parentheses (RFC 8474 4.3)."""
    shown = b" ".join(
        b"%b %b" % (item.encode("ascii"), b"%d" % value if isinstance(value, int) else object_id(value))
        for item, value in values.items()
    )
    return b"* STATUS %b (%b)\r\n" % (mailbox(name, spelling), shown)


def acl_line(name: str, entries: Mapping[str, str], *, spelling: Spelling = PLAIN) -> bytes:
    """RFC 4314 3.6; rights by identifier."""
    shown = b"".join(
        b" %b %b" % (identifier_text(each), astring(rights.encode("ascii")))
        for each, rights in entries.items()
    )
    return b"* ACL %b%b\r\n" % (mailbox(name, spelling), shown)


def listrights_line(
    name: str, identifier: str, always: str, optional: Iterable[str], *, spelling: Spelling = PLAIN
) -> bytes:
    """RFC 4314 3.7; `always`: what cannot be taken."""
    rights = b"".join(b" " + astring(each.encode("ascii")) for each in (always, *optional))
    return b"* LISTRIGHTS %b %b%b\r\n" % (mailbox(name, spelling), identifier_text(identifier), rights)


def myrights_line(name: str, rights: str, *, spelling: Spelling = PLAIN) -> bytes:
    """RFC 4314 3.8."""
    return b"* MYRIGHTS %b %b\r\n" % (mailbox(name, spelling), astring(rights.encode("ascii")))


def identifier_text(identifier: str) -> bytes:
    """RFC 4314 3: UTF-8. An address beyond ASCII goes as literal: no quoted string may hold it for all clients."""
    octets = identifier.encode("utf-8")
    return astring(octets) if octets.isascii() else literal(octets)


def search_line(numbers: Iterable[int], modseq: int | None = None) -> bytes:
    """SEARCH; `modseq`: the highest among those found, where a MODSEQ key was used and anything was found
    (RFC 7162 3.1.5)."""
    found = b"".join([b" %d" % number for number in numbers])
    return b"* SEARCH%b%b\r\n" % (found, b" (MODSEQ %d)" % modseq if modseq is not None and found else b"")


def metadata_line(name: str, values: Mapping[str, bytes | None], *, spelling: Spelling = PLAIN) -> bytes:
    """RFC 5464 4.4.1. A value with NUL goes as literal8."""
    shown = b" ".join(
        astring(entry.encode("ascii"))
        + b" "
        + (b"~" + literal(value) if value and b"\0" in value else nstring(value))
        for entry, value in values.items()
    )
    return b"* METADATA %b (%b)\r\n" % (mailbox(name, spelling) if name else b'""', shown)


def metadata_names_line(name: str, entries: Iterable[str], *, spelling: Spelling = PLAIN) -> bytes:
    """RFC 5464 4.4.2: entries that have changed, without their values."""
    shown = b" ".join(astring(entry.encode("ascii")) for entry in entries)
    return b"* METADATA %b %b\r\n" % (mailbox(name, spelling) if name else b'""', shown)


def quota_line(root: str, storage: tuple[int, int]) -> bytes:
    """RFC 9208 4.2.1; `storage`: octets there are, octets there may be. On the wire they are units of 1024 octets
    (5.1): what is there is rounded up and what may be down, so that full never looks like room."""
    used, limit = storage
    return b"* QUOTA %b (STORAGE %d %d)\r\n" % (string(root.encode("ascii")), -(-used // 1024), limit // 1024)


def quotaroot_line(name: str, roots: Iterable[str], *, spelling: Spelling = PLAIN) -> bytes:
    """RFC 9208 4.2.2."""
    shown = b"".join(b" " + string(root.encode("ascii")) for root in roots)
    return b"* QUOTAROOT %b%b\r\n" % (mailbox(name, spelling), shown)


# Response codes (without brackets).


def appenduid(uidvalidity: int, uids: Sequence[int]) -> bytes:
    """RFC 4315 3; more than one UID after MULTIAPPEND."""
    return b"APPENDUID %d %b" % (uidvalidity, in_order(uids))


def copyuid(uidvalidity: int, sources: Sequence[int], targets: Sequence[int]) -> bytes:
    """RFC 4315 3: the n-th source became the n-th target."""
    return b"COPYUID %d %b %b" % (uidvalidity, in_order(sources), in_order(targets))


def modified(numbers: Sequence[int]) -> bytes:
    """RFC 7162 3.1.3: the messages that UNCHANGEDSINCE left alone."""
    return b"MODIFIED " + in_order(numbers)


def highest_modseq(modseq: int) -> bytes:
    """RFC 7162 3.2.7."""
    return b"HIGHESTMODSEQ %d" % modseq


def permanent_flags(flags: Iterable[str]) -> bytes:
    """RFC 3501 7.1; "\\*": new keywords may be made."""
    return b"PERMANENTFLAGS " + flag_list((*flags, "\\*"))
