"""Who is it? USER and PASS (RFC 1939 7), AUTH (RFC 5034), STLS (RFC 2595), UTF8 (RFC 6856)."""

import contextlib
from base64 import b64encode

from mailplat.access import exchange
from mailplat.access.channel import bindings
from mailplat.access.login import AuthenticationFailed, Forward, MaildropInUse, PasswordNeeded, Serve
from mailplat.access.pop3.maildrop import Maildrop
from mailplat.access.pop3.session import NOT_NOW, Session, State, log
from mailplat.access.proxy import connect_pop3, splice
from mailplat.access.stream import PlaintextInjection, peer_of
from mailplat.core.errors import InvalidInput, StaleEpoch, Unavailable
from mailplat.core.route import ShardHome
from mailplat.wire import pop3, sasl

# The route may change between its reading and the session's entry into the list; it is then read again.
_ATTEMPTS = 3

# One text for an unknown user and a wrong password (RFC 3206 4: the code says that it is the credentials).
BAD_LOGIN = pop3.err("Wrong name or password", "AUTH")
PASSWORD_NEEDED = pop3.err(
    "This mailbox is on a server that takes a password only: use PASS, PLAIN or LOGIN", "SYS/PERM"
)
IN_USE = pop3.err("Another session has this maildrop, try again later", "IN-USE")
TLS_FIRST = pop3.err("Passwords only under TLS: use STLS first")


async def user(session: Session, command: pop3.Command) -> None:
    if not session.may_log_in:
        session.out(TLS_FIRST)
    elif not command.rest.strip():
        session.out(pop3.err("USER name"))
    else:
        session.name = command.rest.strip()
        session.out(pop3.ok("Now PASS"))  # whether he exists is not said (RFC 1939 7)


async def pass_(session: Session, command: pop3.Command) -> None:
    name, session.name = session.name, None
    if not session.may_log_in:
        session.out(TLS_FIRST)
    elif name is None:
        session.out(pop3.err("USER first"))
    else:
        try:
            claim = sasl.Plain("", name.decode("utf-8"), command.rest.decode("utf-8"))
        except UnicodeDecodeError:
            refuse(session)
            return
        await log_in(session, claim)


async def auth(session: Session, command: pop3.Command) -> None:
    mechanism, *responses = command.arguments or [b""]
    login, channel = session.services.login, bindings(session.stream)
    if not mechanism:
        # older than RFC 5034, and still sent: which are there?
        names = exchange.mechanisms(login, channel) if session.may_log_in else ()
        session.out(
            pop3.ok("Mechanisms follow") + b"".join(b"%b\r\n" % name.encode() for name in names) + b".\r\n"
        )
        return
    if not session.may_log_in:
        session.out(TLS_FIRST)
        return
    steps = exchange.begin(mechanism.decode("latin-1").upper(), login, channel)
    if steps is None or len(responses) > 1:
        offered = " ".join(exchange.mechanisms(login, channel))
        session.out(pop3.err(f"AUTH knows {offered} here"))
        return
    await _negotiate(session, steps, responses[0] if responses else None)


class _Overlong(InvalidInput):
    """A response of more than limits.sasl_line octets."""


async def _negotiate(session: Session, steps: sasl.Exchange, initial: bytes | None) -> None:
    """RFC 5034 4: the first response comes with the command, "=" where it is empty, or behind a challenge."""

    async def ask(challenge: bytes) -> bytes:
        session.out(b"+ %b\r\n" % b64encode(challenge))
        line = await session.line(session.limits.sasl_line)
        if line is None:
            session.state = State.ENDED
            raise ConnectionResetError
        if isinstance(line, pop3.Overlong):
            raise _Overlong
        return line

    try:
        if initial == b"=":
            initial = b""
        claim = await exchange.negotiate(steps, initial, ask, session.services.login, session.peer, "pop3")
    except exchange.Cancelled:
        _give_up(session, "Cancelled")
    except _Overlong:
        _give_up(session, "That response is too long")
    except InvalidInput as error:
        _give_up(session, f"Cannot be understood: {error}")
    except sasl.Rejected as error:  # counts as a wrong password does
        with contextlib.suppress(AuthenticationFailed):
            await session.services.login.reject(error.name, session.peer, "pop3")
        refuse(session)
    else:
        if exchange.acts_for_another(claim):
            refuse(session)
        else:
            await log_in(session, claim)


def _give_up(session: Session, text: str) -> None:
    """Each may have cost look-ups; a client that comes to no end is cut off like one that says no command."""
    session.out(pop3.err(text))
    session.unfinished += 1
    if session.unfinished >= session.limits.bad_commands:
        session.state = State.ENDED


async def log_in(session: Session, claim: sasl.Plain | sasl.Proven) -> None:
    """To the account's maildrop or backend; the reply is the client's."""
    for _ in range(_ATTEMPTS):
        try:
            granted = await exchange.enter(claim, session.services.login, session.peer, "pop3")
            if isinstance(granted, Forward):
                await _forward(session, granted)
            else:
                await _enter(session, granted)
            return
        except AuthenticationFailed:
            refuse(session)
            return
        except PasswordNeeded as error:
            log.info("login not possible so", reason=str(error))
            session.out(PASSWORD_NEEDED)
            return
        except StaleEpoch:
            continue
        except MaildropInUse:
            session.out(IN_USE)
            return
        except Unavailable as error:
            log.warning("login not possible now", reason=str(error))
            break
    session.out(NOT_NOW)


def refuse(session: Session) -> None:
    session.out(BAD_LOGIN)
    session.failures += 1
    if session.failures >= session.limits.login_failures:
        session.state = State.ENDED


async def _enter(session: Session, granted: Serve) -> None:
    residence = granted.residence
    session.granted = granted
    try:
        session.services.enter(session, granted)
        session.maildrop = await session.services.executors.ask_or_undo(
            session.lane,
            Maildrop.close,
            Maildrop.open,
            session.services.store.shard(residence.shard),
            residence,
        )
    except BaseException:
        session.granted = None
        raise
    session.state = State.TRANSACTION
    session.ticket.close()
    session.stream.timeout = session.limits.autologout
    session.tap = session.services.login.meter.open_tap(
        granted.account.address.domain, ShardHome(residence.shard), lambda: session.stream.sent
    )
    session.out(pop3.ok(f"{session.drop.count} messages ({session.drop.octets} octets)"))


async def _forward(session: Session, granted: Forward) -> None:
    """The backend checks the password. After its +OK the connection is its own: what the client sent behind its login
    goes there too."""
    try:
        upstream = await connect_pop3(granted, utf8=session.utf8)
    except AuthenticationFailed:
        await session.services.login.failed(granted.name, session.peer, "pop3", granted.found)
        raise
    session.handed_over = True
    session.ticket.close()
    session.state = State.ENDED
    session.out(b"+OK %b\r\n" % upstream.text)
    try:
        await session.stream.flush()
    except BaseException:
        upstream.close()
        raise
    session.stream.detach()
    with session.interruptible():
        await splice(session.stream.reader, session.stream.writer, upstream, session.lines.release())


async def stls(session: Session, command: pop3.Command) -> None:
    context = session.services.tls
    if context is None:
        session.out(pop3.err("TLS is not offered here"))
        return
    if session.stream.tls:
        session.out(pop3.err("TLS is active already"))
        return
    try:
        if session.lines.release():
            raise PlaintextInjection
        await session.stream.start_tls(context, pop3.ok("Begin TLS negotiation now"))
    except PlaintextInjection:
        log.warning("octets behind STLS before the handshake", peer=session.peer.address)
        session.out(pop3.err("Octets behind STLS before the handshake"))
        session.state = State.ENDED
        return
    # RFC 2595 4: forget what was said in clear.
    session.name = None
    session.utf8 = False
    session.peer = peer_of(session.stream.writer)


async def utf8(session: Session, command: pop3.Command) -> None:
    """RFC 6856 2. Names and passwords are read as UTF-8 anyway, and messages sent as they are kept in either mode."""
    if command.arguments:
        session.out(pop3.err("UTF8 has no arguments"))
        return
    session.utf8 = True
    session.out(pop3.ok("UTF8 enabled"))


async def leave(session: Session, command: pop3.Command) -> None:
    session.state = State.ENDED
    session.out(pop3.ok("Bye"))
