"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): the client proves that it knows the password, the server
that it knows its keys, and neither sends it. With -PLUS the proof also names the TLS channel, so that nobody who ends
TLS in between can pass it on.

    client  n,,n=user,r=NONCE
    server  r=NONCE+OURS,s=SALT,i=ITERATIONS
    client  c=BASE64(n,,),r=NONCE+OURS,p=PROOF
    server  v=SIGNATURE
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mailplat.core.errors import InvalidInput
from mailplat.wire.sasl.exchange import Challenge, Exchange, FindKeys, Proven, Rejected
from mailplat.wire.sasl.plain import MAX_PART
from mailplat.wire.sasl.prep import saslprep

# RFC 7677 4: about 0.1 s of a machine, at least 4096. A client computes it at each login, or keeps the result.
ITERATIONS = 15_000
SALT_OCTETS = 16

# Octets of a client's nonce. RFC 5802 has no limit; clients send 18 to 64.
MAX_NONCE = 512

# gs2-cbind-flag, authzid, client-first-message-bare with the user name and the nonce; extensions behind it are ours
# to ignore (RFC 5802 5.1, 7). `m=`, mandatory extensions, does not match: there are none.
_FIRST = re.compile(
    rb"(?P<gs2>(?:(?P<flag>[ny])|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>[^,\0]+))?,)"
    rb"(?P<bare>n=(?P<name>[^,\0]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\0]+)*)"
)
_FINAL = re.compile(
    rb"(?P<unproven>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\0]+)*)"
    rb",p=(?P<proof>[A-Za-z0-9+/=]+)"
)


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps of a password (RFC 5802 3). Who has it can try passwords, and can pose as the server, but
    cannot log in."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def derive_keys(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> ScramKeys:
    """About 10 ms. Raises InvalidInput for a password that SASLprep refuses."""
    salt = secrets.token_bytes(SALT_OCTETS) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return ScramKeys(salt, iterations, stored, _hmac(salted, b"Server Key"))


def scram(
    bindings: Mapping[str, bytes], *, plus: bool = False, nonce: Callable[[], str] = secrets.token_urlsafe
) -> Exchange:
    """Returns a Proven. `bindings`: the data of each kind of channel binding that this connection has and that were
    offered; empty where -PLUS was not. `plus`: the client chose that mechanism."""
    first = _understood(_FIRST, (yield Challenge()))
    gs2 = _check_binding(first, bindings, plus=plus)
    name = _name(first["name"])
    if first["authzid"] and _name(first["authzid"]) != name:
        raise Rejected(name)  # nobody acts for somebody else here
    if len(first["nonce"]) > MAX_NONCE:
        raise InvalidInput("a nonce that is too long")
    keys: ScramKeys = yield FindKeys(name)
    both = first["nonce"] + nonce().encode("ascii")
    promise = b"r=%b,s=%b,i=%d" % (both, base64.b64encode(keys.salt), keys.iterations)
    final = _understood(_FINAL, (yield Challenge(promise)))
    proof = _decode(final["proof"])
    message = b",".join((first["bare"], promise, final["unproven"]))
    right = hmac.compare_digest(final["nonce"], both)
    # RFC 5802 6: who changed the header or ended TLS in between is found out here
    right &= hmac.compare_digest(_decode(final["binding"]), gs2)
    right &= _proves(proof, keys, message)
    if not right:
        raise Rejected(name)
    signature = base64.b64encode(_hmac(keys.server_key, message))
    if (yield Challenge(b"v=" + signature)):
        raise InvalidInput("a response to the end of the exchange")
    return Proven(name)


def _check_binding(first: Mapping[str, bytes], bindings: Mapping[str, bytes], *, plus: bool) -> bytes:
    """gs2-header and data of the channel binding, as `c=` must have them (RFC 5802 6, 7)."""
    if plus != bool(first["binding"]):
        raise InvalidInput("the mechanism and its channel binding do not go together")
    if first["flag"] == b"y" and bindings:
        # The client can bind, and thinks that we cannot: somebody took -PLUS out of what we offered.
        raise InvalidInput("channel binding was offered here")
    if not first["binding"]:
        return first["gs2"]
    octets = bindings.get(first["binding"].decode("ascii"))
    if octets is None:
        raise InvalidInput("that channel binding is not offered here")
    return first["gs2"] + octets


def _proves(proof: bytes, keys: ScramKeys, message: bytes) -> bool:
    """RFC 5802 3: the client key, which the proof hides under a signature, hashes to the stored key."""
    signature = _hmac(keys.stored_key, message)
    if len(proof) != len(signature):
        return False
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key)


def _understood(pattern: re.Pattern[bytes], response: bytes) -> Mapping[str, bytes]:
    found = pattern.fullmatch(response)
    if found is None:
        raise InvalidInput("not a SCRAM message")
    return found.groupdict(b"")


def _name(octets: bytes) -> str:
    """saslname (RFC 5802 5.1): "," and "=" come as =2C and =3D, any other "=" is an error."""
    if len(octets) > MAX_PART or re.search(rb"=(?!2C|3D)", octets):
        raise InvalidInput("not a SCRAM user name")
    try:
        return octets.replace(b"=2C", b",").replace(b"=3D", b"=").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("a SCRAM user name that is not UTF-8") from error


def _decode(octets: bytes) -> bytes:
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error as error:
        raise InvalidInput("not base64 in a SCRAM message") from error
