"""What is advertised, and when (RFC 3501 7.2.1). Only what is complete and tested is named."""

from mailplat.access.channel import bindings
from mailplat.access.exchange import mechanisms
from mailplat.access.imap.session import Session, State

# Before login too: what a client needs to know to log in, and what it may use to do so.
ALWAYS = ("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE")

AFTER_LOGIN = (
    "IDLE",  # RFC 2177
    "NAMESPACE",  # RFC 2342
    "CHILDREN",  # RFC 3348
    "MULTIAPPEND",  # RFC 3502
    "UNSELECT",  # RFC 3691
    "UIDPLUS",  # RFC 4315
    "ESEARCH",  # RFC 4731
    "LIST-EXTENDED",  # RFC 5258
    "LIST-STATUS",  # RFC 5819
    "SPECIAL-USE",  # RFC 6154
    "CREATE-SPECIAL-USE",  # RFC 6154
    "MOVE",  # RFC 6851
    "CONDSTORE",  # RFC 7162
)


def may_log_in(session: Session) -> bool:
    """Passwords in clear need TLS, unless the admin's setting says otherwise (RFC 3501 6.2.3, LOGINDISABLED)."""
    return session.stream.tls or session.services.plaintext_without_tls


def capabilities(session: Session) -> bytes:
    """The atoms after CAPABILITY, for the state the connection is in."""
    if session.state is not State.NOT_AUTHENTICATED:
        limit = f"APPENDLIMIT={session.limits.message_size}"  # RFC 7889
        return " ".join((*ALWAYS, *AFTER_LOGIN, limit)).encode()
    atoms = [*ALWAYS]
    if session.services.tls is not None and not session.stream.tls:
        atoms.append("STARTTLS")
    if may_log_in(session):
        atoms += [f"AUTH={name}" for name in mechanisms(session.services.login, bindings(session.stream))]
    else:
        atoms.append("LOGINDISABLED")
    return " ".join(atoms).encode()
