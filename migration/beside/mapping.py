"""Rights as another server has them (RFC 4314, RFC 2086) to rights of ours, never wider. No I/O.

An identifier there is a user, or one of

    anyone, authenticated               all who can log in there; here `anyone` is the accounts of the owner's domain
    anonymous                           who has not logged in, or all, as the server has it: nobody here
    $group, !$group, #global            Dovecot's; there is nothing like it here
    -identifier                         rights that are taken away (RFC 4314 2)

Servers differ in what somebody has of whom several identifiers speak. Some add up, as we do. Dovecot lets the closer
one hold alone: `anyone lr` and `bob l` leave bob with l. So `anyone` gets what each closer one has too, and what is
taken away from one is taken from all of whom that may speak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailplat.core.rights import ALL, LETTERS, NONE, Rights, render
from mailplat.store.types import ANYONE
from migration.beside.kept import Left

# Identifiers of one mailbox that are looked at: five times as many as one may have here.
MAX_IDENTIFIERS = 1000

_EVERYBODY = ("anyone", "authenticated")
_NOBODY = "anonymous"
# RFC 4314 2.1.1: of RFC 2086 c and d, by the narrower of their readings.
_OLD = {"c": "k", "d": "et"}
# What an owner may always do here, and is worth a word where he might not there. RFC 2086 has no x and no p.
_OWNERS = frozenset("lrswiekta")


@dataclass(frozen=True, slots=True)
class Said:
    identifier: str
    letters: str


@dataclass(slots=True)
class Sorted:
    """What one mailbox's list says, before anybody is looked up."""

    users: dict[str, Rights] = field(default_factory=dict)  # as they are spelled there
    everybody: Rights = NONE
    spelled: str = ""  # which of _EVERYBODY that was
    others: list[Rights] = field(default_factory=list)  # of groups, who may be anybody
    denied: dict[str, Rights] = field(default_factory=dict)  # by user
    denied_all: Rights = NONE
    left: list[Left] = field(default_factory=list)


def letters_of(text: str, *, old: bool) -> tuple[Rights, str]:
    """Rights, and the letters that are none here. `old`: the server knows RFC 2086 only; with RFC 4314 c and d only
    repeat, for older clients, what other letters say (2.1.1)."""
    rights: set[str] = set()
    unknown = ""
    for letter in text:
        if letter in _OLD:
            rights.update(_OLD[letter] if old else "")
        elif letter in ALL:
            rights.add(letter)
        elif letter not in unknown:
            unknown += letter
    return frozenset(rights), unknown


def letters_for(rights: Rights, *, old: bool) -> str:
    """As they are said to a server, never wider. `old`: of RFC 2086; what it cannot say is left out."""
    if not old:
        return render(rights)
    said = "".join(each for each in LETTERS if each in rights and each in "lrswipa")
    return said + "c" * ("k" in rights) + "d" * (rights >= {"t", "e"})


def sort(said: Sequence[Said], owners: frozenset[str], *, old: bool) -> Sorted:
    """`owners`: how the owner himself is called, in lower case."""
    found = Sorted()
    for number, each in enumerate(said):
        if number == MAX_IDENTIFIERS:
            found.left.append(Left(f"{len(said) - number} more identifiers", "too many for one mailbox"))
            break
        _take(each, owners, found, old=old)
    return found


def _take(said: Said, owners: frozenset[str], found: Sorted, *, old: bool) -> None:
    rights, unknown = letters_of(said.letters, old=old)
    name = said.identifier
    shown = f"{name} {said.letters}"
    if unknown:
        found.left.append(Left(shown, f"{unknown} is no right here"))
    if name.startswith("-"):
        _deny(name[1:], rights, owners, found)
        found.left.append(Left(shown, "no rights are taken away here; who might be meant is given less"))
    elif name.lower() in owners:
        if lacking := render(_OWNERS - rights):
            found.left.append(Left(shown, f"the owner has all rights here, {lacking} too"))
    elif name.startswith(("$", "!$")):
        found.others.append(rights)
        found.left.append(Left(shown, "there are no groups here"))
    elif name.startswith("#"):
        found.others.append(rights)
        found.left.append(Left(shown, "it is of the platform's own list, not of this mailbox"))
    elif name.lower() == _NOBODY:
        found.left.append(Left(shown, "nobody is here without a login"))
    elif name.lower() in _EVERYBODY:
        found.everybody = found.everybody & rights if found.spelled else rights
        found.spelled = found.spelled or name
        found.left.append(Left(shown, "`anyone` is the accounts of the owner's domain here"))
    else:
        found.users[name] = found.users.get(name, rights) & rights


def _deny(name: str, rights: Rights, owners: frozenset[str], found: Sorted) -> None:
    if name.lower() in owners:
        return
    if name.startswith(("$", "!$", "#")) or name.lower() in (*_EVERYBODY, _NOBODY):
        found.denied_all |= rights
    else:
        found.denied[name] = found.denied.get(name, NONE) | rights


@dataclass(slots=True)
class Given:
    """What one mailbox has here: rights by identifier, and how each is called there."""

    rights: dict[str, Rights] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)  # of accounts; 0: ANYONE
    spelled: dict[str, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)


def give(found: Sorted, known: Mapping[str, tuple[str, int] | str], most: int) -> Given:
    """`known`: users that were looked up, as (identifier here, number of the account), or why they get nothing. Of
    more than `most` identifiers those with the most rights."""
    given = Given(left=list(found.left))
    denied = dict.fromkeys(found.denied, NONE) | found.denied
    closer = [*found.others]
    for name in {*found.users, *denied}:
        rights = found.users.get(name, NONE) - denied.get(name, NONE) - found.denied_all
        who = known[name]
        if isinstance(who, str):
            if name in found.users:
                given.left.append(Left(f"{name} {render(found.users[name])}", who))
            continue
        key, number = who
        if name in found.users:
            closer.append(rights)
        # Two spellings of one account: what both have.
        given.rights[key] = given.rights.get(key, rights) & rights if name in found.users else NONE
        given.numbers[key], given.spelled[key] = number, name
    # Somebody from whom a right was taken has it as one of all here, whoever he is.
    everybody = found.everybody - found.denied_all - NONE.union(*denied.values())
    for rights in closer:
        everybody &= rights
    if everybody:
        given.rights[ANYONE], given.numbers[ANYONE], given.spelled[ANYONE] = everybody, 0, found.spelled
    if found.spelled and everybody != found.everybody:
        lost = render(found.everybody - everybody)
        given.left.append(Left(f"{found.spelled} {lost}", "somebody there has fewer rights than all"))
    given.rights = {key: rights for key, rights in given.rights.items() if rights}
    for key in sorted(given.rights, key=lambda each: -len(given.rights[each]))[most:]:
        given.left.append(Left(f"{key} {render(given.rights.pop(key))}", f"a mailbox may have {most} here"))
    return given
