"""LIST (RFC 3501 6.3.8), LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154),
LIST-METADATA (RFC 9590), LIST-MYRIGHTS (RFC 8440)."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from mailplat.access.imap.command import Command
from mailplat.access.imap.counting import count
from mailplat.access.imap.listing import Entry, list_entries
from mailplat.access.imap.lookaround import look_around
from mailplat.access.imap.place import Place, readable
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.core.rights import shown
from mailplat.wire.imap import response
from mailplat.wire.imap.listing import ListProgram, parse_list
from mailplat.wire.imap.spelling import Spelling

_DONE = ok("LIST completed")


async def run(session: Session, request: Request) -> Tagged:
    program = parse_list(request.arguments)
    if program.asks_delimiter:
        session.out(response.delimiter_line("LIST", session.spelling))
        return _DONE
    if session.rev2:
        program = replace(program, extended=True)  # RFC 9051 6.3.9: \\NonExistent, never \\Noselect
    if "HIGHESTMODSEQ" in program.status:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    seen = await look_around(session, program)
    entries = list_entries(program, seen.mailboxes, seen.subscriptions)
    pairs = [(entry, seen.place(entry.name)) for entry in entries]
    # One hop to a thread for all in a row that are of one shard.
    for _, some in groupby(pairs, key=lambda pair: pair[1].residence.shard):
        group = list(some)
        session.out(await group[0][1].call(_lines, group, program, session.spelling))
    return _DONE


def _lines(pairs: Sequence[tuple[Entry, Place]], program: ListProgram, spelling: Spelling) -> bytes:
    lines: list[bytes] = []
    for entry, place in pairs:
        lines.append(
            response.list_line(entry.name, entry.attributes, spelling=spelling, child_info=entry.child_info)
        )
        if entry.mailbox is None:
            continue
        shard, residence = place.shard, place.residence
        if "MYRIGHTS" in program.returns:
            lines.append(
                response.myrights_line(entry.name, shown(place.rights), spelling=spelling)
            )  # RFC 8440 3
        if "r" not in place.rights:
            continue  # RFC 5819 2: no STATUS where it would be refused
        if program.status:
            numbers = count(shard, residence, entry.mailbox, program.status)
            lines.append(response.status_line(entry.name, numbers, spelling=spelling))
        if program.entries:
            # RFC 9590 3: behind the LIST line, NIL for what has no value.
            values = readable(place, shard.annotations(residence, entry.mailbox.id))
            found = {name: values.get(name) for name in program.entries}
            lines.append(response.metadata_line(entry.name, found, spelling=spelling))
    return b"".join(lines)


COMMANDS = (Command("LIST", run),)
