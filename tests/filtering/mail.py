"""What the tests of this room share: messages, transactions, keys, signatures."""

import base64
import functools
from collections.abc import Sequence

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.spool import Body
from mailplat.filtering.header import Header
from mailplat.filtering.verdict import Transaction

HOST = "mx.example.net"
NOW = 1_700_000_000.0

MESSAGE = (
    b"From: Joe <joe@sender.example>\r\n"
    b"To: jane@example.net\r\n"
    b"Subject: dinner\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"\r\n"
    b"Are you hungry yet?\r\n"
)


def crlf(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def header(octets: bytes) -> Header:
    return Header.of(octets, True)


def transaction(
    message: bytes | Body = MESSAGE,
    *,
    sender: str = "joe@sender.example",
    address: str = "192.0.2.1",
    helo: str = "mail.sender.example",
    account: str = "",
) -> Transaction:
    local, _, domain = sender.rpartition("@")
    return Transaction(
        Peer(address, 4711, helo, account=account),
        Envelope(Address(local, domain) if sender else NULL_SENDER),
        (Address("jane", "example.net"),),
        message if isinstance(message, Body) else Body.of(message),
        HOST,
        NOW,
    )


@functools.cache
def rsa_key(bits: int = 1024, number: int = 0) -> rsa.RSAPrivateKey:
    """Small, because the tests make many; `number` tells keys apart."""
    return rsa.generate_private_key(65537, bits)


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def public(key: rsa.RSAPrivateKey) -> str:
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def key_record(selector: str, domain: str, tags: str = "", *, bits: int = 1024, number: int = 0) -> str:
    """A line of a zone file."""
    text = f"v=DKIM1; {tags}p={public(rsa_key(bits, number))}"
    strings = " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))
    return f"{selector}._domainkey.{domain}. 60 IN TXT {strings}\n"


def sign(
    message: bytes,
    domain: str = "sender.example",
    selector: str = "s1",
    *,
    canonicalize: tuple[bytes, bytes] = (b"relaxed", b"relaxed"),
    headers: Sequence[bytes] = (b"from", b"to", b"subject", b"date"),
    bits: int = 1024,
    number: int = 0,
    **options: object,
) -> bytes:
    """The message with a signature on top, made by dkimpy."""
    field = dkim.sign(
        message,
        selector.encode(),
        domain.encode(),
        pem(rsa_key(bits, number)),
        canonicalize=canonicalize,
        include_headers=list(headers),
        **options,
    )
    return bytes(field) + message
