"""What a mechanism asks its door for."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from mailplat.core.errors import MailplatError


@dataclass(frozen=True, slots=True)
class Challenge:
    """To the client; the mechanism is sent its response, decoded. The first one is left out where the client sent an
    initial response (RFC 4422 4.3a)."""

    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class FindKeys:
    """The mechanism is sent the ScramKeys of this user; of one that has none, some that look alike."""

    name: str


@dataclass(frozen=True, slots=True)
class CheckToken:
    """The mechanism is sent the name of the token's owner, None for a token that opens nothing."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proven:
    """The client is who it says, and no password came over the wire."""

    name: str


class Rejected(MailplatError):
    """The proof or the token is wrong. `name` is whom the client wanted to be, "" where it did not say."""

    def __init__(self, name: str) -> None:
        super().__init__("wrong proof or token")
        self.name = name


# The return value is a Plain or a Proven; what is sent depends on what was yielded.
Exchange = Generator[Challenge | FindKeys | CheckToken, Any, Any]
