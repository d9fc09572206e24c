"""An account whose copy is thrown away and made again, because a person says so: `migrate resume --afresh ADDRESS`.

For what no round can mend: a mailbox that was made anew at the source, or whose index was, has another UIDVALIDITY,
and its UIDs mean other messages than the copy has under them. Until the commit the source owns every message, so
nothing is lost with a copy; one of an account that lived here before (a rollback) may hold what the source has not,
and is kept.
"""

from mailplat.core import disk
from mailplat.core.route import Route, RouteState
from migration.compared import Compared
from migration.crossing import LegacyCrossing


async def begin(crossing: LegacyCrossing, route: Route) -> Route:
    """The copy goes; the route after it. The next rounds find nothing here and copy everything. Raises Unavailable,
    StaleEpoch."""
    await crossing.target.discard(route.epoch)
    disk.step("afresh.discarded")
    state = RouteState.SEEDING if route.state is RouteState.SEEDING else RouteState.TRACKING
    begun = await crossing.book(crossing.ledger.begin_afresh, route, state)
    disk.step("afresh.begun")
    await crossing.target.grant(begun.epoch)
    crossing.compared = Compared()
    return begun
