"""What lies beside mail on another platform: lists of rights, and whom a vacation has answered."""

import contextlib

from mailplat.core.rights import NONE
from mailplat.store.types import ANYONE
from migration.beside import answers
from migration.beside.mapping import Said, give, letters_of, sort
from migration.errors import Misbehaviour
from migration.sources.maildir import acl

MODULES = (
    "migration/beside/answers.py",
    "migration/beside/mapping.py",
    "migration/sources/maildir/acl.py",
)
LONGEST = 1000

WORDS = (
    b"user=bob lr\n",
    b"-user=bob w\n",
    b"user=eve lrs\n",
    b"group=a lr\n",
    b"-group=a s\n",
    b"anyone lrs\n",
    b"-anyone l\n",
    b"authenticated l\n",
    b"owner l\n",
    b'"user=a b" ',
    b" :lookup admin\n",
    b"\x02\0\0\0",
    b"\x10\0\0\0",
)
SEEDS = (
    b"user=bob lrswi\n-user=bob w\ngroup=a lr\nanyone lrs\nowner lr\n",
    b'"user=a b" lr :admin\nauthenticated lrx0\n-anyone x\nuser=eve \n',
    b"\x02\0\0\0" + b"\x64\0\0\0\x10\0\0\0\x03\0\0\0" + b"k" * 16 + b"ann" + b"\x64\0\0\0",
)
KNOWN = {"bob": ("bob@x.test", 2)}


def run(octets: bytes) -> None:
    with contextlib.suppress(Misbehaviour):
        found = answers.parse(octets, "ann")
        assert all(len(key) == 16 for key in found.answers)
    with contextlib.suppress(Misbehaviour):
        _mapped(acl.parse(octets, "here"))


def _mapped(pairs: list[tuple[str, str]]) -> None:
    said = [Said(*pair) for pair in pairs]
    listed = sort(said, frozenset({"owner"}), old=False)
    names = {*listed.users, *listed.denied}
    given = give(listed, {name: KNOWN.get(name, "nobody") for name in names}, 3)
    own = NONE.union(*(letters_of(each.letters, old=False)[0] for each in said if each.identifier == "bob"))
    taken = NONE.union(
        *(letters_of(each.letters, old=False)[0] for each in said if each.identifier == "-bob")
    )
    everybody = given.rights.get(ANYONE, NONE)
    assert given.rights.get("bob@x.test", NONE) <= own - taken
    assert not everybody & taken
    if listed.users.get("bob") is not None:
        assert everybody <= listed.users["bob"], "he would have more as one of all"
