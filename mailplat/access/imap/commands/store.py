"""STORE and UID STORE (RFC 3501 6.4.6, 6.4.8), with UNCHANGEDSINCE (RFC 7162 3.1.3)."""

from collections.abc import Callable

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.limiting import cut
from mailplat.access.imap.place import Place
from mailplat.access.imap.refusal import EXPUNGED, NO_RIGHT, READ_ONLY, Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.view import View
from mailplat.core.route import Residence
from mailplat.store.types import UidRanges
from mailplat.wire.imap import response
from mailplat.wire.imap.storing import StoreProgram, parse_store

Row = tuple[int, int, tuple[str, ...]]  # UID, MODSEQ, flags
Stored = tuple[
    list[Row], list[int]
]  # the messages that were changed; UIDs of those that UNCHANGEDSINCE spared


async def run(session: Session, request: Request) -> Tagged:
    program = parse_store(request.arguments)
    view = session.selected
    if program.unchanged_since is not None:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    spans = cut(session, request, view.spans(program.numbers, by_uid=request.by_uid))
    done = ok(f"{request.name} completed")
    if view.read_only:
        return READ_ONLY
    view.place.check("STORE")
    if program.flags and not view.place.allowed(program.flags):
        return NO_RIGHT  # RFC 4314 4: where none of them may be changed; else those that may are
    if not spans:
        return done
    _, failed = await session.write(
        request,
        _change(view.place, program),
        view.ranges(spans),
        first=lambda stored: _take_in(view, program, stored[0], condstore=session.condstore),
    )
    if not program.silent and not failed:
        view.tell(spans)
    if failed:
        numbers = failed if request.by_uid else view.numbers_of(failed)
        return ok("Some messages were changed meanwhile", response.modified(numbers))
    if view.any_gone(spans) and not (request.by_uid or program.silent):
        return EXPUNGED  # RFC 2180 4.2.2
    return done


def _change(place: Place, program: StoreProgram) -> Callable[[Residence, int, UidRanges], Stored]:
    def change(residence: Residence, mailbox_id: int, uids: UidRanges) -> Stored:
        return place.shard.store_flags(
            residence,
            mailbox_id,
            uids,
            program.mode,
            program.flags,
            program.unchanged_since,
            rights=place.rights,
        )

    return change


def _take_in(view: View, program: StoreProgram, rows: list[Row], *, condstore: bool) -> None:
    """The client knows what it did: .SILENT keeps it from hearing that, but not what others did to the same messages
    before (RFC 3501 6.4.6). RFC 7162 3.1.3: under CONDSTORE the new MODSEQ is told even so."""
    expected: dict[tuple[int, tuple[str, ...]], bool] = {}
    for uid, modseq, flags in rows:
        place = view.position(uid)
        if place is None:
            continue
        step = (view.flags[place], flags)
        if step not in expected:
            expected[step] = _apply(program, view.flagsets[step[0]]) == frozenset(flags)
        view.note(uid, modseq, flags, tell=condstore or not program.silent or not expected[step])


def _apply(program: StoreProgram, flags: tuple[str, ...]) -> frozenset[str]:
    match program.mode:
        case "set":
            return frozenset(program.flags)
        case "add":
            return frozenset(flags) | frozenset(program.flags)
        case "remove":
            return frozenset(flags) - frozenset(program.flags)


COMMANDS = (
    Command("STORE", run, states=SELECTED, may_expunge=False),
    Command("UID STORE", run, states=SELECTED),
)
