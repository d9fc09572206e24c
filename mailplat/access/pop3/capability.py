"""What CAPA names (RFC 2449): the same before and after login, but for what TLS changes."""

from mailplat.access.channel import bindings
from mailplat.access.exchange import mechanisms
from mailplat.access.pop3.session import Session
from mailplat.wire import pop3


def capabilities(session: Session) -> list[str]:
    """USER and SASL only where a password may be sent; STLS only where TLS can still begin."""
    # RFC 2449 6.7: nothing is ever removed for its age. 6.6: no LOGIN-DELAY, clients may poll.
    # RFC 6856 2.2: USER behind UTF8, since names and passwords are read as UTF-8.
    names = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8 USER", "LANG"]
    if session.may_log_in:
        offered = mechanisms(session.services.login, bindings(session.stream))
        names += ["USER", f"SASL {' '.join(offered)}"]
    if session.services.tls is not None and not session.stream.tls:
        names.append("STLS")
    return [*names, "IMPLEMENTATION mailplat"]


async def capa(session: Session, command: pop3.Command) -> None:
    lines = "".join(f"{name}\r\n" for name in capabilities(session))
    session.out(pop3.ok("Capability list follows") + lines.encode("ascii") + b".\r\n")
