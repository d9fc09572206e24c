"""A client of SCRAM-SHA-256, written from RFC 5802 3 and 5, apart from the server's code."""

import base64
import hashlib
import hmac


class ScramClient:
    """`first`, `final` and `check` in this order, with what the server sends in between."""

    def __init__(
        self, name: str, password: str, *, flag: str = "n", binding: bytes = b"", nonce: str = "client-nonce"
    ) -> None:
        """`flag`: n, y, or "p=KIND" with the channel's data as `binding`."""
        escaped = name.replace("=", "=3D").replace(",", "=2C")
        self.gs2 = f"{flag},,".encode()
        self.binding = binding
        self.bare = f"n={escaped},r={nonce}".encode()
        self.password = password
        self.signature = b""

    def first(self) -> bytes:
        return self.gs2 + self.bare

    def final(self, challenge: bytes) -> bytes:
        parts = dict(part.split(b"=", 1) for part in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", self.password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"])
        )
        unproven = b"c=%b,r=%b" % (base64.b64encode(self.gs2 + self.binding), parts[b"r"])
        message = b",".join((self.bare, challenge, unproven))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.signature = hmac.digest(server_key, message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return unproven + b",p=" + base64.b64encode(proof)

    def check(self, challenge: bytes) -> None:
        """The server has the keys of this password."""
        assert challenge == b"v=" + base64.b64encode(self.signature)
