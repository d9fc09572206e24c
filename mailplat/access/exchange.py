"""One SASL exchange at a door of ours: which mechanisms there are, and what they ask for."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from mailplat.access.login import Granted, LoginService, Protocol
from mailplat.core.envelope import Peer
from mailplat.core.errors import InvalidInput
from mailplat.wire import sasl


class Cancelled(Exception):
    """The client sent `*` (RFC 4422 3.5)."""


# Sends a challenge and returns the client's line as it came, still in base64. What it raises ends the exchange.
Ask = Callable[[bytes], Awaitable[bytes]]


def mechanisms(login: LoginService, bindings: Mapping[str, bytes]) -> tuple[str, ...]:
    """What can work here, the strongest first; for connections that passwords may go over."""
    names: list[str] = []
    if login.offers_scram:
        names += ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"] if bindings else ["SCRAM-SHA-256"]
    if login.offers_tokens:
        names += ["OAUTHBEARER", "XOAUTH2"]
    return (*names, "PLAIN", "LOGIN")


def begin(name: str, login: LoginService, bindings: Mapping[str, bytes]) -> sasl.Exchange | None:
    """None for a mechanism that is not offered. Names are upper case."""
    if name not in mechanisms(login, bindings):
        return None
    match name:
        case "SCRAM-SHA-256-PLUS" | "SCRAM-SHA-256":
            return sasl.scram(bindings, plus=name.endswith("-PLUS"))
        case "OAUTHBEARER":
            return sasl.oauthbearer()
        case "XOAUTH2":
            return sasl.xoauth2()
        case "LOGIN":
            return sasl.login()
        case _:
            return sasl.plain()


@dataclass(frozen=True, slots=True)
class _Guess:
    """`shown`: the token, or the proof of a password, has come."""

    name: str = ""
    token: bool = False
    shown: bool = False


async def negotiate(
    exchange: sasl.Exchange,
    initial: bytes | None,
    ask: Ask,
    login: LoginService,
    peer: Peer,
    protocol: Protocol,
) -> sasl.Plain | sasl.Proven:
    """`initial`: the initial response, in base64. Raises InvalidInput, sasl.Rejected (whose failure is still to be
    counted), Cancelled, Unavailable, and what `ask` raises.

    Whoever has shown a token or a proof and then ends the exchange has learned whether it is right: he is counted,
    whether he cancels, answers nonsense or hangs up."""
    guess: _Guess | None = None
    try:
        question = next(exchange)
        while True:
            answer: object
            match question:
                case sasl.Challenge():
                    line = await ask(question.octets) if initial is None else initial
                    if line == b"*":
                        raise Cancelled
                    answer, initial = sasl.decode_base64(line), None
                    guess = guess and replace(guess, shown=True)
                case sasl.FindKeys():
                    answer, guess = await login.keys(question.name), _Guess(question.name)
                case sasl.CheckToken():
                    answer, guess = await login.owner(question.token), _Guess(token=True, shown=True)
            question = exchange.send(answer)
    except StopIteration as end:
        claim: sasl.Plain | sasl.Proven = end.value
        return claim
    except sasl.Rejected:
        raise
    except Exception as error:
        if guess is not None and guess.shown:
            if guess.token and isinstance(error, Cancelled | InvalidInput):
                raise sasl.Rejected("") from error  # the token was refused, and he is told so
            await login.count_failure(guess.name, peer, protocol)
        raise
    finally:
        exchange.close()


async def enter(
    claim: sasl.Plain | sasl.Proven, login: LoginService, peer: Peer, protocol: Protocol
) -> Granted:
    """Raises as LoginService.login and LoginService.admit do."""
    match claim:
        case sasl.Plain():
            return await login.login(claim.authcid, claim.password, peer, protocol)
        case sasl.Proven():
            return await login.admit(claim.name, peer, protocol)


def acts_for_another(claim: sasl.Plain | sasl.Proven) -> bool:
    """RFC 4616 2: an authorization identity that is not its own. Nobody may, here."""
    return isinstance(claim, sasl.Plain) and claim.authzid not in ("", claim.authcid)
