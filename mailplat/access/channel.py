"""What binds a login to its TLS channel (RFC 5056).

Of the kinds that SCRAM may use, `tls-server-end-point` (RFC 5929 4) needs the certificate, which we know ourselves.
`tls-exporter` (RFC 9266) needs SSL_export_keying_material, which Python's ssl does not offer, and `tls-unique` is not
defined for TLS 1.3; both are left out.
"""

import ssl
from collections.abc import Mapping

from mailplat.access.stream import Stream

END_POINT = "tls-server-end-point"


class CertificateContext(ssl.SSLContext):
    """A context with one certificate, for as long as it lives: what is in force with the client is then known by its
    context. `end_point`: the hash of the certificate; None where it has none (RFC 5929 4.1)."""

    end_point: bytes | None = None


def bindings(stream: Stream) -> Mapping[str, bytes]:
    """The data of each kind that this connection has; empty in clear, and behind who ends TLS for us."""
    secured = stream.writer.get_extra_info("ssl_object")
    if secured is None:
        return {}
    context = secured.context
    # A client that resumes a session may have seen the certificate before this one.
    if not isinstance(context, CertificateContext) or context.end_point is None or secured.session_reused:
        return {}
    return {END_POINT: context.end_point}
