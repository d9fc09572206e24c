"""The tree of RFC 6962 and its leaves: vectors that others can recompute, and what must never collide."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.certificate.merkle import EMPTY, Tree, account_leaf, mailbox_leaf, message_leaf, root_of

# Certificate Transparency's own (google/certificate-transparency, merkletree tests): D[0..8].
INPUTS = [bytes.fromhex(each) for each in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(1, 9))
def test_vectors_of_certificate_transparency(count: int) -> None:
    assert root_of(INPUTS[:count]).hex() == ROOTS[count - 1]


def test_nothing_has_a_root_of_its_own() -> None:
    assert root_of([]) == EMPTY == hashlib.sha256().digest()


def by_the_book(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_the_book(leaves[:k]) + by_the_book(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_leaf_by_leaf_is_the_tree_of_the_rfc(leaves: list[bytes]) -> None:
    tree = Tree()
    for number, leaf in enumerate(leaves):
        assert tree.leaves == number
        tree.add(leaf)
    assert tree.root() == by_the_book(leaves)
    assert len(tree._whole) <= 8  # one hash a level


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=40), st.data())
def test_any_changed_lost_added_or_exchanged_leaf_changes_the_root(
    leaves: list[bytes], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(leaves) - 1))
    new = data.draw(st.binary(max_size=4).filter(lambda each: each != leaves[at]))
    root = root_of(leaves)
    assert root_of([*leaves[:at], new, *leaves[at + 1 :]]) != root
    assert root_of([*leaves[:at], *leaves[at + 1 :]]) != root
    assert root_of([*leaves[:at], new, *leaves[at:]]) != root
    if leaves[0] != leaves[-1]:
        assert root_of([leaves[-1], *leaves[1:-1], leaves[0]]) != root


def test_a_node_is_no_leaf() -> None:
    """RFC 6962 2.1: without 0x00 and 0x01 a list of one leaf could have the root of a list of two."""
    left, right = (hashlib.sha256(b"\x00" + each).digest() for each in (b"a", b"b"))
    assert root_of([left + right]) != root_of([b"a", b"b"])
    assert root_of([b"\x01" + left + right]) != root_of([b"a", b"b"])


def test_the_leaf_of_a_message_octet_by_octet() -> None:
    digest = hashlib.sha256(b"octets").digest()
    leaf = message_leaf(258, digest, -2, -60, ["\\Seen", "$Work"])
    assert leaf == (
        b"M" + bytes.fromhex("00000102") + digest + bytes.fromhex("fffffffffffffffe" "ffc4" "0002")
        + b"\x00\x05$work" + b"\x00\x05\\seen"
    )  # fmt: skip
    assert message_leaf(258, digest, -2, -60, ["$work", "\\SEEN", "\\seen"]) == leaf
    assert mailbox_leaf("ü", 1, 2, digest) == (
        b"F\0\0\0\x02\xc3\xbc" + struct.pack(">I", 1) + struct.pack(">Q", 2) + digest
    )
    assert account_leaf("a@b", 3, digest) == b"A\0\0\0\x03a@b" + struct.pack(">Q", 3) + digest
    with pytest.raises(ValueError, match="UID 4294967296"):
        message_leaf(2**32, digest, 0, 0, [])


message = st.tuples(
    st.integers(1, 2**32 - 1),
    st.binary(min_size=32, max_size=32),
    st.integers(-(2**40), 2**40),
    st.integers(-840, 840),
    st.frozensets(st.text("ab\\$", min_size=1, max_size=3), max_size=4),
)


@given(message, message)
def test_two_messages_have_one_leaf_only_if_they_are_the_same(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (message_leaf(*one) == message_leaf(*other)) == (one == other)
