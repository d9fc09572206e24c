"""crypt(3): bcrypt, yescrypt, SHA-crypt, MD5-crypt and DES hashes of other platforms.

The system's libcrypt computes them where it is (Debian's libcrypt1 is part of every installation): in C, with the
interpreter free meanwhile, and yescrypt and bcrypt need nothing installed. Elsewhere passlib does what it can.
"""

import ctypes
import hmac
import re

import structlog
from passlib import hash as schemes

log = structlog.get_logger("credentials")

# struct crypt_data: 32 KiB in libxcrypt, 131,232 octets in the libcrypt of old glibc.
_SCRATCH = 132 * 1024

# What a hash looks like, and who verifies it where libcrypt is not there. Anything else is refused, so that nothing
# is ever taken for one of the forms that crypt(3) has not been asked for.
_FORMS = (
    (re.compile(r"\$6\$"), schemes.sha512_crypt),
    (re.compile(r"\$5\$"), schemes.sha256_crypt),
    (re.compile(r"\$1\$"), schemes.md5_crypt),
    (re.compile(r"\$2[aby]\$\d\d\$[./0-9A-Za-z]{53}\Z"), None),
    (re.compile(r"\$y\$"), None),
    (re.compile(r"[./0-9A-Za-z]{13}\Z"), schemes.des_crypt),
)


def _load() -> ctypes.CDLL | None:
    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        library.crypt_r.restype = ctypes.c_char_p
        return library
    return None


_library = _load()


def verify_crypt(password: str, hashed: str) -> bool:
    """Whether crypt(3) of the password is this hash. The password has no NUL. Thread-safe."""
    schemes_of_form = [scheme for form, scheme in _FORMS if form.match(hashed)]
    if not schemes_of_form:
        log.warning("hash of crypt is of a kind that is not known", kind=hashed[:3])
        return False
    if _library is not None:
        computed = _library.crypt_r(password.encode(), hashed.encode(), ctypes.create_string_buffer(_SCRATCH))
        if computed and not computed.startswith(b"*"):  # "*0", "*1": a setting that it does not know
            return hmac.compare_digest(computed, hashed.encode())
    [scheme] = schemes_of_form
    if scheme is None:
        log.warning("no libcrypt here that knows this kind of hash", kind=hashed[:3])
        return False
    return bool(scheme.verify(password, hashed))
