"""The SMTP envelope (RFC 5321 2.3.1). IMAP's ENVELOPE is `ImapEnvelope` in `wire/mime`."""

from dataclasses import dataclass

from mailplat.core.address import Address


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection."""

    address: str  # IP address, without port; "" for a Unix socket
    port: int
    helo: str = ""  # what it called itself (EHLO/HELO/LHLO), "" before
    esmtp: bool = False
    tls: str = ""  # protocol and cipher, "" in clear
    account: str = ""  # who logged in, "" when nobody


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message's reverse-path and what the client said about the message.
    `body` is "7BIT", "8BITMIME" (RFC 6152) or, on its way in only, "BINARYMIME" (RFC 3030); `utf8` is SMTPUTF8
    (RFC 6531)."""

    reverse_path: Address  # NULL_SENDER for <>
    body: str = "7BIT"
    utf8: bool = False
    declared_size: int = 0  # SIZE=, octets; 0 when not said
    require_tls: bool = False  # never in clear from here on (RFC 8689)
    ret: str = ""  # RET: "FULL", "HDRS", "" when not said (RFC 3461 4.3)
    envid: str = ""  # ENVID as the client wrote it, xtext (RFC 3461 4.4)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the sender wants to be told of one recipient (RFC 3461 4.1, 4.2)."""

    notify: str = ""  # "NEVER", or some of SUCCESS, FAILURE, DELAY with commas; "": not said
    orcpt: str = ""  # ORCPT as the client wrote it, "type;xtext"

    @property
    def success(self) -> bool:
        return "SUCCESS" in self.notify

    @property
    def failure(self) -> bool:
        """Who says nothing wants to hear of failures."""
        return not self.notify or "FAILURE" in self.notify


NO_WISH = Wish()
