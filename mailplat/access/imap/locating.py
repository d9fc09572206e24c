"""The one way from a name that a client says to a mailbox: whose it is, where, and whether the command may go there.

An own name costs nothing here: the owner may do everything, and whether there is such a mailbox the store says in the
command's own call. For a name of somebody else's a Place is given out only when the rights are there that NEEDS has
for the operation. Refusals are the same for what is not there and for what may not be known (RFC 4314 6): NotFound.
"""

from mailplat.access.imap.place import Place
from mailplat.access.imap.session import Session


def spelled(session: Session, name: str) -> str:
    """The one spelling of a name."""
    sharing = session.services.sharing
    return name if sharing is None else sharing.spelled(name)


async def locate(session: Session, name: str, operation: str) -> Place:
    """A mailbox that there is. Raises NotFound, NoRight, Unavailable."""
    sharing = session.services.sharing
    found = None if sharing is None else sharing.split(name)
    if sharing is None or found is None:
        return session.own(name)
    place = await sharing.mailbox(session.account, *found)
    place.check(operation)
    return place


async def locate_new(session: Session, name: str, operation: str) -> Place:
    """Where a mailbox is to be made. Raises NotFound, NoRight, Unavailable."""
    sharing = session.services.sharing
    found = None if sharing is None else sharing.split(name)
    if sharing is None or found is None:
        return session.own(name)
    place = await sharing.above(session.account, *found)
    place.check(operation)
    return place
