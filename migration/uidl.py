"""POP3 UIDLs: what clients know their mail by. One that changes is downloaded again, by everybody, at once.

The source's UIDLs are read over POP3 and recognised as one of the known formats over UID and UIDVALIDITY; from then
on those of new messages are calculated. UIDLs of no known format are matched by size, and where messages of one size
stand beside each other in the list, by their headers and at last their octets: a UIDL given to another message is a
letter that its owner never gets. Where that does not tell them apart the move halts.

POP3's order is kept where it is not that of the UIDs (store/uidl.py), as with Courier, whose pop3d sorts by the names
of files: mail of one second comes in any order. Of mail on a mount the files say the UIDLs (`take_from_files`).
"""

import contextlib
import functools
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.directory import Backend
from mailplat.store.uidl import in_places
from migration.certificate.digests import sha256_of
from migration.errors import Halt
from migration.sources.contract import BATCH_MESSAGES, Listed, Source
from migration.sources.pop3 import read_digests, read_uidls

# Dovecot's default; mailplat and Cyrus; Courier; Dovecot's advice for those who came from UW-IMAP.
KNOWN_FORMATS = ("%08Xu%08Xv", "%v.%u", "UID%u-%v", "%08Xv%08Xu")
# Ours: kept as "nothing special", so that it takes no room in the index.
OWN_FORMAT = "%v.%u"
# The name of the message's file: where the files are read.
FILE_FORMAT = "%f"

# Messages of sizes that several have, whose headers are read to tell which is which. Of a mailbox of 100,000 letters
# a third; beyond that it takes longer than anybody's POP3 session.
MOST_ALIKE = 100_000

ADVICE = "look at the backend's UIDL format (migrate backend add --uidl-format)"

Entry = tuple[str, int]  # UIDL, size in octets, as POP3 lists them
Numbered = tuple[int, int]  # UID, size
Places = Mapping[str, tuple[int, float]]  # UID and place of what was copied, by UIDL

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
    entries: Sequence[Entry], uids: Sequence[Numbered], uidvalidity: int
) -> tuple[str, list[int]] | None:
    """The known format that explains every UIDL of `entries`, and the UIDs in POP3's order; None where none does.
    `entries` (UIDL, size) in POP3's order; `uids` (UID, size) ascending, listed before the entries: mail at their end
    may be newer."""
    for text in KNOWN_FORMATS:
        by_uidl = {render(text, uid, uidvalidity): uid for uid, _ in uids}
        found = [by_uidl.get(uidl) for uidl, _ in entries]
        known = [uid for uid in found if uid is not None]
        if known and None not in found[: len(known)]:
            return text, known
    return None


async def match(
    entries: Sequence[Entry],
    uids: Sequence[Numbered],
    known: Places,
    source: Source,
    backend: Backend,
    account: str,
) -> list[int] | None:
    """The UIDs of the examined INBOX in the order of `entries`; None where these are not the same messages. Raises
    Halt where nobody can say which is which."""
    there = {uid for uid, _ in uids}
    said = [known.get(uidl, (0, 0.0))[0] for uidl, _ in entries]
    taken = {uid for uid in said if uid in there}
    rest = [number for number, uid in enumerate(said, 1) if uid not in taken]
    found = await _match_rest(
        rest, entries, [pair for pair in uids if pair[0] not in taken], source, backend, account
    )
    if found is None:
        return None
    return [uid if uid in taken else found[number] for number, uid in enumerate(said, 1)]


async def _match_rest(
    numbers: Sequence[int],
    entries: Sequence[Entry],
    uids: Sequence[Numbered],
    source: Source,
    backend: Backend,
    account: str,
) -> dict[int, int] | None:
    """UIDs by number in the list."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for uid, size in uids:
        by_size[size].append(uid)
    sizes = {number: entries[number - 1][1] for number in numbers}
    if Counter(sizes.values()) != Counter(size for _, size in uids):
        return None
    alike = sorted(uid for group in by_size.values() if len(group) > 1 for uid in group)
    if len(alike) > MOST_ALIKE:
        raise Halt(f"{len(alike)} messages of INBOX have sizes that others have too, more than {MOST_ALIKE}")
    unclear = [number for number, size in sizes.items() if len(by_size[size]) > 1]
    theirs = await read_digests(backend, account, unclear)
    ours = await _digests(source, alike)
    waiting: dict[object, list[int]] = defaultdict(list)
    for uid, size in uids:
        waiting[(size, ours.get(uid))].append(uid)
    found: dict[int, int] = {}
    for number, size in sizes.items():
        group = waiting[(size, theirs.get(number))]
        if not group:
            raise Halt(f"message {number} over POP3 is none of those that IMAP shows; {ADVICE}")
        found[number] = group.pop(0)  # of messages that are the same to the last octet any will do
    return found


async def _digests(source: Source, uids: Sequence[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for at in range(0, len(uids), BATCH_MESSAGES):
        for each in await source.fetch(uids[at : at + BATCH_MESSAGES]):
            with contextlib.closing(each.body):
                found[each.uid] = sha256_of(each.body)
    return found


async def take_over(
    source: Source,
    backend: Backend,
    account: str,
    text: str,
    uidvalidity: int,
    new: Sequence[Listed],
    here: Callable[[], Awaitable[Places]],
) -> tuple[Mapping[int, str], str]:
    """The UIDLs of new messages of the examined INBOX, and the format they have. `text`: the format, where it is
    known; else it is found over POP3, where the backend has that. `here`: what was copied. Raises Halt,
    Unavailable."""
    if not text and backend.pop3:
        entries = await read_uidls(backend, account)
        known = recognise(entries, _numbered(new), uidvalidity)
        if known is None:
            before = _numbered(await source.scan(details=True))
            entries = await read_uidls(backend, account)
            after = _numbered(await source.scan(details=True))
            known = recognise(entries, after, uidvalidity)
            if known is None:
                kept = await here()
                uids = await _match(source, backend, account, entries, before, after, kept)
                return _in_places(zip(uids, entries, strict=False), kept), ""
        text, uids = known
        if uids != sorted(uids):  # what comes next may stand anywhere too: it is looked at each time
            return _in_places(zip(uids, entries, strict=False), await here()), ""
    if not text or text == OWN_FORMAT:
        return {}, text
    return {each.uid: render(text, each.uid, uidvalidity) for each in new}, text


async def _match(
    source: Source,
    backend: Backend,
    account: str,
    entries: Sequence[Entry],
    before: Sequence[Numbered],
    after: Sequence[Numbered],
    known: Places,
) -> list[int]:
    matched = await match(entries, after, known, source, backend, account)
    # A session of Courier's does not see what came since its SELECT.
    newer = not Counter(size for _, size in after) - Counter(size for _, size in entries)
    if matched is None and (newer or before != after):
        raise Unavailable("INBOX changed while its UIDLs were read; they are read again")
    if matched is None:
        raise Halt(
            f"POP3 lists {len(entries)} messages, IMAP {len(after)}, and neither a known format nor size and octets"
            f" say which is which; {ADVICE}"
        )
    return matched


def _numbered(listed: Sequence[Listed]) -> list[Numbered]:
    return [(each.uid, each.size or 0) for each in listed]


def _in_places(pairs: Iterable[tuple[int, Entry]], kept: Places) -> dict[int, str]:
    places = dict(kept.values())
    try:
        return in_places([(uid, uidl) for uid, (uidl, _) in pairs], places)
    except InvalidInput as error:
        raise Halt(f"POP3's order of INBOX cannot be kept: {error}") from error


async def take_from_files(
    said: Callable[[str], Awaitable[Mapping[int, str]]],
    backend: Backend,
    account: str,
    text: str,
    uidvalidity: int,
    new: Sequence[Listed],
    here: Callable[[], Awaitable[Places]],
) -> Mapping[int, str]:
    """The UIDLs of new messages of the examined INBOX, where they are not ours. `said`: what its files say, in POP3's
    order, with the format `text` where they say none. `here`: what was copied. Courier numbers its mail when somebody
    logs in to POP3: where clients do, we do for those that have no number yet. Raises Halt, Unavailable."""
    uidls = await said(text)
    if backend.pop3 and any(each.uid not in uidls for each in new):
        await read_uidls(backend, account)
        uidls = await said(text)
        if any(each.uid not in uidls for each in new):
            raise Unavailable("INBOX changed while its UIDLs were read; they are read again")
    pairs = [(uid, (name, 0)) for uid, name in uidls.items()]
    placed = _in_places(pairs, {} if list(uidls) == sorted(uidls) else await here())
    return all_but_ours(placed, uidvalidity, new)


def all_but_ours(uidls: Mapping[int, str], uidvalidity: int, new: Sequence[Listed]) -> Mapping[int, str]:
    """Of the new messages those UIDLs that have to be kept."""
    return {
        each.uid: uidls[each.uid]
        for each in new
        if uidls.get(each.uid, "") not in ("", render(OWN_FORMAT, each.uid, uidvalidity))
    }
