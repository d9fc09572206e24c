"""All mailboxes that a session may see, its own and those that others share with it, by the names it has for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from mailplat.access.imap.place import Place
from mailplat.access.imap.session import Session
from mailplat.store.types import Mailbox
from mailplat.wire.imap.listing import ListProgram


@dataclass(frozen=True, slots=True)
class Seen:
    mailboxes: list[Mailbox]  # under the names that the session sees; of others only those with the right "l"
    subscriptions: frozenset[str]
    shared: Mapping[str, Place]  # of others, by that name
    home: Place  # of all else

    def place(self, name: str) -> Place:
        return self.shared.get(name, self.home)


async def look_around(session: Session, program: ListProgram | None = None) -> Seen:
    """`program`: the LIST that is to be answered; others are not looked for where it cannot name them. Raises
    Unavailable where the account's own mailboxes cannot be read; others that cannot are left out."""
    home, sharing = session.own(""), session.services.sharing

    def read() -> tuple[list[Mailbox], frozenset[str]]:
        return home.shard.mailboxes(home.residence), frozenset(home.shard.subscriptions(home.residence))

    mailboxes, subscriptions = await session.call(read)
    if sharing is None:
        return Seen(mailboxes, subscriptions, {}, home)
    # An own mailbox whose name is of the form of a shared one cannot be reached while the prefix is what it is.
    mailboxes = [mailbox for mailbox in mailboxes if sharing.split(mailbox.name) is None]
    shared: dict[str, Place] = {}
    if program is None or sharing.may_match([program.reference + each for each in program.patterns]):
        for place, mailbox in await sharing.listed(session.account):
            shared[place.shown] = place
            mailboxes.append(mailbox)
    return Seen(mailboxes, subscriptions, shared, home)
