"""Whom a vacation has answered, as Pigeonhole remembers it: HOME/.dovecot.lda-dupes of Dovecot, from there to here.

    u32 version (2), then records: u32 until (Unix time), u32 octets of the id, u32 octets of the user, id, user

(src/lib-storage/mail-duplicate.c), numbers in the byte order of the machine that wrote it, which the version shows.
The file has other marks too, of redirected messages and of the test `duplicate`. An id of 16 octets is MD5 of sender
and handle (mailplat/sieve/vacation.py), or of what `duplicate` was asked: keys that no vacation ever comes to, and
that go when their time is over. Dovecot 1.0 wrote no version; such a file is refused.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from mailplat.sieve import vacation
from mailplat.sieve.vacation import KEY_OCTETS
from migration.beside import kept
from migration.beside.kept import Kept
from migration.errors import Misbehaviour

VERSION = 2
# Octets of an id and of a user's name (DUPLICATE_BUFSIZE there).
MAX_PART = 4096

_ORDERS = {b"\x02\0\0\0": "<", b"\0\0\0\x02": ">"}


@dataclass(slots=True)
class Memory:
    answers: dict[bytes, float] = field(default_factory=dict)  # key, until when
    others: int = 0  # marks that are no vacation's, or another user's


def parse(octets: bytes, user: str) -> Memory:
    """Of this user (names have no case there). Raises Misbehaviour for a file that is not what it should be; nothing
    of it is believed then."""
    found = Memory()
    if not octets:
        return found
    order = _ORDERS.get(octets[:4])
    if order is None:
        raise Misbehaviour(f".dovecot.lda-dupes begins with {octets[:4].hex()}: not version {VERSION}")
    for until, key, name in _records(octets, order):
        if len(key) == KEY_OCTETS and name.lower() == user.lower().encode():
            found.answers[key] = max(float(until), found.answers.get(key, 0.0))
        else:
            found.others += 1
    return found


def _records(octets: bytes, order: str) -> Iterator[tuple[int, bytes, bytes]]:
    header = struct.Struct(f"{order}III")
    at = 4
    while at < len(octets):
        if at + header.size > len(octets):
            raise Misbehaviour(".dovecot.lda-dupes ends within a record")
        until, id_size, user_size = header.unpack_from(octets, at)
        at += header.size
        if not (0 < id_size <= MAX_PART and 0 < user_size <= MAX_PART):
            raise Misbehaviour(f".dovecot.lda-dupes has an id of {id_size} octets, a user of {user_size}")
        if at + id_size + user_size > len(octets):
            raise Misbehaviour(".dovecot.lda-dupes ends within a record")
        yield until, octets[at : at + id_size], octets[at + id_size : at + id_size + user_size]
        at += id_size + user_size


def keep(connection: Connection, account_id: int, found: Memory, now: float, most: int) -> None:
    """Those that hold, in place of what was brought before."""
    vacation.forget(connection, account_id)
    count = vacation.put(connection, account_id, found.answers, now, most)
    things = {"answers": count, "others": found.others}
    kept.put(connection, account_id, kept.ANSWERS, now, Kept("mount", things=things))
