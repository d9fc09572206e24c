"""LIST (RFC 3501 6.3.8), LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154),
LIST-METADATA (RFC 9590)."""

from dataclasses import replace

from mailplat.access.imap.command import Command
from mailplat.access.imap.counting import count
from mailplat.access.imap.listing import list_entries
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.wire.imap import response
from mailplat.wire.imap.listing import ListProgram, parse_list

_DONE = ok("LIST completed")


async def run(session: Session, request: Request) -> Tagged:
    program = parse_list(request.arguments)
    if program.asks_delimiter:
        session.out(b'* LIST (\\Noselect) "/" ""\r\n')
        return _DONE
    if session.rev2:
        program = replace(program, extended=True)  # RFC 9051 6.3.9: \\NonExistent, never \\Noselect
    if "HIGHESTMODSEQ" in program.status:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    session.out(await session.call(_lines, session.shard, session.residence, program, session.utf8))
    return _DONE


def _lines(shard: Shard, residence: Residence, program: ListProgram, utf8: bool) -> bytes:
    lines: list[bytes] = []
    subscriptions = frozenset(shard.subscriptions(residence))
    for entry in list_entries(program, shard.mailboxes(residence), subscriptions):
        lines.append(response.list_line(entry.name, entry.attributes, utf8=utf8, child_info=entry.child_info))
        if program.status and entry.mailbox is not None:
            numbers = count(shard, residence, entry.mailbox, program.status)
            lines.append(response.status_line(entry.name, numbers, utf8=utf8))
        if program.entries and entry.mailbox is not None:
            # RFC 9590 3: behind the LIST line, NIL for what has no value.
            values = shard.annotations(residence, entry.mailbox.id)
            found = {name: values.get(name) for name in program.entries}
            lines.append(response.metadata_line(entry.name, found, utf8=utf8))
    return b"".join(lines)


COMMANDS = (Command("LIST", run),)
