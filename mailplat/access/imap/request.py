"""One command as it came, and the states that say which ones may come."""

import enum
from dataclasses import dataclass

from mailplat.wire.imap.arguments import Arguments


class State(enum.Enum):
    """RFC 3501 3."""

    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()
    LOGOUT = enum.auto()


@dataclass(slots=True)
class Request:
    """One command as it came."""

    tag: str
    name: str  # upper case; "UID FETCH" is a name of its own
    arguments: Arguments
    # The command read the changes in the same hop as its work: no second look before the tagged reply.
    fresh: bool = False
    # The lowest UID of those it worked on, where these are not all that it named (limiting.py).
    lowest: int | None = None

    @property
    def by_uid(self) -> bool:
        return self.name.startswith("UID ")
