"""A platform with two domains of a backend, one of which has moved: rows alone, no legacy platform behind them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailplat.core.address import Address
from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.directory import Backend
from mailplat.usage import Counts
from mailplat.usage.meter import HOUR_S, Key
from migration.ledger import RUNNING
from tests.migration.house import House

MOVED, STAYED, ELSEWHERE = "moved.test", "stayed.test", "elsewhere.test"

_WAY = (RouteState.SEEDING, RouteState.TRACKING, RouteState.READY, RouteState.FENCED, RouteState.NEW)


@contextmanager
def standing(root: Path, moved_at: float) -> Iterator[House]:
    """`anna` of each domain; the one of MOVED lives in s1 since `moved_at`."""
    house = House(root, None, [])
    directory = house.platform.directory
    for name in ("old", "other"):
        directory.add_backend(Backend(name, imap="127.0.0.1:1"))
    for domain, backend in ((MOVED, "old"), (STAYED, "old"), (ELSEWHERE, "other")):
        directory.add_domain(domain)
        account = directory.add_account(
            Address("anna", domain), home=BackendHome(backend), password_hash="{PLAIN}x"
        )
        house.accounts[domain] = account
        house.ledger.plan(domain, ["s1"])
        house.ledger.set_plan(domain, RUNNING, expected={"planned"})
    route = directory.route(house.accounts[MOVED].id)
    for state in _WAY:
        home = ShardHome("s1") if state is RouteState.NEW else None
        route = directory.advance(
            route, state, home=home, fence_deadline=4e9 if state is RouteState.FENCED else 0.0
        )
    house.ledger.set(house.accounts[MOVED].id, moved=moved_at)
    try:
        yield house
    finally:
        house.platform.close()


def count(
    house: House,
    domain: str,
    moved_at: float,
    first: int,
    last: int,
    counts: Counts,
    home: str = "backend:old",
) -> None:
    """The same in each hour from `first` to before `last`, counted from that of the move."""
    hour = int(moved_at) // HOUR_S * HOUR_S
    house.platform.usage.add({Key(domain, hour + at * HOUR_S, home): counts for at in range(first, last)})
