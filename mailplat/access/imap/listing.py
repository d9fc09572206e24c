"""The names that LIST and LSUB answer, with their attributes (RFC 3501 6.3.8, 6.3.9; RFC 5258; RFC 6154).

A name may be listed that is no mailbox: a parent of one (`a` where only `a/b` exists), or a subscription whose
mailbox was deleted. Plain LIST calls it \\Noselect, extended LIST \\NonExistent (RFC 5258 3).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailplat.store.types import Mailbox
from mailplat.wire.imap.listing import DELIMITER, ListProgram, Matcher


@dataclass(frozen=True, slots=True)
class Entry:
    """One LIST line."""

    name: str
    attributes: tuple[str, ...]
    mailbox: Mailbox | None  # None: there is none of this name
    child_info: tuple[str, ...] = ()  # RFC 5258 4: which selection options a mailbox below it meets


def list_entries(
    program: ListProgram, mailboxes: Sequence[Mailbox], subscriptions: Collection[str]
) -> list[Entry]:
    """The answer to LIST, in order."""
    known = {mailbox.name: mailbox for mailbox in mailboxes}
    parents = _parents(known)
    meets = _selection(program.selects, known, subscriptions)
    below = {
        option: _parents(names) for option, names in meets.items() if "RECURSIVEMATCH" in program.selects
    }
    if meets:
        chosen = set.intersection(*map(set, meets.values()))
        candidates = chosen.union(*below.values()) if below else chosen
    else:
        candidates = chosen = set(known) | parents
    matcher = Matcher(program.reference, program.patterns)
    shows_subscribed = "SUBSCRIBED" in program.returns or "SUBSCRIBED" in program.selects
    entries = []
    for name in in_order(filter(matcher.matches, candidates)):
        info = tuple(option for option, names in below.items() if name in names)
        if name not in chosen and not info:
            continue
        attributes = _attributes(known.get(name), name in parents, extended=program.extended)
        if shows_subscribed and name in subscriptions:
            attributes.append("\\Subscribed")
        entries.append(Entry(name, tuple(attributes), known.get(name), info))
    return entries


def describe(
    names: Iterable[str], mailboxes: Iterable[Mailbox], subscriptions: Collection[str]
) -> Iterator[Entry]:
    """Names whoever asks for them, mailboxes or not, with all attributes that extended LIST would give them."""
    known = {mailbox.name: mailbox for mailbox in mailboxes}
    parents = _parents(known)
    for name in names:
        attributes = _attributes(known.get(name), name in parents, extended=True)
        if name in subscriptions:
            attributes.append("\\Subscribed")
        yield Entry(name, tuple(attributes), known.get(name))


def lsub_entries(program: ListProgram, subscriptions: Collection[str]) -> list[Entry]:
    """The answer to LSUB. RFC 3501 6.3.9: where "%" hides a subscribed name, its parent is shown, \\Noselect."""
    matcher = Matcher(program.reference, program.patterns)
    found: dict[str, tuple[str, ...]] = {}
    for name in subscriptions:
        if matcher.matches(name):
            found[name] = ()
            continue
        for parent in _above(name):
            if matcher.matches(parent) and parent not in subscriptions:
                found[parent] = ("\\Noselect",)
    return [Entry(name, found[name], None) for name in in_order(found)]


def in_order(names: Iterable[str]) -> list[str]:
    """INBOX first, then as a tree reads."""
    return sorted(names, key=lambda name: (name != "INBOX", name.split(DELIMITER)))


def _selection(
    selects: frozenset[str], known: Mapping[str, Mailbox], subscriptions: Collection[str]
) -> dict[str, set[str]]:
    """For each selection option the names that meet it; a name must meet all of them (RFC 5258 3)."""
    meets: dict[str, set[str]] = {}
    if "SUBSCRIBED" in selects:
        meets["SUBSCRIBED"] = set(subscriptions)
    if "SPECIAL-USE" in selects:
        meets["SPECIAL-USE"] = {name for name, mailbox in known.items() if mailbox.special_use}
    return meets


def _attributes(mailbox: Mailbox | None, has_children: bool, *, extended: bool) -> list[str]:
    attributes = []
    if mailbox is None:
        attributes.append("\\NonExistent" if extended else "\\Noselect")
    attributes.append("\\HasChildren" if has_children else "\\HasNoChildren")  # RFC 3348
    if mailbox is not None and mailbox.special_use:
        attributes.append(mailbox.special_use)  # RFC 6154 2: plain LIST may show it too
    return attributes


def _parents(names: Iterable[str]) -> set[str]:
    parents: set[str] = set()
    for name in names:
        for parent in _above(name):
            if parent in parents:
                break  # and so are all above it
            parents.add(parent)
    return parents


def _above(name: str) -> Iterator[str]:
    """a/b/c: a/b, then a."""
    while DELIMITER in name:
        name = name.rpartition(DELIMITER)[0]
        yield name
