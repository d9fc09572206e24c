"""GETQUOTA and GETQUOTAROOT (RFC 9208 4.1), read only.

Two roots, each there where it has a limit: "account", and "domain", the pool that all accounts of the domain share
(docs/quota.md). Both hold for every mailbox of its own. A mailbox of somebody else has no root to tell of: what is
put there counts for its owner.
"""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import Tagged, no, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.wire.imap import response

ACCOUNT = "account"
DOMAIN = "domain"

# Octets there are, octets there may be; by root.
Roots = dict[str, tuple[int, int]]


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    wanted = arguments.astring() if request.name == "GETQUOTA" else b""
    name = arguments.mailbox() if request.name == "GETQUOTAROOT" else ""
    arguments.end()
    if name:
        place = await locate(session, name, "GETQUOTAROOT")
        await place.call(place.shard.mailbox, place.residence, place.name)
        if not place.own:
            # RFC 9208 4.1.3 allows a list that is empty. How full its owner's account is, is the owner's business.
            session.out(response.quotaroot_line(place.shown, (), spelling=session.spelling))
            return ok("GETQUOTAROOT completed")
    quota = await session.quota()
    roots = await session.call(_roots, session.shard, session.residence, quota)
    if name:
        session.out(response.quotaroot_line(name, roots, spelling=session.spelling))
    else:
        roots = {root: storage for root, storage in roots.items() if root.encode() == wanted}
        if not roots:
            return no("No such quota root", "NONEXISTENT")
    for root, storage in roots.items():
        session.out(response.quota_line(root, storage))
    return ok(f"{request.name} completed")


def _roots(shard: Shard, residence: Residence, quota: Quota) -> Roots:
    roots: Roots = {}
    if quota.account:
        octets, _ = shard.usage(residence)
        roots[ACCOUNT] = (octets, quota.account)
    if quota.pool_octets:
        roots[DOMAIN] = (shard.pool_octets(quota), quota.pool_octets)
    return roots


COMMANDS = (Command("GETQUOTA", run), Command("GETQUOTAROOT", run))
