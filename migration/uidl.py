"""POP3 UIDLs: what clients know their mail by. One that changes is downloaded again, by everybody, at once.

The source's UIDLs are read over POP3 and recognised as one of the known formats over UID and UIDVALIDITY; from then
on those of new messages are calculated. UIDLs of no known format are matched by order and size. Where neither
fits, or the order is not that of the UIDs (ours always is), the move halts.

Of mail on a mount the files say the UIDLs (`take_from_files`).
"""

import functools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from mailplat.core.errors import Unavailable
from mailplat.directory import Backend
from migration.errors import Halt
from migration.sources.contract import Listed, Source
from migration.sources.pop3 import read_uidls

# Dovecot's default; mailplat and Cyrus; Courier; Dovecot's advice for those who came from UW-IMAP.
KNOWN_FORMATS = ("%08Xu%08Xv", "%v.%u", "UID%u-%v", "%08Xv%08Xu")
# Ours: kept as "nothing special", so that it takes no room in the index.
OWN_FORMAT = "%v.%u"
# The name of the message's file: where the files are read.
FILE_FORMAT = "%f"

OTHER_ORDER = "POP3 lists the mail of INBOX in another order than its UIDs; clients would notice"

_FIELD = re.compile(r"%(0?)(\d*)([Xx]?)([uv])")


@functools.lru_cache(maxsize=64)
def _pieces(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    at = 0
    for field in _FIELD.finditer(text):
        found.append((text[at : field.start()], field[4]))
        found.append((field[1] + field[2] + ("x" if field[3] else "d"), ""))
        at = field.end()
    return (*found, (text[at:], ""))


def check_format(text: str) -> str:
    """Raises ValueError for a format without %u, or with something else than %u and %v (as in Dovecot's
    pop3_uidl_format, with 0, a width and X for hexadecimal), but for %f alone."""
    if text == FILE_FORMAT:
        return text
    rest = _FIELD.sub("", text)
    if "%" in rest or not any(field[4] == "u" for field in _FIELD.finditer(text)):
        raise ValueError(f"{text!r}: a UIDL format has %u and may have %v, such as %08Xu%08Xv")
    return text


def render(text: str, uid: int, uidvalidity: int) -> str:
    values = {"u": uid, "v": uidvalidity}
    done = ""
    pieces = _pieces(text)
    for (before, name), (spec, _) in zip(pieces[:-1:2], pieces[1:-1:2], strict=True):
        done += before + format(values[name], spec)
    return done + pieces[-1][0]


def recognise(
    entries: Sequence[tuple[str, int]], uids: Sequence[tuple[int, int]], uidvalidity: int
) -> str | None:
    """The known format that explains every UIDL of `entries` (UIDL, size in POP3's order), None when none does.
    `uids`: (UID, size), ascending, listed before the entries: mail at their end may be newer."""
    for text in KNOWN_FORMATS:
        places = {render(text, uid, uidvalidity): place for place, (uid, _) in enumerate(uids)}
        found = [places.get(uidl, len(places)) for uidl, _ in entries]
        known = [place for place in found if place < len(places)]
        if known and max(found[: len(known)]) < len(places):
            if found != sorted(found):
                raise Halt(OTHER_ORDER)
            return text
    return None


def match(entries: Sequence[tuple[str, int]], uids: Sequence[tuple[int, int]]) -> Mapping[int, str] | None:
    """UID -> UIDL by order and size; None when the two lists are not the same messages."""
    if [size for _, size in entries] != [size for _, size in uids]:
        return None
    return {uid: uidl for (uidl, _), (uid, _) in zip(entries, uids, strict=True)}


async def take_over(
    source: Source, backend: Backend, account: str, text: str, uidvalidity: int, new: Sequence[Listed]
) -> tuple[Mapping[int, str], str]:
    """The UIDLs of new messages of the examined INBOX, and the format they have. `text`: the format, where it is
    known; else it is found over POP3, where the backend has that. Raises Halt, Unavailable."""
    if not text and backend.pop3:
        entries = await read_uidls(backend, account)
        text = recognise(entries, [(each.uid, each.size or 0) for each in new], uidvalidity) or ""
        if not text:
            before = [(each.uid, each.size or 0) for each in await source.scan(details=True)]
            entries = await read_uidls(backend, account)
            after = [(each.uid, each.size or 0) for each in await source.scan(details=True)]
            text = recognise(entries, after, uidvalidity) or ""
            matched = {} if text else match(entries, after)
            newer = [size for _, size in after] == [size for _, size in entries[: len(after)]]
            if matched is None and (newer or before != after):
                raise Unavailable("INBOX changed while its UIDLs were read; they are read again")
            if matched is None:
                raise Halt(
                    f"POP3 lists {len(entries)} messages, IMAP {len(after)}, and neither a known format nor order and"
                    " size say which is which; look at the backend's UIDL format (migrate backend add --uidl-format)"
                )
            if not text:
                return matched, ""
    if not text or text == OWN_FORMAT:
        return {}, text
    return {each.uid: render(text, each.uid, uidvalidity) for each in new}, text


async def take_from_files(
    said: Callable[[str], Awaitable[Mapping[int, str]]],
    backend: Backend,
    account: str,
    text: str,
    uidvalidity: int,
    new: Sequence[Listed],
) -> Mapping[int, str]:
    """The UIDLs of new messages of the examined INBOX, where they are not ours. `said`: what its files say, with the
    format `text` where they say none. Courier numbers its mail when somebody logs in to POP3: where clients do, we do
    for those that have no number yet. Raises Halt, Unavailable."""
    uidls = await said(text)
    if backend.pop3 and any(each.uid not in uidls for each in new):
        await read_uidls(backend, account)
        uidls = await said(text)
        if any(each.uid not in uidls for each in new):
            raise Unavailable("INBOX changed while its UIDLs were read; they are read again")
    if list(uidls) != sorted(uidls):
        raise Halt(OTHER_ORDER)
    return all_but_ours(uidls, uidvalidity, new)


def all_but_ours(uidls: Mapping[int, str], uidvalidity: int, new: Sequence[Listed]) -> Mapping[int, str]:
    """Of the new messages those UIDLs that have to be kept."""
    return {
        each.uid: uidls[each.uid]
        for each in new
        if uidls.get(each.uid, "") not in ("", render(OWN_FORMAT, each.uid, uidvalidity))
    }
