"""Merkle trees as RFC 6962 2.1 has them, over messages, mailboxes and accounts.

    MTH({})        = SHA-256()
    MTH({d})       = SHA-256(0x00 || d)
    MTH(D[n])      = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])), k the largest power of two below n

What d is, octet by octet; numbers are big-endian, u unsigned, i two's complement, text is UTF-8 behind its length:

    message   "M"  u32 UID  32 octets SHA-256  i64 INTERNALDATE (Unix seconds)  i16 zone (minutes east)
                   u16 number of flags, each u16 length and text; lower case, without \\Recent, sorted by octets
    mailbox   "F"  u32 length and name  u32 UIDVALIDITY  u64 messages  32 octets root
    account   "A"  u32 length and address  u64 mailboxes  32 octets root

Messages in the order of their UIDs, mailboxes and accounts in that of the octets of their names. The first octet
keeps the three kinds apart, 0x00 and 0x01 keep leaves and nodes apart, and every length is written: no two lists of
leaves have one encoding.
"""

import hashlib
import struct
from collections.abc import Collection, Iterable

_MESSAGE = struct.Struct(">cI32sqhH")

EMPTY = hashlib.sha256().digest()


class Tree:
    """Takes leaves one after the other; holds one hash for each level, whatever their number."""

    def __init__(self) -> None:
        self.leaves = 0
        self._whole: list[tuple[int, bytes]] = []  # (leaves below, hash), the largest first

    def add(self, leaf: bytes) -> None:
        size, node = 1, hashlib.sha256(b"\x00" + leaf).digest()
        while self._whole and self._whole[-1][0] == size:
            _, left = self._whole.pop()
            size, node = 2 * size, _node(left, node)
        self._whole.append((size, node))
        self.leaves += 1

    def root(self) -> bytes:
        """Of what was added so far."""
        if not self._whole:
            return EMPTY
        _, root = self._whole[-1]
        for _, left in reversed(self._whole[:-1]):
            root = _node(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def message_leaf(uid: int, digest: bytes, internaldate: int, zone: int, flags: Collection[str]) -> bytes:
    """`flags` as `migration.flags.fold` gives them. Raises ValueError for what has no encoding."""
    words = sorted({flag.lower().encode() for flag in flags})
    try:
        head = _MESSAGE.pack(b"M", uid, digest, internaldate, zone, len(words))
        return head + b"".join(struct.pack(">H", len(word)) + word for word in words)
    except struct.error as error:
        raise ValueError(f"UID {uid}, date {internaldate}, zone {zone}: {error}") from error


def mailbox_leaf(name: str, uidvalidity: int, messages: int, root: bytes) -> bytes:
    return b"F" + _text(name) + struct.pack(">IQ", uidvalidity, messages) + root


def account_leaf(address: str, mailboxes: int, root: bytes) -> bytes:
    return b"A" + _text(address) + struct.pack(">Q", mailboxes) + root


def _text(text: str) -> bytes:
    octets = text.encode()
    return struct.pack(">I", len(octets)) + octets


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
