"""Where a mailbox is, for one session: in the account's own home or, where somebody shares it, in that owner's. And
what each command must be allowed to do there (RFC 4314 4), as one table.

A Place of a mailbox of somebody else comes from locating.py alone, which asks the table first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from mailplat.core.errors import MailplatError, NotFound
from mailplat.core.executors import Executors
from mailplat.core.rights import ALL, Rights, of_flag
from mailplat.core.route import Residence
from mailplat.directory import Account
from mailplat.store import Shard
from mailplat.store.acl import Grantee

P = ParamSpec("P")
T = TypeVar("T")


class NoRight(MailplatError):
    """Of a mailbox that who asks may know of: IMAP NO [NOPERM]."""


class NotPossible(MailplatError):
    """Between mailboxes of two accounts: IMAP NO [CANNOT]."""


@dataclass(frozen=True, slots=True)
class Needs:
    every: str = ""  # rights, all of them
    some: str = ""  # one of these at least


# RFC 4314 4: the table of the RFC, and what other RFCs and we add to it. Where a command has two mailboxes each has a
# line. What it calls optional (flags of APPEND, COPY and STORE, \Seen of FETCH, the expunging of CLOSE) is not
# refused but left undone: Place.allowed, commands/store.py, commands/fetch.py, commands/close.py.
NEEDS: Mapping[str, Needs] = {
    "LIST": Needs("l"),
    "CREATE": Needs("k"),  # on the nearest mailbox above the new one
    "DELETE": Needs("x"),
    "RENAME": Needs("x"),
    "RENAME to": Needs("k"),  # as CREATE
    "SELECT": Needs("r"),
    "EXAMINE": Needs("r"),
    "STATUS": Needs("r"),
    "SETACL": Needs("a"),
    "DELETEACL": Needs("a"),
    "GETACL": Needs("a"),
    "LISTRIGHTS": Needs("a"),
    "MYRIGHTS": Needs(some="lrikxa"),
    "APPEND": Needs("i"),
    "COPY to": Needs("i"),
    "EXPUNGE": Needs("e"),
    "FETCH": Needs("r"),
    "STORE": Needs(some="swt"),  # and for each flag the one that it takes
    "MOVE": Needs("te"),  # RFC 6851 4.3: of COPY, STORE of \Deleted and EXPUNGE together
    "MOVE to": Needs("i"),
    "REPLACE": Needs("te"),  # RFC 8508 3: of APPEND, STORE and EXPUNGE together
    "REPLACE to": Needs("i"),
    "ESEARCH": Needs("lr"),  # RFC 7377 2.2: mailboxes that LIST would not name are passed over
    "GETMETADATA": Needs("lr"),  # RFC 5464 3.3
    "SETMETADATA": Needs("lrw"),  # RFC 5464 3.3, of /shared entries
    "GETQUOTAROOT": Needs("r"),  # RFC 9208 4.1.3
}

# Who has none of these may not know that the mailbox is there (RFC 4314 6).
_KNOWING = frozenset("lr")

# All flags may be set.
_EVERY_FLAG = frozenset("swt")


@dataclass(frozen=True, slots=True)
class Place:
    """`name` is what the owner's shard calls the mailbox, `shown` what this session does."""

    executors: Executors
    shard: Shard
    residence: Residence
    owner: Account
    name: str
    shown: str
    who: Grantee | None = None  # the session's account, None where it is the owner
    rights: Rights = ALL

    @property
    def own(self) -> bool:
        return self.who is None

    @property
    def keeps_flags(self) -> bool:
        """Whatever flags a message has may be set here."""
        return self.rights >= _EVERY_FLAG

    def is_of(self, other: "Place") -> bool:
        """Whether both are of one account."""
        return self.residence.account_id == other.residence.account_id

    def check(self, operation: str) -> None:
        """Raises NoRight, and NotFound where it would tell that there is such a mailbox."""
        needs = NEEDS[operation]
        if self.rights.issuperset(needs.every) and (not needs.some or self.rights.intersection(needs.some)):
            return
        if self.rights.isdisjoint(_KNOWING):
            raise NotFound(f"{self.shown!r}: account {self.who} may not know of it")
        raise NoRight(
            f"{self.shown!r}: {operation} takes {needs}; account {self.who} has {sorted(self.rights)}"
        )

    def allowed(self, flags: Iterable[str]) -> tuple[str, ...]:
        """RFC 4314 4: flags of APPEND and COPY that may not be set are left out, without a word."""
        return tuple(flag for flag in flags if of_flag(flag) in self.rights)

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A synchronous reading call of the shard, in its threads. Raises Unavailable when its disk is stalled."""
        return await self.executors.ask(f"store/{self.residence.shard}", function, *args, **kwargs)

    async def change(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A synchronous writing call, or one that may take long: waited for as long as it takes, since it cannot be
        taken back and no reply before its end would be true."""
        return await self.executors.run(f"store/{self.residence.shard}", function, *args, **kwargs)


def readable(place: Place, values: Mapping[str, bytes]) -> dict[str, bytes]:
    """Annotations that may be told: what is /private is the owner's (RFC 5464 3.1)."""
    return {name: value for name, value in values.items() if place.own or name.startswith("/shared/")}
