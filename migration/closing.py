"""What speaks against closing a domain, and the closing. A gate is one function: (platform, domain) -> objections."""

from collections.abc import Callable, Iterable

from mailplat.app.wiring import Platform
from mailplat.core.errors import InvalidInput
from migration.back import orders
from migration.certificate import manifest
from migration.certificate.document import may_close
from migration.ledger import Ledger
from migration.shardmoves import ShardMoves

Gate = Callable[[Platform, str], Iterable[str]]


def _between_shards(platform: Platform, domain: str) -> Iterable[str]:
    moves = ShardMoves(platform.database, platform.clock).moves(domain)
    return [f"{each.address} is on its way to another shard" for each in moves if not each.is_over]


def _certificate(platform: Platform, domain: str) -> Iterable[str]:
    reason = may_close(platform, domain)
    return () if reason is None else (reason,)


# Asked in this order; what the ledger itself says against it comes first (orders.close).
GATES: tuple[Gate, ...] = (_between_shards, _certificate)


def close(platform: Platform, domain: str) -> int:
    """NEW -> FINAL for all accounts of the domain, or for none; how many. Raises InvalidInput with what speaks
    against it, NotFound for a domain without a plan."""
    ledger = Ledger(platform.database, platform.clock)
    against = orders.objections(orders.moves_of(ledger, domain))
    for gate in GATES:
        against += gate(platform, domain)
    if against:
        more = f" and {len(against) - 5} more" if len(against) > 5 else ""
        raise InvalidInput(f"{domain} cannot be closed: {'; '.join(against[:5])}{more}")
    closed = orders.close(ledger, domain)
    for move in ledger.moves(domain):
        manifest.forget(platform.database, move.account_id)
    return closed
