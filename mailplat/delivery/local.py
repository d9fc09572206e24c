"""Into a shard.

What is written is the same for every recipient, so that one file can be all of theirs: Return-Path says the sender,
and there is no Delivered-To nor any other field that names who got this copy.
"""

from collections.abc import Sequence

from mailplat.core.address import Address
from mailplat.core.errors import MailplatError
from mailplat.core.quota import Quota
from mailplat.core.route import Door, Residence, Route, ShardHome
from mailplat.core.spool import Body
from mailplat.delivery.shelter import to_the_end
from mailplat.delivery.trace import return_path
from mailplat.store import Appended, Copy, NewMessage, Store

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
    ) -> None:
        """Into the INBOX of each (residence, quota), all of one shard, in one transaction: all or nothing. Runs to
        its end when cancelled, so that the body is not closed under the store. Raises what the store raises."""
        message = NewMessage(body, return_path(reverse_path) + prefix)
        copies = [(home, INBOX, quota) for home, quota in homes]
        await to_the_end(self._store.deliver(copies, message))

    async def deliver_each(
        self,
        homes: Sequence[tuple[Residence, Quota, str]],
        reverse_path: Address,
        body: Body,
        prefix: bytes = b"",
        *,
        arrived: float | None = None,
    ) -> list[Appended | MailplatError]:
        """Into the INBOX of each (residence, quota, dedupe key), all of one shard, in one transaction and one file;
        who cannot have it is left out, and answered with why. `arrived` is the INTERNALDATE where that is not
        now. Otherwise as `deliver`."""
        message = NewMessage(body, return_path(reverse_path) + prefix, internaldate=arrived)
        copies = [Copy(home, INBOX, quota, key) for home, quota, key in homes]
        return await to_the_end(self._store.deliver_each(copies, message))
