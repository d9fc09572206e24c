"""Mailboxes of others: their names, where their owners live, and who may be given rights (RFC 4314, RFC 2342 5).

A mailbox `Team` of ann@example.test is `user/ann@example.test/Team` to whom she shares it with. A name is read so
where the level behind the prefix is an address; any other name below it is one of the account's own. Names are
spelled one way, whichever way they came: the address as Address.key.

An owner who lives on a backend or is being moved cannot be served: naming a mailbox of his is Unavailable, LIST
passes him over. The route is read for each command, and the shard takes writes under its epoch only; a session that
has a mailbox of his selected ends when his route changes (sessions.py).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

import structlog

from mailplat.access.imap.place import Place
from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, MailplatError, NotFound, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.rights import NONE, Rights
from mailplat.core.route import Door, Residence, ShardHome
from mailplat.directory import Account, Directory, Login
from mailplat.directory.shares import Shares
from mailplat.store import Shard, Store
from mailplat.store.acl import Grantee
from mailplat.store.names import SEPARATOR, canonical, parents
from mailplat.store.types import ANYONE, Mailbox
from mailplat.wire.imap.errors import BadSyntax

log = structlog.get_logger("imap")

# Owners whose mailboxes one LIST looks through. With `anyone` a whole domain may share with everybody; what is beyond
# can be selected by its name, but is not listed.
LISTED_OWNERS = 500

PREFIX = "user/"


class NoGrantee(MailplatError):
    """There is no account of this address to give a right to."""


class Sharing:
    """One for a process. `prefix` ends with the separator; `across`: accounts of different domains may share."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        executors: Executors,
        clock: Clock,
        *,
        prefix: str = PREFIX,
        across: bool = False,
        owners: int = LISTED_OWNERS,
    ) -> None:
        self.prefix = prefix
        self._most = owners
        self._directory = directory
        self._store = store
        self._executors = executors
        self._shares = Shares(directory.database, clock)
        self._across = across

    @staticmethod
    def of(sharing: "Sharing | None") -> "Sharing":
        """For commands that are there for it alone. Raises BadSyntax where nothing is shared on this platform."""
        if sharing is None:
            raise BadSyntax("Unknown command")
        return sharing

    # names

    def split(self, name: str) -> tuple[str, str] | None:
        """Owner's Address.key and the owner's name of the mailbox; None for a name of the account's own. The key of
        what is no address is "", which is nobody's."""
        if not name.startswith(self.prefix):
            return None
        owner, _, mailbox = name.removeprefix(self.prefix).partition(SEPARATOR)
        if "@" not in owner:
            return None
        return self._directory.login_key(owner) or "", canonical(mailbox)

    def spelled(self, name: str) -> str:
        """The one spelling of a name."""
        found = self.split(name)
        if found is None or not found[0]:
            return name
        return self._join(*found) if found[1] else f"{self.prefix}{found[0]}"

    def _join(self, key: str, mailbox: str) -> str:
        return f"{self.prefix}{key}{SEPARATOR}{mailbox}"

    def may_match(self, patterns: Iterable[str]) -> bool:
        """Whether LIST with one of these (reference and pattern joined) can name a mailbox of others, or the levels
        above them."""
        fixed = (pattern.partition("*")[0].partition("%")[0] for pattern in patterns)
        return any(each.startswith(self.prefix) or self.prefix.startswith(each) for each in fixed)

    # what others share

    async def mailbox(self, who: Account, key: str, name: str) -> Place:
        """Raises NotFound where nothing is shared under this name, Unavailable."""
        return await self._place(who, key, name, [name])

    async def above(self, who: Account, key: str, name: str) -> Place:
        """A place for a new mailbox, with the rights on the nearest one above it (RFC 4314 4, CREATE). Raises
        NotFound where there is none, Unavailable."""
        return await self._place(who, key, name, parents(name)[::-1])

    async def _place(self, who: Account, key: str, name: str, looked: Collection[str]) -> Place:
        login = await self._executors.run("directory", self._owner, key, who)
        if login is None:
            raise NotFound(f"nobody of {key!r} shares anything with account {who.id}")
        residence = _residence(login)
        if residence is None:
            raise Unavailable(
                f"account {login.account.id} is at {login.route.home}, {login.route.state.value}"
            )
        shard = await self._opened(residence)
        place = Place(
            self._executors,
            shard,
            residence,
            login.account,
            name,
            self._join(key, name),
            _grantee(login, who),
            NONE,
        )
        return replace(place, rights=await place.call(_find, place, looked))

    def _owner(self, key: str, who: Account) -> Login | None:
        return self._shares.owner(key, who, across=self._across)

    async def _opened(self, residence: Residence) -> Shard:
        try:
            return await self._store.opened(residence.shard)
        except NotFound as error:
            raise Unavailable(f"a route leads to shard {residence.shard}, which is not here") from error

    async def listed(self, who: Account) -> list[tuple[Place, Mailbox]]:
        """All that `who` may see, under the names that he sees. What cannot be looked at now is left out: it is not
        to keep him from his own."""
        try:
            logins = await self._executors.run("directory", self._owners, who)
        except Unavailable as error:
            log.warning("what is shared is not listed", account=who.id, reason=str(error))
            return []
        if len(logins) == self._most:
            log.warning("not all that is shared is listed", account=who.id, limit=self._most)
        by_shard: dict[str, list[tuple[Residence, Login]]] = defaultdict(list)
        for login in logins:
            residence = _residence(login)
            if residence is not None and SEPARATOR not in login.account.address.local:
                by_shard[residence.shard].append((residence, login))
        found: list[tuple[Place, Mailbox]] = []
        for name, some in by_shard.items():
            try:
                shard = await self._opened(some[0][0])
                found += await self._executors.ask(f"store/{name}", self._look, shard, who, some)
            except Unavailable as error:
                log.warning("what is shared is not listed", account=who.id, shard=name, reason=str(error))
        return found

    def _owners(self, who: Account) -> list[Login]:
        return self._shares.owners(who, across=self._across, limit=self._most)

    def _look(
        self, shard: Shard, who: Account, some: Iterable[tuple[Residence, Login]]
    ) -> list[tuple[Place, Mailbox]]:
        return [each for residence, login in some for each in self._of_one(shard, who, residence, login)]

    def _of_one(
        self, shard: Shard, who: Account, residence: Residence, login: Login
    ) -> Iterator[tuple[Place, Mailbox]]:
        grantee = _grantee(login, who)
        granted = shard.granted(residence, grantee)
        if not granted:
            return
        for mailbox in shard.mailboxes(residence):
            rights = granted.get(mailbox.id, NONE)
            if "l" in rights:
                shown = self._join(login.account.address.key, mailbox.name)
                place = Place(
                    self._executors, shard, residence, login.account, mailbox.name, shown, grantee, rights
                )
                # The owner's Sent is not that of who looks on (RFC 6154 1).
                yield place, replace(mailbox, name=shown, special_use="", subscribed=False)

    # giving and taking

    async def grantee(self, owner: Account, identifier: str) -> tuple[str, int]:
        """Identifier as it is kept, and the account's number. Raises InvalidInput whose text may be shown,
        NoGrantee."""
        key = self.identifier(identifier, owner)
        if key == ANYONE:
            return ANYONE, 0
        login = await self._executors.run("directory", self._directory.login, key)
        if login is None:
            raise NoGrantee(f"there is no account {key}")
        return key, login.account.id

    def identifier(self, identifier: str, owner: Account | None = None) -> str:
        """As it is kept; with `owner`, one who may be given something of his. Raises InvalidInput, whose text may
        be shown."""
        if identifier == ANYONE:
            return ANYONE
        if identifier.startswith("-"):
            raise InvalidInput("Negative rights are not supported")  # RFC 4314 2: a server need not
        key = self._directory.login_key(identifier)
        if key is None:
            raise InvalidInput(
                "An identifier is the full address of an account, or anyone; there are no groups"
            )
        if owner is not None and not self._across and key.rpartition("@")[2] != owner.address.domain:
            # Said before anybody is looked up: whether there is such an account is nobody's business here.
            raise InvalidInput("Mailboxes are shared within a domain only")
        return key

    async def change(self, place: Place, mailbox_id: int, identifier: str, how: str, rights: Rights) -> None:
        """As store.acl.change_acl; the row that leads there is made first and goes last (directory/shares.py).
        Raises as `grantee` and the store do."""
        if SEPARATOR in place.owner.address.local:
            raise InvalidInput(
                "Mailboxes of an address with a slash cannot be shared: they would have no name"
            )
        owner_id = place.residence.account_id
        shard = place.shard
        if how == "-" or not rights:
            key = self.identifier(identifier)  # also of an account or a domain that is no more
            entry = (await place.call(shard.acl, place.residence, mailbox_id)).get(key)
            number = 0 if entry is None else entry.grantee_id
            await place.change(shard.change_acl, place.residence, mailbox_id, key, number, how, rights)
            kept = await place.call(shard.grantees, place.residence)
            await self._executors.run("directory", self._shares.keep, owner_id, kept)
            return
        key, number = await self.grantee(place.owner, identifier)
        await self._executors.run("directory", self._shares.put, owner_id, number)
        await place.change(shard.change_acl, place.residence, mailbox_id, key, number, how, rights)


def _residence(login: Login) -> Residence | None:
    """None where this platform does not serve the account now."""
    route = login.route
    if route.door is not Door.SERVE or not isinstance(route.home, ShardHome):
        return None
    return Residence(login.account.id, route.home.shard, route.epoch)


def _grantee(owner: Login, who: Account) -> Grantee:
    return Grantee(who.id, who.address.key, owner.account.address.domain == who.address.domain)


def _find(place: Place, looked: Collection[str]) -> Rights:
    """On the first of these mailboxes that there is. Raises NotFound. The shard may not have heard of the route yet:
    who comes first says it, as a login does."""
    shard, residence = place.shard, place.residence
    assert place.who is not None
    shard.grant(residence.account_id, residence.epoch, place.owner.address.domain)
    for name in looked:
        try:
            return shard.rights(residence, shard.mailbox(residence, name).id, place.who)
        except NotFound:
            continue
    raise NotFound(f"account {residence.account_id} has none of the mailboxes {looked}")
