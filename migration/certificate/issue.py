"""A domain's certificate: accounts that were not read since they moved are read, then it is signed."""

import asyncio
from collections.abc import Callable
from typing import Any

from mailplat.app.wiring import Platform
from migration.certificate import document, evidence, signing
from migration.ledger import Ledger, Move

# Accounts that are read at a time: each is one connection to our own door, beside those of its users.
READERS = 4


async def issue(
    platform: Platform, domain: str, who: str, *, again: bool = False, told: Callable[[str], None]
) -> dict[str, Any]:
    """The signed document, which is kept too. `again`: accounts that were read already are read once more. `told` is
    told of each account. Raises NotFound for a domain without a plan, Unavailable."""
    ledger = Ledger(platform.database, platform.clock)
    moves = [move for move in ledger.moves(domain) if document.has_moved(move)]
    slots = asyncio.Semaphore(READERS)

    async def read(move: Move) -> None:
        async with slots:
            content = await evidence.gather(platform, move, who)
            told(f"{move.address}: {content['grade']}")

    wanted = [move for move in moves if again or needs_reading(platform, move)]
    await asyncio.gather(*(read(move) for move in wanted))
    return sign(platform, domain, who)


def sign(platform: Platform, domain: str, who: str) -> dict[str, Any]:
    """From what is kept. Raises NotFound, Unavailable."""
    content = document.compose(platform, domain, who)
    signed = signing.sign(content, signing.private_key(platform.database))
    document.keep(platform.database, platform.clock.now(), signed)
    return signed


def needs_reading(platform: Platform, move: Move) -> bool:
    """Never read since it moved, or it could not be read."""
    kept = evidence.find(platform.database, move)
    return kept is None or not kept[1]["read"]
