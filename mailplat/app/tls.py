"""The TLS context of every door, and its certificates when those are renewed.

    the context of the doors   takes the ClientHello; its callback picks, by the name that the client asked for (SNI,
                               RFC 6066 3), the context of one certificate
    the context of a pair      is made anew when its files change, and lives as long as a connection has it

A name that no certificate has, and no name, get the first pair: who connects by address sees a certificate that he
may compare with what he knows, and not an alert.
"""

import asyncio
import hashlib
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mailplat.access.channel import CertificateContext
from mailplat.app.sections import CertificatePair, TlsSection
from mailplat.core.errors import InvalidInput

log = structlog.get_logger("tls")

# Seconds between two looks at the files: a renewed certificate is in service before anybody wonders.
LOOK_S = 5.0

_Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """`context` serves all doors; new handshakes have the certificates that were read last. None settings: no TLS."""

    def __init__(self, settings: TlsSection) -> None:
        """Raises InvalidInput when the files cannot be read or do not belong together."""
        self._pairs = [_Pair(each) for each in settings.pairs]
        self._by_name: dict[str, _Pair] = {}
        self.context: ssl.SSLContext | None = None
        for pair in self._pairs:
            try:
                pair.load()
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                raise InvalidInput(f"tls: {pair.files[0]} and {pair.files[1]}: {error}") from error
        if self._pairs:
            self._index()
            self.context = _context(ssl.SSLContext, self._pairs[0].files)
            self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        """Called in each handshake, also where the client asks for no name."""
        connection.context = self._find(name or "").context

    def _find(self, name: str) -> "_Pair":
        name = name.lower().removesuffix(".")
        # RFC 6125 6.4.3: a wildcard is one whole label, the first
        wildcard = "*." + name.partition(".")[2]
        return self._by_name.get(name) or self._by_name.get(wildcard) or self._pairs[0]

    def _index(self) -> None:
        """Where two have a name, the first in the settings is its."""
        self._by_name = {name: pair for pair in reversed(self._pairs) for name in pair.names}

    def refresh(self) -> bool:
        """Take files into service that have changed and fit together; True when it was done with any. Where they do
        not fit the old certificate stays, and the log says why."""
        taken = False
        for pair in self._pairs:
            try:
                if not pair.changed():
                    continue
                pair.load()
            except (OSError, ValueError) as error:
                log.error(
                    "new certificate not taken; the old one stays in service",
                    certificate=str(pair.files[0]),
                    reason=str(error),
                )
            else:
                log.info("new certificate in service", certificate=str(pair.files[0]))
                taken = True
        if taken:
            self._index()
        return taken

    async def watch(self, stop: asyncio.Event) -> None:
        """Refresh until `stop`."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                await asyncio.to_thread(self.refresh)


class _Pair:
    """One certificate with its key: files, and what was read of them last."""

    def __init__(self, pair: CertificatePair) -> None:
        self.files = (pair.certificate, pair.key)
        self.names: Sequence[str] = ()
        self.context: CertificateContext
        self._stamp: _Stamp = ()

    def changed(self) -> bool:
        """Since the last time that this, or `load`, looked. Raises OSError."""
        before, self._stamp = self._stamp, self._look()
        return before != self._stamp

    def load(self) -> None:
        """Raises OSError and ValueError, and leaves what there was."""
        stamp = self._stamp = self._look()
        context = _context(CertificateContext, self.files)
        certificate = x509.load_pem_x509_certificate(self.files[0].read_bytes())
        context.end_point = _end_point(certificate)
        if self._look() != stamp:  # else the hash may be another certificate's
            self._stamp = ()
            raise OSError("the files changed while they were read")
        self.context, self.names = context, _names(certificate)

    def _look(self) -> _Stamp:
        seen = [os.stat(path) for path in self.files]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in seen)


_C = TypeVar("_C", bound=ssl.SSLContext)


def _context(kind: type[_C], files: tuple[Path, Path]) -> _C:
    """TLS 1.2 and newer (RFC 8996, RFC 9325 3.1.1), with the certificate and key in these files."""
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*files)
    return context


def _names(certificate: x509.Certificate) -> list[str]:
    """DNS names, in lower case; wildcards as they are. Without a subjectAltName it has none (RFC 6125 6.4.4 is for
    clients that are older than this)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in found.value.get_values_for_type(x509.DNSName)]


def _end_point(certificate: x509.Certificate) -> bytes | None:
    """The hash of the certificate by the hash of its signature, SHA-256 in the place of MD5 and SHA-1; None where the
    signature has none, as with Ed25519 (RFC 5929 4.1)."""
    signed = certificate.signature_hash_algorithm
    if signed is None:
        return None
    name = "sha256" if signed.name in ("md5", "sha1") else signed.name
    return hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()
