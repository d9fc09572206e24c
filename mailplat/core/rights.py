"""Rights on a mailbox that is shared (RFC 4314 2.1): a set of letters.

    l  see it in LIST               i  put messages into it        x  delete or rename it
    r  open it, read it             p  send mail to its address    t  set and clear \\Deleted
    s  set and clear \\Seen          k  make mailboxes below it     e  expunge
    w  other flags, keywords        a  see and change who may what

`p` is kept and not enforced: nothing here has an address of its own (RFC 4314 2.1 leaves it to others).
"""

from mailplat.core.errors import InvalidInput

Rights = frozenset[str]

# In the order in which they are always shown.
LETTERS = "lrswipkxtea"
ALL: Rights = frozenset(LETTERS)
NONE: Rights = frozenset()

# RFC 4314 2.1.1: letters of RFC 2086 and what each stands for, by the first of the two readings that the RFC has.
VIRTUAL = {"c": "kx", "d": "et"}


def parse(letters: str) -> Rights:
    """With c and d as what they stand for. Raises InvalidInput: a letter that is none must not be passed over (RFC
    4314 3.1)."""
    rights: set[str] = set()
    for letter in letters:
        meant = VIRTUAL.get(letter, letter)
        if not ALL.issuperset(meant):
            raise InvalidInput(f"{letter!r} is no right; rights are {LETTERS}{''.join(VIRTUAL)}")
        rights.update(meant)
    return frozenset(rights)


def render(rights: Rights) -> str:
    return "".join(letter for letter in LETTERS if letter in rights)


def shown(rights: Rights) -> str:
    """As replies have it: where a part of c or d is there, so is c or d, for clients of RFC 2086 (RFC 4314 2.1.1)."""
    old = (letter for letter, meant in VIRTUAL.items() if not rights.isdisjoint(meant))
    return render(rights) + "".join(old)


def of_flag(flag: str) -> str:
    """Which right it takes to set or clear a flag (RFC 4314 4)."""
    return {"\\Seen": "s", "\\Deleted": "t"}.get(flag, "w")
