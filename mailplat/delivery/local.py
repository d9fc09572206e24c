"""Into a shard."""

from collections.abc import Sequence

from mailplat.core.address import Address
from mailplat.core.quota import Quota
from mailplat.core.route import Door, Residence, Route, ShardHome
from mailplat.core.spool import Body
from mailplat.delivery.shelter import to_the_end
from mailplat.delivery.trace import return_path
from mailplat.store import NewMessage, Store

INBOX = "INBOX"


def residence_of(route: Route) -> Residence | None:
    """Where the account lives, if that is in a shard and nobody moves it now."""
    if route.door is Door.SERVE and isinstance(route.home, ShardHome):
        return Residence(route.account_id, route.home.shard, route.epoch)
    return None


class LocalTransport:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def deliver(
        self,
        homes: Sequence[tuple[Residence, Quota]],
        reverse_path: Address,
        body: Body,
        prefix: bytes = b"",
        *,
        arrived: float | None = None,
        dedupe: str = "",
    ) -> None:
        """Into the INBOX of each (residence, quota), all of one shard, in one transaction: all or nothing.
        `arrived` is the INTERNALDATE where that is not now. Runs to its end when cancelled, so that the body is
        not closed under the store. Raises what the store raises."""
        message = NewMessage(body, return_path(reverse_path) + prefix, internaldate=arrived, dedupe=dedupe)
        copies = [(home, INBOX, quota) for home, quota in homes]
        await to_the_end(self._store.deliver(copies, message))
