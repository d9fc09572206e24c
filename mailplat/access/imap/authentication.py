"""LOGIN and AUTHENTICATE behind one door: to the account's shard, or through to its backend."""

import asyncio

from mailplat.access.exchange import enter
from mailplat.access.imap.capability import capabilities
from mailplat.access.imap.carrying import return_to_backend, stay
from mailplat.access.imap.refusal import BAD_LOGIN, ONLY_POP3, UNAVAILABLE, Tagged, no, ok
from mailplat.access.imap.session import ConnectionGone, Farewell, Session, log
from mailplat.access.login import AuthenticationFailed, Forward, PasswordNeeded, Serve
from mailplat.access.proxy import connect_imap, connect_pop3, say_farewell, splice
from mailplat.admin import metrics
from mailplat.core.errors import LimitReached, MailplatError, StaleEpoch, Unavailable
from mailplat.wire.imap import response
from mailplat.wire.imap.observer import Boundary
from mailplat.wire.sasl import Plain, Proven

# The route may change between its reading and the session's entry into the list; it is then read again.
_ATTEMPTS = 3


async def authenticate(session: Session, tag: str, claim: Plain | Proven) -> Tagged | None:
    """None: the connection was handed to a backend and is over."""
    for _ in range(_ATTEMPTS):
        try:
            granted = await enter(claim, session.services.login, session.peer, "imap")
            if isinstance(granted, Forward) and session.stream.compressed:
                # After UNAUTHENTICATE (RFC 8437): a backend takes over the octets of a connection as they are.
                return no("This account needs a connection without compression", "UNAVAILABLE")
            if isinstance(granted, Forward):
                return await _forward(session, tag, granted)
            return _enter(session, granted)
        except AuthenticationFailed:
            return failed(session, tag)
        except PasswordNeeded as error:
            log.info("login not possible so", reason=str(error))
            return no("This mailbox is on a server that takes a password only: use PLAIN or LOGIN", "CANNOT")
        except StaleEpoch:
            continue
        except Unavailable as error:
            log.warning("login not possible now", reason=str(error))
            return UNAVAILABLE
    return UNAVAILABLE


async def rejected(session: Session, tag: str, name: str) -> Tagged:
    """A wrong proof or token counts as a wrong password does."""
    try:
        await session.services.login.reject(name, session.peer, "imap")
    except AuthenticationFailed:
        return failed(session, tag)
    except Unavailable as error:
        log.warning("login not possible now", reason=str(error))
        return UNAVAILABLE


def _enter(session: Session, granted: Serve) -> Tagged:
    try:
        session.services.enter(session, granted)
    except LimitReached as error:
        log.warning("login refused", reason=str(error))
        return no("Too many connections of this account", "LIMIT")
    session.log_in(granted)
    return ok("Logged in", b"CAPABILITY " + capabilities(session))


def failed(session: Session, tag: str) -> Tagged:
    """One text for an unknown user and a wrong password. The connection ends after some."""
    session.failures += 1
    if session.failures >= session.limits.login_failures:
        session.out(response.tagged(tag, "NO", BAD_LOGIN.text, BAD_LOGIN.code))
        raise Farewell("Too many failed logins")
    return BAD_LOGIN


async def _forward(session: Session, tag: str, granted: Forward) -> Tagged | None:
    """The backend checks the password. After its OK the connection is its own: what the client sent behind its login
    goes there too. The client's capabilities are now the backend's. When the account is fenced the session waits for
    its next home, where that can be (carrying.py); the login has been answered long before."""
    pop3_only = not granted.backend.imap
    try:
        upstream = await (connect_pop3(granted) if pop3_only else connect_imap(granted))
    except AuthenticationFailed:
        await session.services.login.failed(granted.name, session.peer, "imap", granted.found)
        raise
    if pop3_only:  # the password is right, which nobody else is told
        upstream.close()
        return ONLY_POP3
    session.handed_over = True
    session.ticket.close()
    session.out(b"%b OK %b\r\n" % (tag.encode("ascii"), upstream.text))
    session.stream.push()  # a client that does not read keeps no fence waiting: from here on splice listens for one
    session.stream.detach()
    session.interruptible = True  # at shutdown: nothing of ours is half done
    leftover, observer = session.framer.release(), None
    while True:
        reader, writer = session.stream.reader, session.stream.writer
        parked = await splice(reader, writer, upstream, leftover, observer, session.limits)
        if parked is None:
            raise ConnectionGone
        try:
            next_home = await session.services.login.resume(granted)
            if isinstance(next_home, Serve):
                await stay(session, next_home, parked)
                return None
            granted = next_home
            upstream, observer = await return_to_backend(session, granted, parked)
        except asyncio.CancelledError:  # the process stops
            session.stream.push()
            await say_farewell(writer, Boundary())
            raise
        except (MailplatError, AuthenticationFailed) as error:  # no reply: the login has been answered
            log.info("session not carried over", account=granted.account.id, reason=str(error))
            metrics.dropped.labels("home").inc()
            session.stream.push()  # what is gathered comes before BYE
            await say_farewell(writer, Boundary())
            raise ConnectionGone from error
        leftover = parked.unsent
