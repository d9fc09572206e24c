"""The arguments of NOTIFY (RFC 5465 8)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.fetch import Item, Section, parse_items
from mailplat.wire.imap.multisearch import Source, parse_source


class Event(Enum):
    """What a client can be told of."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


MESSAGE_EVENTS = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})

# AnnotationChange is an event of messages too; no message has annotations here (RFC 5257).
_ANNOTATION_CHANGE = "ANNOTATIONCHANGE"
_EVENTS = {event.value.upper(): event for event in Event}

_SELECTED = ("SELECTED", "SELECTED-DELAYED")
_OTHERS = ("INBOXES", "PERSONAL", "SUBSCRIBED", "SUBTREE", "MAILBOXES")


class BadEvent(Exception):
    """The client wants events that there are none of: NO [BADEVENT (...)], not BAD (RFC 5465 3.1)."""


@dataclass(frozen=True, slots=True)
class Group:
    """Events of the mailboxes that `source` names."""

    source: Source
    events: frozenset[Event]


@dataclass(frozen=True, slots=True)
class NotifyProgram:
    """What NOTIFY SET asks for; the default is NOTIFY NONE."""

    groups: tuple[Group, ...] = ()  # of mailboxes that are not selected
    status: bool = False  # STATUS of each of them at once
    selected: frozenset[Event] = frozenset()  # of the selected mailbox; empty: nothing is told of it
    delayed: bool = False  # SELECTED-DELAYED: EXPUNGE only where a command allows it
    items: tuple[Item | Section, ...] = ()  # what FETCH is to tell of new messages of the selected mailbox
    lazy: bool = False  # as FetchProgram has it


NONE = NotifyProgram()


def unsupported_code() -> str:
    """The response code of a refusal, which names all events there are (RFC 5465 3.1, 8)."""
    return f"BADEVENT ({' '.join(event.value for event in Event)})"


def parse_notify(arguments: Arguments) -> NotifyProgram:
    """Raises BadSyntax, and BadEvent where that is all that is wrong."""
    arguments.space()
    if arguments.keyword("SET", "NONE") == "NONE":
        arguments.end()
        return NONE
    arguments.space()
    status = not arguments.peek(b"(")
    if status:
        arguments.keyword("STATUS")
        arguments.space()
    parser = _Groups(arguments)
    parser.group()
    while arguments.take(b" ") and not arguments.at_end:
        parser.group()
    arguments.end()
    if parser.unknown:
        raise BadEvent
    return parser.program(status)


class _Groups:
    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._groups: list[Group] = []
        self._selected: Group | None = None
        self._items: tuple[Item | Section, ...] = ()
        self._lazy = False
        self.unknown = False  # an event was asked for that there is none of

    def group(self) -> None:
        """filter-mailboxes and its events."""
        arguments = self._arguments
        arguments.expect(b"(")
        source = parse_source(arguments, *_SELECTED, *_OTHERS)
        arguments.space()
        selected = source.filter in _SELECTED
        if arguments.peek(b"("):
            names = arguments.items(
                lambda: self._event(selected), limit=arguments.bounds.notify_events, empty=False
            )
        else:
            arguments.keyword("NONE")
            names = []
        arguments.expect(b")")
        self._check(names, selected)
        group = Group(source, frozenset(_EVENTS[name] for name in names if name in _EVENTS))
        if not selected:
            self._groups.append(group)
            bounds = arguments.bounds
            if len(self._groups) > bounds.notify_groups or _named(self._groups) > bounds.notify_names:
                raise BadSyntax(
                    f"more than {bounds.notify_groups} groups of events, or {bounds.notify_names} names"
                )
        elif self._selected is not None:
            raise BadSyntax("SELECTED and SELECTED-DELAYED are for one group")  # RFC 5465 6.1
        else:
            self._selected = group

    def program(self, status: bool) -> NotifyProgram:
        selected = self._selected
        return NotifyProgram(
            tuple(self._groups),
            status,
            selected.events if selected is not None else frozenset(),
            selected is not None and selected.source.filter == "SELECTED-DELAYED",
            self._items,
            self._lazy,
        )

    def _event(self, selected: bool) -> str:
        arguments = self._arguments
        name = arguments.atom().decode("ascii").upper()
        if name == "MESSAGENEW" and arguments.take(b" ("):
            if not selected:
                raise BadSyntax("FETCH items are for the selected mailbox alone")  # RFC 5465 8, message-event
            arguments.at -= 1
            self._items, self._lazy = parse_items(arguments)
        return name

    def _check(self, names: Iterable[str], selected: bool) -> None:
        found = set(names)
        known = {_EVENTS[name] for name in found if name in _EVENTS}
        if len(known) < len(found):
            self.unknown = True
        if selected and known - MESSAGE_EVENTS:
            raise BadSyntax("events of messages only for the selected mailbox")  # RFC 5465 6.1
        pair = known & {Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE}
        changes = Event.FLAG_CHANGE in known or _ANNOTATION_CHANGE in found
        if len(pair) == 1 or (changes and not pair):
            # RFC 5465 5
            raise BadSyntax(
                "MessageNew and MessageExpunge come together, and with them the others of messages"
            )


def _named(groups: Iterable[Group]) -> int:
    return sum(len(group.source.names) for group in groups)
