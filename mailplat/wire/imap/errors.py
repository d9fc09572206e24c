"""What a parser of this room raises. The texts hold nothing of what the client sent and may go to it."""

from mailplat.core.errors import InvalidInput


class BadSyntax(InvalidInput):
    """The command is not what the grammar allows: `TAG BAD text`."""


class BadCharset(InvalidInput):
    """SEARCH names a charset that we do not know: `TAG NO [BADCHARSET (US-ASCII UTF-8)] text`."""
