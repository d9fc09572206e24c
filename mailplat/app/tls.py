"""The TLS context of every door."""

import ssl

from mailplat.app.settings import TlsSection
from mailplat.core.errors import InvalidInput


def server_context(settings: TlsSection) -> ssl.SSLContext | None:
    """TLS 1.2 and newer with the configured certificate; None when there is none. Raises InvalidInput when the
    files cannot be read or do not belong together."""
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"tls: {settings.certificate} and {settings.key}: {error}") from error
    return context
