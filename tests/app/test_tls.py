"""A renewed certificate is in service without a restart; one that is broken never is."""

import hashlib
import socket
import ssl
import threading
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailplat.access.channel import CertificateContext
from mailplat.app.sections import CertificatePair, TlsSection
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


def handshake(
    context: ssl.SSLContext,
    name: str | None = None,
    *,
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> tuple[list[str], bytes | None]:
    """A client that asks for this name: the names in the certificate that it sees, and what the server takes for the
    end point of the channel. Raises ssl.SSLError where there is none. In memory, octets passed to and fro."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # an old version is what is tried
        client.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        client.maximum_version = newest
    client.set_ciphers("ALL:@SECLEVEL=0")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(down, up, server_hostname=name)
    ours = context.wrap_bio(up, down, server_side=True)
    waiting = {theirs, ours}
    while waiting:
        for each in (theirs, ours):
            try:
                each.do_handshake()
                waiting.discard(each)
            except ssl.SSLWantReadError:
                pass
    der = theirs.getpeercert(binary_form=True)
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    used = ours.context
    assert isinstance(used, CertificateContext)
    if used.end_point is not None:  # RFC 5929 4.1
        assert used.end_point == hashlib.sha256(der).digest()
    return names.value.get_values_for_type(x509.DNSName), used.end_point


def write(authority: trustme.CA, folder: Path, name: str, *names: str) -> CertificatePair:
    made = authority.issue_cert(*names)
    pair = CertificatePair(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    made.cert_chain_pems[0].write_to_path(pair.certificate)
    made.private_key_pem.write_to_path(pair.key)
    return pair


@pytest.fixture
def several(authority: trustme.CA, tmp_path: Path) -> Certificate:
    first = write(authority, tmp_path, "first", "mail.example.test")
    others = [
        write(authority, tmp_path, "second", "mail.other.test", "imap.other.test"),
        write(authority, tmp_path, "wild", "*.wild.test", "mail.example.test"),
    ]
    return Certificate(TlsSection(certificate=first.certificate, key=first.key, others=others))


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (None, "mail.example.test"),
        ("unknown.test", "mail.example.test"),
        ("mail.example.test", "mail.example.test"),  # in two: the first in the settings
        ("mail.other.test", "mail.other.test"),
        ("IMAP.Other.Test", "mail.other.test"),
        ("any.wild.test", "*.wild.test"),
        ("two.labels.wild.test", "mail.example.test"),
        ("wild.test", "mail.example.test"),
    ],
)
def test_a_certificate_for_each_name(several: Certificate, asked: str | None, seen: str) -> None:
    assert several.context is not None
    names, end_point = handshake(several.context, asked)
    assert names[0] == seen
    assert end_point is not None


def test_each_is_renewed_by_itself(authority: trustme.CA, several: Certificate, tmp_path: Path) -> None:
    assert several.context is not None
    before = {name: handshake(several.context, name)[1] for name in ("mail.example.test", "mail.other.test")}
    assert not several.refresh()
    write(authority, tmp_path, "second", "mail.other.test", "new.other.test")
    (tmp_path / "wild.pem").write_text("broken")
    assert several.refresh()
    assert handshake(several.context, "mail.example.test")[1] == before["mail.example.test"]
    assert handshake(several.context, "mail.other.test")[1] != before["mail.other.test"]
    assert handshake(several.context, "new.other.test")[0] == ["mail.other.test", "new.other.test"]
    assert handshake(several.context, "imap.other.test")[0] == ["mail.example.test"]  # no longer in it
    assert handshake(several.context, "any.wild.test")[0][0] == "*.wild.test"  # the old one stays


def test_tls_1_2_at_least(several: Certificate) -> None:
    assert several.context is not None
    assert handshake(several.context, newest=ssl.TLSVersion.TLSv1_2)[0] == ["mail.example.test"]
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
        with pytest.raises(ssl.SSLError):
            handshake(several.context, newest=version)


def test_a_signature_without_a_hash_binds_nothing(tmp_path: Path) -> None:
    """Ed25519 (RFC 5929 4.1): there is no tls-server-end-point, and so no -PLUS."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mail.example.test")]), critical=False)
        .sign(key, None)
    )
    pair = CertificatePair(certificate=tmp_path / "ed.pem", key=tmp_path / "ed.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = Certificate(TlsSection(certificate=pair.certificate, key=pair.key)).context
    assert context is not None
    assert handshake(context) == (["mail.example.test"], None)
