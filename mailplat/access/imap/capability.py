"""What is advertised, and when (RFC 3501 7.2.1). Only what is complete and tested is named."""

from mailplat.access.channel import bindings
from mailplat.access.exchange import mechanisms
from mailplat.access.imap.request import State
from mailplat.access.imap.session import Session

# Before login too: what a client needs to know to log in, and what it may use to do so.
ALWAYS = ("IMAP4rev1", "IMAP4rev2", "LITERAL+", "SASL-IR", "ID", "ENABLE")

AFTER_LOGIN = (
    "IDLE",  # RFC 2177
    "NAMESPACE",  # RFC 2342
    "BINARY",  # RFC 3516
    "CHILDREN",  # RFC 3348
    "MULTIAPPEND",  # RFC 3502
    "UNSELECT",  # RFC 3691
    "UIDPLUS",  # RFC 4315
    "ESEARCH",  # RFC 4731
    "WITHIN",  # RFC 5032
    "SEARCHRES",  # RFC 5182
    "SORT",  # RFC 5256
    "THREAD=ORDEREDSUBJECT",  # RFC 5256
    "THREAD=REFERENCES",  # RFC 5256
    "SORT=DISPLAY",  # RFC 5957
    "ESORT",  # RFC 5267
    "LIST-EXTENDED",  # RFC 5258
    "LIST-STATUS",  # RFC 5819
    "SPECIAL-USE",  # RFC 6154
    "CREATE-SPECIAL-USE",  # RFC 6154
    "METADATA",  # RFC 5464
    "MOVE",  # RFC 6851
    "UTF8=ACCEPT",  # RFC 6855
    "MULTISEARCH",  # RFC 7377
    "CONDSTORE",  # RFC 7162
    "QRESYNC",  # RFC 7162
    "UNAUTHENTICATE",  # RFC 8437
    "STATUS=SIZE",  # RFC 8438
    "REPLACE",  # RFC 8508
    "NOTIFY",  # RFC 5465
    "QUOTA",  # RFC 9208
    "QUOTA=RES-STORAGE",  # RFC 9208
    "UIDONLY",  # RFC 9586
    "LIST-METADATA",  # RFC 9590
    "OBJECTID",  # RFC 8474
    "PREVIEW",  # RFC 8970
    "INPROGRESS",  # RFC 9585
    "SAVEDATE",  # RFC 8514
    "PARTIAL",  # RFC 9394
)


# Where mailboxes can be shared.
SHARING = (
    "ACL",  # RFC 4314
    "RIGHTS=kxte",  # RFC 4314 2.2
    "LIST-MYRIGHTS",  # RFC 8440
)


def may_log_in(session: Session) -> bool:
    """Passwords in clear need TLS, unless the admin's setting says otherwise (RFC 3501 6.2.3, LOGINDISABLED)."""
    return session.stream.tls or session.services.plaintext_without_tls


def _limits(session: Session) -> list[str]:
    """RFC 9738 3: one of the two, and only where there is such a limit."""
    if session.limits.message_limit:
        return [f"MESSAGELIMIT={session.limits.message_limit}"]
    return [f"SAVELIMIT={session.limits.save_limit}"] if session.limits.save_limit else []


def capabilities(session: Session) -> bytes:
    """The atoms after CAPABILITY, for the state the connection is in."""
    if session.state is not State.NOT_AUTHENTICATED:
        limit = f"APPENDLIMIT={session.limits.message_size}"  # RFC 7889
        compress = () if session.stream.compressed else ("COMPRESS=DEFLATE",)  # RFC 4978
        sharing = SHARING if session.services.sharing is not None else ()
        return " ".join((*ALWAYS, *AFTER_LOGIN, *sharing, *compress, *_limits(session), limit)).encode()
    atoms = [*ALWAYS]
    if session.services.tls is not None and not session.stream.tls:
        atoms.append("STARTTLS")
    if may_log_in(session):
        atoms += [f"AUTH={name}" for name in mechanisms(session.services.login, bindings(session.stream))]
    else:
        atoms.append("LOGINDISABLED")
    return " ".join(atoms).encode()
