"""What a client wants to be told without asking (NOTIFY, RFC 5465), and what it was told of mailboxes so far.

A Watch compares what the account has now with what it had at the last look, so that it does not matter who changed
it, in which process, and how many hints were lost. What this client did itself is not told (RFC 5465 5), unless
somebody else has undone it since. Messages that it adds to mailboxes other than the selected one are told by STATUS
all the same: their number cannot be told apart from that of others.

The selected mailbox is the View's: here is only whether and how it is told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mailplat.access.imap.listing import describe, in_order
from mailplat.access.imap.outline import (
    EMPTY,
    Entries,
    Outline,
    changed_names,
    digest,
    digests,
    followed,
    given_up,
    renames,
    status_values,
)
from mailplat.bus import Listener
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.annotations import ACCOUNT
from mailplat.store.types import Mailbox
from mailplat.wire.imap import response
from mailplat.wire.imap.listing import DELIMITER
from mailplat.wire.imap.notify import MESSAGE_EVENTS, Event, NotifyProgram
from mailplat.wire.imap.spelling import Spelling


class Watch:
    """`program` None: NOTIFY was never used, and the selected mailbox is told of while commands run."""

    def __init__(self, program: NotifyProgram | None = None, listener: Listener | None = None) -> None:
        self.program = program
        self.listener = (
            listener  # of this watch alone: the session's forgets a hint when a command has read it
        )
        self.due = False  # a hint was heard and nobody has looked since
        self.checked = 0.0  # Clock.monotonic() of the last look
        self.mine: set[int] = set()  # UIDs of the selected mailbox that this client has added
        self._known = EMPTY
        # What this client did since the last look, as it should be now.
        self._names: dict[str, bool] = {}
        self._subscriptions: dict[str, bool] = {}
        self._entries: dict[tuple[int, str], bytes | None] = {}
        events = [group.events for group in program.groups] if program is not None else []
        self._wanted = frozenset().union(*events) if events else frozenset[Event]()

    def note_hint(self) -> None:
        """A hint may have been heard that nobody has looked for yet."""
        if self.program is not None:
            self.due = True

    def begin_look(self, moment: float) -> None:
        """Before the account is read."""
        if self.program is not None:
            self.due = False
            self.checked = moment

    def added(self, uids: Iterable[int]) -> None:
        """This client has put these messages into the selected mailbox."""
        if self.program is not None and self.program.items:
            self.mine.update(uids)

    def close(self) -> None:
        if self.listener is not None:
            self.listener.close()

    # the selected mailbox

    @property
    def frozen(self) -> bool:
        """RFC 5465 3.1: nothing is told of the selected mailbox, which stays for this client as it was."""
        return self.program is not None and not self.program.selected

    @property
    def flags(self) -> bool:
        """Whether changes of flags are told that others made."""
        return self.program is None or Event.FLAG_CHANGE in self.program.selected

    @property
    def immediate(self) -> bool:
        """Whether EXPUNGE is told outside commands (RFC 5465 6.1.1)."""
        return self.program is not None and bool(self.program.selected) and not self.program.delayed

    # other mailboxes

    @property
    def observes(self) -> bool:
        """Whether anything is told of other mailboxes than the selected one."""
        return bool(self._wanted)

    @property
    def speaks(self) -> bool:
        """Whether anything is told between commands."""
        return self.observes or (self.program is not None and bool(self.program.selected))

    def did(self, name: str, *, exists: bool | None = None, subscribed: bool | None = None) -> None:
        """This client has made or removed a mailbox, or a subscription."""
        if Event.MAILBOX_NAME in self._wanted and exists is not None:
            self._names[name] = exists
            if exists:  # and the mailboxes above it
                levels = name.split(DELIMITER)
                for depth in range(1, len(levels)):
                    self._names[DELIMITER.join(levels[:depth])] = True
        if Event.SUBSCRIPTION_CHANGE in self._wanted and subscribed is not None:
            self._subscriptions[name] = subscribed

    def did_rename(self, old: str, new: str) -> None:
        """This client has given a mailbox, and those below it, another name: what it knows of them goes by that. One
        that got the name of another, which must be gone, is new to the client: it may take the one for the other."""
        if not self.observes:
            return

        def after(name: str) -> str:
            return new + name[len(old) :] if name == old or name.startswith(old + DELIMITER) else name

        known = self._known.mailboxes
        taken = {mailbox.name for mailbox in known.values() if after(mailbox.name) == mailbox.name}
        mailboxes = {
            number: replace(mailbox, name=after(mailbox.name))
            for number, mailbox in known.items()
            if mailbox.name in taken or after(mailbox.name) not in taken
        }
        self._known = replace(self._known, mailboxes=mailboxes)
        self._names = {after(name): exists for name, exists in self._names.items()}
        self.did(old, exists=False)
        self.did(new, exists=True)

    def annotated(self, mailbox_id: int, values: Mapping[str, bytes | None]) -> None:
        """This client has set these entries of a mailbox, or of the account."""
        if self._wanted & {Event.MAILBOX_METADATA_CHANGE, Event.SERVER_METADATA_CHANGE}:
            for entry, value in values.items():
                self._entries[mailbox_id, entry] = None if value is None else digest(value)

    def read(self, shard: Shard, residence: Residence) -> Outline:
        """The account as it is now. In a thread of the store."""
        known = self._known
        mailboxes = {mailbox.id: mailbox for mailbox in shard.mailboxes(residence)}
        entries: dict[int, Entries] = {}
        if self._wanted & {Event.MAILBOX_METADATA_CHANGE, Event.SERVER_METADATA_CHANGE}:
            if known is EMPTY:
                entries = {number: digests(each) for number, each in shard.all_annotations(residence).items()}
            else:
                # An annotation raises its mailbox's MODSEQ, one of the account that of INBOX: store/annotations.py.
                for number, mailbox in mailboxes.items():
                    was = known.mailboxes.get(number)
                    changed = was is None or was.modseq != mailbox.modseq
                    for each in (number, ACCOUNT) if mailbox.name == "INBOX" else (number,):
                        entries[each] = (
                            digests(shard.annotations(residence, each))
                            if changed
                            else known.entries.get(each, {})
                        )
        return Outline(mailboxes, frozenset(shard.subscriptions(residence)), entries)

    def take(self, outline: Outline, selected: int | None = None) -> None:
        """The client has been told of all up to this, but for the numbers of the selected mailbox: what its View did
        not tell (EXPUNGE that is held back, events that nobody asked for) STATUS tells when it is closed."""
        if (was := self._known.mailboxes.get(selected or 0)) and (now := outline.mailboxes.get(was.id)):
            kept = replace(was, name=now.name, subscribed=now.subscribed, special_use=now.special_use)
            outline = replace(outline, mailboxes={**outline.mailboxes, was.id: kept})
        self._known = outline
        self._names.clear()
        self._subscriptions.clear()
        self._entries.clear()

    def watched(self, outline: Outline) -> list[tuple[Mailbox, frozenset[Event]]]:
        """The mailboxes that are watched, with their events."""
        found = []
        for mailbox in outline.mailboxes.values():
            events = self._events(mailbox.name, mailbox.name in outline.subscriptions)
            if events:
                found.append((mailbox, events))
        return found

    def compare(
        self, now: Outline, *, selected: int | None, condstore: bool, spelling: Spelling
    ) -> list[bytes]:
        """What the client must hear of what changed since the last look; `take` says that it has. `selected`: the
        mailbox that its View speaks of."""
        was = self._known
        same = followed(was, now)
        lines = self._list_lines(was, now, same, spelling)
        for mailbox, events in self.watched(now):
            if mailbox.id != selected and events & MESSAGE_EVENTS:
                before = same.get(mailbox.id)
                values = status_values(before, mailbox, events, condstore=condstore)
                if before is None and not mailbox.messages and mailbox.name not in was.names:
                    continue  # an empty mailbox is a matter of MailboxName
                if values:
                    lines.append(response.status_line(mailbox.name, values, spelling=spelling))
        return lines + self._metadata_lines(was, now, spelling)

    def _events(self, name: str, subscribed: bool) -> frozenset[Event]:
        assert self.program is not None
        covering = (group.events for group in self.program.groups if group.source.covers(name, subscribed))
        return frozenset[Event]().union(*covering)

    def _list_lines(
        self, was: Outline, now: Outline, same: Mapping[int, Mailbox], spelling: Spelling
    ) -> list[bytes]:
        """LIST for MailboxName and SubscriptionChange (RFC 5465 5.4, 5.5), one for each name. First what is gone, by
        the name it had, then what was renamed, then what has come, perhaps by a name that was given up."""
        subscribed = was.subscriptions | now.subscriptions
        renamed: dict[str, str] = {}  # by new name
        told: set[str] = set()
        if Event.MAILBOX_NAME in self._wanted:
            renamed = {new: old for old, new in renames(same, now)}
            names = {*self._affected(was, now, same), *renamed, *renamed.values()}
            told |= {name for name in names if Event.MAILBOX_NAME in self._events(name, name in subscribed)}
            renamed = {new: old for new, old in renamed.items() if {new, old} & told}
            told = told - set(renamed.values()) | set(renamed)  # the old name is told with the new one
        if Event.SUBSCRIPTION_CHANGE in self._wanted:
            changed = changed_names(was.subscriptions, now.subscriptions, self._subscriptions)
            told |= {name for name in changed if Event.SUBSCRIPTION_CHANGE in self._events(name, True)}
        others = in_order(told - set(renamed))
        gone = set(others) - now.names - given_up(same, now)
        order = [*(x for x in others if x in gone), *renamed, *(x for x in others if x not in gone)]
        entries = describe(order, now.mailboxes.values(), now.subscriptions)
        return [
            response.list_line(
                entry.name, entry.attributes, spelling=spelling, old_name=renamed.get(entry.name, "")
            )
            for entry in entries
        ]

    def _affected(self, was: Outline, now: Outline, same: Mapping[int, Mailbox]) -> set[str]:
        """Names that came or went, and the names directly above them (RFC 5465 5.4)."""
        before = {mailbox.name for number, mailbox in was.mailboxes.items() if number not in same}
        after = {mailbox.name for number, mailbox in now.mailboxes.items() if number not in same}
        # One that went and came back is affected as well: it is another mailbox.
        found = changed_names(before, after, self._names, there=now.names) | (before & after) - set(
            self._names
        )
        # A name above that was given up in a change of names is told with that.
        above = {name.rpartition(DELIMITER)[0] for name in found if DELIMITER in name}
        return found | above - given_up(same, now)

    def _metadata_lines(self, was: Outline, now: Outline, spelling: Spelling) -> list[bytes]:
        lines = []
        for number, entries in now.entries.items():
            mailbox = now.mailboxes.get(number)
            if number == ACCOUNT:
                told, name = Event.SERVER_METADATA_CHANGE in self._wanted, ""
            elif mailbox is None or number not in was.mailboxes:
                continue
            else:
                name = mailbox.name
                told = Event.MAILBOX_METADATA_CHANGE in self._events(name, name in now.subscriptions)
            before = was.entries.get(number, {})
            changed = {each for each in {*before, *entries} if before.get(each) != entries.get(each)}
            changed |= {each for place, each in self._entries if place == number}
            mine = {
                each
                for each in changed
                if (number, each) in self._entries and self._entries[number, each] == entries.get(each)
            }
            if told and changed - mine:
                lines.append(response.metadata_names_line(name, sorted(changed - mine), spelling=spelling))
        return lines


# Before the first NOTIFY. Has no state, so that all sessions share it.
UNASKED = Watch()
