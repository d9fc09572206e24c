"""Sieve scripts of one account, from there to here."""

import hashlib
from collections.abc import Mapping

from sqlalchemy.engine import Connection

from mailplat.core.errors import InvalidInput, LimitReached
from mailplat.core.limits.sieve import SieveLimits
from mailplat.directory import Backend
from mailplat.sieve import scripts
from mailplat.sieve.scripts import Scripts
from migration.beside import kept
from migration.beside.kept import Kept, Left
from migration.sources.managesieve import ManageSieve


async def read(backend: Backend, address: str) -> Scripts:
    """From the backend's ManageSieve server. Raises Unavailable, Throttled, Misbehaviour."""
    source = await ManageSieve.open(backend, address)
    try:
        return await source.read()
    finally:
        await source.close()


def keep(connection: Connection, account_id: int, taken: Scripts, content: Kept, now: float) -> None:
    """In one transaction: these here and no others, and what they are."""
    scripts.replace(connection, account_id, taken, now)
    kept.put(connection, account_id, kept.SCRIPTS, now, content)


def describe(source: str, taken: Scripts, left: list[Left]) -> Kept:
    return Kept(source, things=digests(taken.octets), active=taken.active, left=left)


def sift(found: Scripts, limits: SieveLimits) -> tuple[Scripts, list[Left]]:
    """What can be here, and what is left, by name. The active one comes first where there are too many."""
    takes: dict[str, bytes] = {}
    left: list[Left] = []
    for name in sorted(found.octets, key=lambda each: (each != found.active, each)):
        try:
            scripts.check(name, found.octets[name], limits)
        except (InvalidInput, LimitReached) as error:
            left.append(Left(name, str(error)))
            continue
        if len(takes) == limits.scripts:
            left.append(Left(name, f"an account may have {limits.scripts} scripts here"))
            continue
        takes[name] = found.octets[name]
    return Scripts(takes, found.active if found.active in takes else ""), left


def digests(octets: Mapping[str, bytes]) -> dict[str, dict[str, object]]:
    """By name, as Kept has them."""
    return {name: {"octets": len(text), "sha256": digest(text)} for name, text in sorted(octets.items())}


def digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
