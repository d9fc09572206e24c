"""Where mail that is brought back goes."""

from mailplat.app.wiring import Platform
from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.core.route import Door, Residence, ShardHome
from mailplat.directory.types import Account


def residence(platform: Platform, account: Account) -> Residence:
    """Raises InvalidInput for an account whose home is a backend, Unavailable for one that is being moved."""
    route = platform.directory.route(account.id)
    if not isinstance(route.home, ShardHome):
        raise InvalidInput(f"{account.address} lives on {route.home}, not in a shard here")
    if route.door is not Door.SERVE:
        raise Unavailable(f"{account.address} is being moved; try again when that is over")
    return Residence(account.id, route.home.shard, route.epoch)
