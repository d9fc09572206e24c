"""The oracle: what was accepted, kept outside of both platforms, and what came back."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.letters import token_of


@dataclass
class Accepted:
    recipient: str
    digest: str
    size: int


@dataclass
class Ledger:
    """Thread-safe. A letter is accepted when its 250 arrived; only then is it owed."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    offered: dict[str, Accepted] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    waits: Counter[str] = field(default_factory=Counter)  # longest wait of each kind of client, milliseconds
    reconnects: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, token: str, recipient: str, octets: bytes) -> None:
        with self.lock:
            self.offered[token] = Accepted(recipient, hashlib.sha256(octets).hexdigest(), len(octets))

    def accept(self, token: str) -> None:
        with self.lock:
            self.accepted[token] = self.offered[token]

    def error(self, client: str, what: object) -> None:
        with self.lock:
            self.errors.append(f"{client}: {what}")

    def reconnect(self, client: str) -> None:
        with self.lock:
            self.reconnects[client] += 1

    @contextmanager
    def wait(self, client: str) -> Iterator[None]:
        """Time one wait of a client, from asking to being served, reconnects included."""
        began = time.monotonic()
        yield
        took = int((time.monotonic() - began) * 1000)
        with self.lock:
            self.waits[client] = max(self.waits[client], took)


@dataclass
class Reading:
    """What one account's mail says against the ledger."""

    messages: int = 0
    identical: int = 0
    changed: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def add(self, octets: bytes, ledger: Ledger) -> None:
        """One message as a client got it. What stands above the letter must be whole trace fields."""
        token = token_of(octets)
        if token is None:
            return
        self.messages += 1
        self.seen[token] += 1
        owed = ledger.offered.get(token)
        if (
            owed
            and hashlib.sha256(octets[-owed.size :]).hexdigest() == owed.digest
            and is_trace(octets[: -owed.size])
        ):
            self.identical += 1
        else:
            self.changed.append(token)

    @property
    def doubled(self) -> list[str]:
        return sorted(token for token, count in self.seen.items() if count > 1)


TRACE = (b"return-path", b"received", b"authentication-results", b"delivered-to", b"x-mailplat-relay")


def is_trace(prefix: bytes) -> bool:
    """Only header fields that a mail system adds in transit (RFC 5321 4.4, RFC 8601)."""
    fields = prefix.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n")
    return fields[-1] == b"" and all(line.partition(b":")[0].lower() in TRACE for line in fields[:-1])


def missing(ledger: Ledger, readings: dict[str, Reading]) -> list[str]:
    """Tokens that were accepted for an account and are not in it."""
    return sorted(
        token
        for token, owed in ledger.accepted.items()
        if token not in readings.get(owed.recipient, Reading()).seen
    )
