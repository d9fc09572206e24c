"""Access tokens of OAuth 2.0, looked at by the authorization server that gave them (RFC 7662).

    POST /introspect HTTP/1.1                       {"active": true, "username": "anna@example.com",
    Authorization: Basic ...                         "scope": "mail", "exp": 1735689600}
    token=...&token_type_hint=access_token

A yes is remembered for a short while, never beyond the token's own end; a no is not. What is not understood, or does
not come in time, is Unavailable: the client may try the same token again, and nobody is let in.
"""

import asyncio
import base64
import collections
import hashlib
import json
import ssl
import urllib.parse
from dataclasses import dataclass, field

import h11

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, Unavailable

# Answers that are remembered; 200 octets each.
CACHE_ENTRIES = 10_000
# Octets of an answer. Claims of a user are a few hundred; beyond it this is no answer of introspection.
MAX_ANSWER = 64 * 1024
# Questions under way at once in one process; more wait. An authorization server is made for such numbers, and a
# thousand clients that come back after a restart shall not be a thousand connections to it.
MAX_CONCURRENT = 20
# And so many may wait: at 20 answers in 0.1 s each they wait for a second.
MAX_WAITING = 200


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    url: str  # of the introspection endpoint, https:// or http://
    client_id: str
    client_secret: str = field(default="", repr=False)
    scope: str = ""  # that a token must have; "": none is asked for
    audience: str = ""  # that a token must be for (aud); "": none is asked for
    claim: str = "username"  # the member of the answer that has the address
    timeout: float = 5.0  # seconds, connecting included
    cache: float = 60.0  # seconds that a yes is good for
    tls: ssl.SSLContext | None = None  # None: the system's authorities


class Introspection:
    """One per process. Raises InvalidInput for a URL that cannot be asked."""

    def __init__(self, settings: OAuthSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        parts, port = _split(settings.url)
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = port or (443 if self._secure else 80)
        self._authority = parts.netloc
        self._target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self._tls = settings.tls
        if self._secure and self._tls is None:
            self._tls = ssl.create_default_context()
        self._free = asyncio.Semaphore(MAX_CONCURRENT)
        self._asking = 0
        self._known: collections.OrderedDict[bytes, tuple[str, float]] = collections.OrderedDict()

    async def owner(self, token: str) -> str | None:
        """The address that the token speaks for; None where it is not active, or not for us. Raises Unavailable."""
        key = hashlib.sha256(token.encode()).digest()
        now = self._clock.monotonic()
        name, until = self._known.get(key, ("", 0.0))
        if name and now < until:
            return name
        if self._asking >= MAX_CONCURRENT + MAX_WAITING:
            raise Unavailable(f"{self._asking} tokens wait for their introspection")
        self._asking += 1
        try:
            async with asyncio.timeout(self._settings.timeout), self._free:
                answer = await self._ask(token)
        except (TimeoutError, OSError, h11.RemoteProtocolError) as error:  # ssl.SSLError is an OSError
            raise Unavailable(f"{self._settings.url}: {str(error) or 'no answer in time'}") from error
        finally:
            self._asking -= 1
        return self._judge(key, answer, now)

    def _judge(self, key: bytes, answer: dict[str, object], now: float) -> str | None:
        self._known.pop(key, None)
        if answer.get("active") is not True:
            return None
        scope = answer.get("scope", "")
        if self._settings.scope and (not isinstance(scope, str) or self._settings.scope not in scope.split()):
            return None
        if self._settings.audience and self._settings.audience not in _audiences(answer.get("aud")):
            return None
        name = answer.get(self._settings.claim)
        if not isinstance(name, str) or not name:
            raise Unavailable(
                f"{self._settings.url} names no {self._settings.claim!r} for an active token; is oauth.claim right?"
            )
        good_for = self._settings.cache
        expires = answer.get("exp")
        if isinstance(expires, int | float):
            left = expires - self._clock.now()
            if left <= 0:
                return None  # by our clock it is over
            good_for = min(good_for, left)
        self._known[key] = (name, now + good_for)
        while len(self._known) > CACHE_ENTRIES:
            self._known.popitem(last=False)
        return name

    async def _ask(self, token: str) -> dict[str, object]:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        try:
            status, octets = await self._exchange(reader, writer, token)
        finally:
            writer.transport.abort()  # nothing of it is wanted any more, and the close of TLS could take long
        if status != 200:
            raise Unavailable(f"{self._settings.url} answered with status {status}")
        try:
            answer = json.loads(octets)
        except ValueError as error:
            raise Unavailable(f"{self._settings.url} answered with something that is not JSON") from error
        if not isinstance(answer, dict):
            raise Unavailable(f"{self._settings.url} answered with something that is no JSON object")
        return answer

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str
    ) -> tuple[int, bytes]:
        """Status and body. Redirects are not followed: the secret goes where the admin said."""
        form = urllib.parse.urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(
            method="POST",
            target=self._target,
            headers=[
                ("Host", self._authority),
                ("Authorization", f"Basic {self._credentials()}"),
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Content-Length", str(len(form))),
                ("Accept", "application/json"),
                ("Connection", "close"),
            ],
        )
        for event in (request, h11.Data(form), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        status, body = 0, bytearray()
        while True:
            came = connection.next_event()
            if came is h11.NEED_DATA:
                connection.receive_data(await reader.read(16 * 1024))
            elif isinstance(came, h11.Response):
                status = came.status_code
            elif isinstance(came, h11.Data):
                body += came.data
                if len(body) > MAX_ANSWER:
                    raise Unavailable(f"{self._settings.url} answered with more than {MAX_ANSWER} octets")
            elif isinstance(came, h11.EndOfMessage):
                return status, bytes(body)
            elif isinstance(came, h11.ConnectionClosed):
                raise Unavailable(f"{self._settings.url} closed the connection")

    def _credentials(self) -> str:
        """RFC 6749 2.3.1: both are form-encoded first."""
        pair = (self._settings.client_id, self._settings.client_secret)
        return base64.b64encode(":".join(map(urllib.parse.quote_plus, pair)).encode()).decode()


def _audiences(claim: object) -> list[object]:
    """RFC 7662 2.2, RFC 7519 4.1.3: one or an array; compared as they are written."""
    return list(claim) if isinstance(claim, list) else [claim]


def _split(url: str) -> tuple[urllib.parse.SplitResult, int | None]:
    """And its port. Raises InvalidInput."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # what a resolver is asked for
    except ValueError as error:
        raise InvalidInput(f"oauth.introspection_url: {url!r}: {error}") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise InvalidInput(f"oauth.introspection_url: {url!r} is no https:// or http:// URL")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput(f"oauth.introspection_url: {url!r}: write other characters as %XX (RFC 3986 2.1)")
    return parts, port
