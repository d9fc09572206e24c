"""Messages that can be told apart and checked for wholeness by themselves: a token, and a digest of the rest."""

import hashlib
import random

# What separates trace fields that the platform put on top from what was sent.
_FIRST = b"X-Crash-Token: "


def letter(token: str, rng: random.Random) -> bytes:
    """Mostly small; one in fifty is larger than what the platform keeps in memory."""
    size = rng.randint(300_000, 400_000) if rng.random() < 0.02 else rng.randint(20, 4000)
    body = b"".join(b"%078d\r\n" % rng.getrandbits(200) for _ in range(size // 80 + 1))
    head = f"From: crash@example.test\r\nSubject: {token}\r\nMessage-ID: <{token}@crash.example>\r\n\r\n".encode()
    digest = hashlib.sha256(head + body).hexdigest()
    return _FIRST + f"{token} {digest}\r\n".encode() + head + body


def read(octets: bytes) -> tuple[str, bool]:
    """(token, whether every octet behind it is as it was sent); ("", False) for what is no letter of ours."""
    _, found, rest = octets.partition(_FIRST)
    line, _, content = rest.partition(b"\r\n")
    token, _, digest = line.partition(b" ")
    if not found:
        return "", False
    return token.decode("ascii", "replace"), hashlib.sha256(content).hexdigest().encode() == digest
