"""INPROGRESS (RFC 9585): a command that takes long says how far it is, so that its client neither gives up nor asks
again."""

from mailplat.access.imap.session import Session
from mailplat.wire.imap.strings import string


class Progress:
    """Of one command; `total` is what `add` comes to in the end."""

    def __init__(self, session: Session, tag: str, total: int) -> None:
        self._session = session
        self._tag = tag
        self._total = total
        self._done = 0
        self._said = session.services.clock.monotonic()

    def add(self, count: int) -> None:
        """So much more is done. Says so when the client has heard nothing of it for limits.progress seconds."""
        self._done += count
        if self._done >= self._total:
            return  # the tagged reply is next
        now = self._session.services.clock.monotonic()
        if now - self._said >= self._session.limits.progress:
            self._said = now
            code = b"INPROGRESS (%b %d %d)" % (string(self._tag.encode("ascii")), self._done, self._total)
            self._session.out(b"* OK [%b] Still at it\r\n" % code)
