"""What stops a move. Unavailable (mailplat.core.errors) is the other kind: try again later."""

from mailplat.core.errors import MailplatError, Unavailable


class Misbehaviour(MailplatError):
    """The source said something that no server of its protocol may say. The connection is of no use any more."""


class Unreachable(Unavailable):
    """No connection to the source, or it did not greet: it is away, whatever account one asks for."""


class Lost(Unavailable):
    """The source ended a connection in the middle: it went away, or what served the account died."""


class Throttled(Unavailable):
    """The source asked us to come back later. `retry_after`: seconds, where it said how many."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Halt(MailplatError):
    """A person has to look: nothing more is done to this account until `migrate resume`. The text says what was
    found and what to do; nothing was deleted."""


class FenceAborted(MailplatError):
    """The fence was taken back: the users are on the legacy platform as before, nothing is lost."""
