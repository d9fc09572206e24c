"""What a parser of this room raises. The texts hold nothing of what the client sent and may go to it."""

from mailplat.core.errors import InvalidInput


class BadSyntax(InvalidInput):
    """The command is not what the grammar allows: `TAG BAD text`."""


class UidRequired(BadSyntax):
    """A sequence number of a client that has enabled UIDONLY: `TAG BAD [UIDREQUIRED] text` (RFC 9586 3.1)."""

    def __init__(self) -> None:
        super().__init__("UIDONLY is enabled: name messages by UID")


class BadCharset(InvalidInput):
    """SEARCH names a charset that we do not know: `TAG NO [BADCHARSET (US-ASCII UTF-8)] text`."""
