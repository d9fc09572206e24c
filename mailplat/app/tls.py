"""The TLS context of every door, and its certificate when that is renewed."""

import asyncio
import os
import ssl

import structlog

from mailplat.app.settings import TlsSection
from mailplat.core.errors import InvalidInput

log = structlog.get_logger("tls")

# Seconds between two looks at the files: a renewed certificate is in service before anybody wonders.
LOOK_S = 5.0

_Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """`context` serves all doors; new handshakes have the certificate that was read last. None settings: no TLS."""

    def __init__(self, settings: TlsSection) -> None:
        """Raises InvalidInput when the files cannot be read or do not belong together."""
        self._settings = settings
        self._stamp: _Stamp = ()
        self.context: ssl.SSLContext | None = None
        if settings.certificate is not None:
            try:
                self._stamp = self._look()
                self.context = self._load()
            except (OSError, ssl.SSLError) as error:
                raise InvalidInput(f"tls: {settings.certificate} and {settings.key}: {error}") from error

    def _load(self) -> ssl.SSLContext:
        """TLS 1.2 and newer."""
        assert self._settings.certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._settings.certificate, self._settings.key)
        return context

    def _look(self) -> _Stamp:
        files = (self._settings.certificate, self._settings.key)
        seen = [os.stat(path) for path in files if path is not None]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in seen)

    def refresh(self) -> bool:
        """Take the files into service where they have changed and fit together; True when it was done. Else the old
        certificate stays, and the log says why."""
        if self.context is None or self._settings.certificate is None:
            return False
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            self._load()  # into a context of its own first: a pair that does not fit would spoil the one in service
            self.context.load_cert_chain(self._settings.certificate, self._settings.key)
        except (OSError, ssl.SSLError) as error:
            log.error("new certificate not taken; the old one stays in service", reason=str(error))
            return False
        log.info("new certificate in service", certificate=str(self._settings.certificate))
        return True

    async def watch(self, stop: asyncio.Event) -> None:
        """Refresh until `stop`."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                await asyncio.to_thread(self.refresh)
