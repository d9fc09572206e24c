"""Rights of others on one account's mailboxes, from there to here, and compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mailplat.access.imap import Sharing
from mailplat.access.imap.sharing import NoGrantee
from mailplat.core.errors import InvalidInput
from mailplat.core.executors import Executors
from mailplat.core.rights import NONE, parse, render
from mailplat.directory import Account
from mailplat.directory.shares import Shares
from mailplat.store import Mailbox
from mailplat.store.names import SEPARATOR
from mailplat.store.types import Entry
from migration.beside.kept import Kept, Left
from migration.beside.mapping import Given, Said, give, sort
from migration.target import Target

# Identifiers in a mailbox's list here (core/limits/store.py) that a move makes at most: room for its owner.
MAX_GIVEN = 200
# Entries that are left and told one by one: a person approves them so.
MAX_LEFT = 500


@runtime_checkable
class Lists(Protocol):
    """A source that can tell."""

    @property
    def offers_acl(self) -> bool: ...

    @property
    def has_old_rights(self) -> bool: ...

    async def access_lists(self, wires: Mapping[str, bytes]) -> dict[str, list[tuple[str, str]] | None]: ...


@dataclass(slots=True, kw_only=True)
class RightsHere:
    """Who can be given what on this account's mailboxes."""

    owner: Account
    target: Target
    executors: Executors
    shares: Shares
    sharing: Sharing | None  # None: nothing is shared on this platform
    most: int = MAX_GIVEN
    _known: dict[str, tuple[str, int] | str] = field(default_factory=dict)  # looked up once a reading

    async def translate(
        self, said: Mapping[str, list[tuple[str, str]] | None], *, old: bool
    ) -> dict[str, Given]:
        """By mailbox. Raises Unavailable."""
        owners = frozenset({"owner", self.owner.address.key.lower(), str(self.owner.address).lower()})
        self._known = {}
        found: dict[str, Given] = {}
        for name, entries in said.items():
            if entries is None:
                why = "the server does not tell it; the master user needs the owner's rights"
                found[name] = Given(left=[Left("the list", why)])
                continue
            listed = sort([Said(*pair) for pair in entries], owners, old=old)
            await self._look_up({*listed.users, *listed.denied})
            found[name] = give(listed, self._known, self.most)
            if found[name].rights and (why := self._impossible):
                given = found[name]
                given.left += [Left(f"{key} {render(some)}", why) for key, some in given.rights.items()]
                given.rights = {}
        return found

    @property
    def _impossible(self) -> str:
        if self.sharing is None:
            return "nothing is shared on this platform: imap.shared_prefix is empty"
        if SEPARATOR in self.owner.address.local:
            return "mailboxes of an address with a slash cannot be shared"
        return ""

    async def _look_up(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._known:
                continue
            if self.sharing is None:
                self._known[name] = "nothing is shared on this platform: imap.shared_prefix is empty"
                continue
            try:
                self._known[name] = await self.sharing.grantee(self.owner, name)
            except InvalidInput as error:
                self._known[name] = str(error)
            except NoGrantee:
                self._known[name] = "there is no account of this name here"

    async def put(self, wanted: Mapping[str, Given]) -> None:
        """These and no others on every mailbox; none on one that `wanted` lacks. Raises Unavailable, StaleEpoch."""
        shared = await self.target.acls()
        if not shared and not any(each.rights for each in wanted.values()):
            return
        for mailbox in (await self.target.mailboxes()).values():
            given, here = wanted.get(mailbox.name, Given()), shared.get(mailbox.id, {})
            for key in here.keys() - given.rights.keys():
                await self.target.set_rights(mailbox.id, key, 0, NONE)
            for key, rights in given.rights.items():
                number = given.numbers[key]
                if here.get(key) == Entry(number, rights):
                    continue
                # Before the right, or nobody finds it (directory/shares.py).
                await self.executors.run("directory", self.shares.put, self.owner.id, number)
                await self.target.set_rights(mailbox.id, key, number, rights)
        grantees = await self.target.grantees()
        await self.executors.run("directory", self.shares.keep, self.owner.id, grantees)

    async def differences(self, wanted: Mapping[str, Given]) -> list[str]:
        shared, found = await self.target.acls(), []
        for name, mailbox in (await self.target.mailboxes()).items():
            here = {key: entry.rights for key, entry in shared.get(mailbox.id, {}).items()}
            there = wanted.get(name, Given()).rights
            found += [
                f"{name}: {key} may {render(here.get(key, NONE)) or 'nothing'} here,"
                f" {render(there.get(key, NONE)) or 'nothing'} there"
                for key in sorted({*here, *there})
                if here.get(key, NONE) != there.get(key, NONE)
            ]
        return found


def to_kept(source: str, wanted: Mapping[str, Given], mailboxes: Mapping[str, Mailbox]) -> Kept:
    """`things`: by MAILBOXID, as `from_kept` reads them."""
    things: dict[str, Any] = {}
    left: list[Left] = []
    for name, given in wanted.items():
        left += [Left(f"{name}: {each.what}", each.why) for each in given.left]
        if given.rights and name in mailboxes:
            things[mailboxes[name].object_id] = {
                "name": name,
                "rights": {key: render(rights) for key, rights in given.rights.items()},
                "numbers": {key: given.numbers[key] for key in given.rights},
                "spelled": {key: given.spelled[key] for key in given.rights},
            }
    if len(left) > MAX_LEFT:
        left[MAX_LEFT:] = [Left(f"{len(left) - MAX_LEFT} more entries", "as those above")]
    return Kept(source, things=things, left=left)


def from_kept(known: Kept, mailboxes: Mapping[str, Mailbox]) -> dict[str, Given]:
    """By the names that the mailboxes have now."""
    names = {each.object_id: name for name, each in mailboxes.items()}
    return {
        names[object_id]: Given(
            rights={key: parse(letters) for key, letters in each["rights"].items()},
            numbers=each["numbers"],
            spelled=each["spelled"],
        )
        for object_id, each in known.things.items()
        if object_id in names
    }
