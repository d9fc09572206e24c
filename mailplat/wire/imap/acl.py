"""The arguments of SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 3). All raise BadSyntax."""

from dataclasses import dataclass
from typing import Literal

from mailplat.core.errors import InvalidInput
from mailplat.core.rights import Rights, parse
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.sasl.prep import saslprep

# Octets of an identifier: longer than any address (RFC 5321 4.5.3.1).
MAX_IDENTIFIER = 320


@dataclass(frozen=True, slots=True)
class SetAcl:
    mailbox: str
    identifier: str
    how: Literal["", "+", "-"]  # set, give, take
    rights: Rights


def parse_setacl(arguments: Arguments) -> SetAcl:
    mailbox, sent = _pair(arguments)
    identifier = _prepared(sent)
    arguments.space()
    letters = arguments.astring()
    arguments.end()
    how: Literal["", "+", "-"] = ""
    if letters[:1] == b"+":
        how = "+"
    elif letters[:1] == b"-":
        how = "-"
    try:
        # RFC 4314 3.1: a right that is not known is an error, none is passed over.
        return SetAcl(mailbox, identifier, how, parse(letters[len(how) :].decode("ascii")))
    except (InvalidInput, UnicodeDecodeError) as error:
        raise BadSyntax("a right that is none") from error


def parse_identified(arguments: Arguments) -> tuple[str, str, str]:
    """Mailbox, identifier, and that as it was sent: DELETEACL, LISTRIGHTS."""
    mailbox, sent = _pair(arguments)
    arguments.end()
    return mailbox, _prepared(sent), sent


def parse_mailbox(arguments: Arguments) -> str:
    """GETACL, MYRIGHTS."""
    arguments.space()
    mailbox = arguments.mailbox()
    arguments.end()
    return mailbox


def _pair(arguments: Arguments) -> tuple[str, str]:
    arguments.space()
    mailbox = arguments.mailbox()
    arguments.space()
    octets = arguments.astring()
    if len(octets) > MAX_IDENTIFIER:
        raise BadSyntax(f"an identifier of more than {MAX_IDENTIFIER} octets")
    try:
        return mailbox, octets.decode("utf-8")  # RFC 4314 3
    except UnicodeDecodeError as error:
        raise BadSyntax("an identifier is not UTF-8") from error


def _prepared(identifier: str) -> str:
    """RFC 4314 3."""
    try:
        prepared = saslprep(identifier)
    except InvalidInput as error:
        raise BadSyntax("an identifier that SASLprep refuses") from error
    if not prepared:
        raise BadSyntax("an identifier that is empty")
    return prepared
