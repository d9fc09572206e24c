"""A renewed certificate is in service without a restart; one that is broken never is."""

import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from mailplat.app.settings import TlsSection
from mailplat.app.tls import Certificate
from mailplat.core.errors import InvalidInput


def issue(authority: trustme.CA, folder: Path, *, certificate: bool = True, key: bool = True) -> str:
    """New files; the certificate's serial number, if it was written."""
    made = authority.issue_cert("mail.example.test")
    if certificate:
        made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    if key:
        made.private_key_pem.write_to_path(folder / "key.pem")
    return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode()).hex()


def served(context: ssl.SSLContext) -> str:
    """What a client sees in a handshake now."""
    ours, theirs = socket.socketpair()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE

    def serve() -> None:
        with context.wrap_socket(ours, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(theirs) as connection:
        found = connection.getpeercert(binary_form=True)
        connection.send(b"x")
        thread.join(10)
    assert found is not None
    return found.hex()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def test_a_renewed_certificate_is_served(authority: trustme.CA, tmp_path: Path) -> None:
    first = issue(authority, tmp_path)
    certificate = Certificate(TlsSection(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"))
    assert certificate.context is not None
    assert served(certificate.context) == first
    assert not certificate.refresh()
    second = issue(authority, tmp_path)
    assert certificate.refresh()
    assert served(certificate.context) == second != first


def test_a_pair_that_does_not_fit_is_never_served(authority: trustme.CA, tmp_path: Path) -> None:
    first = issue(authority, tmp_path)
    certificate = Certificate(TlsSection(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"))
    assert certificate.context is not None
    issue(authority, tmp_path, key=False)
    assert not certificate.refresh()
    (tmp_path / "key.pem").unlink()
    assert not certificate.refresh()
    assert served(certificate.context) == first
    second = issue(authority, tmp_path)
    assert certificate.refresh()
    assert served(certificate.context) == second


def test_at_the_start_it_must_fit(authority: trustme.CA, tmp_path: Path) -> None:
    issue(authority, tmp_path)
    issue(authority, tmp_path, certificate=False)
    with pytest.raises(InvalidInput, match=r"^tls: .*cert\.pem"):
        Certificate(TlsSection(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"))
