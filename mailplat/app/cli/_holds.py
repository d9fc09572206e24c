"""`mailplat vault hold|release|holds|purge`: what is kept whatever its days, and what goes before they are over."""

import argparse

from mailplat.app.cli._sources import add_action, sources
from mailplat.app.cli.audit import operator, stamp
from mailplat.app.console import Subparsers, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from mailplat.core.route import Door, ShardHome
from mailplat.directory.types import Account
from mailplat.store.vault import owner, prune
from mailplat.wire.smtp.address import parse_address

HOLD_COLUMNS = ["address", "shard", "home", "since", "by", "reason"]


def register(actions: Subparsers) -> None:
    holding = add_action(actions, "hold", hold, "legal hold: nothing of this account is removed any more")
    holding.add_argument("address", metavar="ADDRESS")
    holding.add_argument("--reason", metavar="TEXT", required=True)
    releasing = add_action(actions, "release", release, "end a legal hold: the days count again")
    releasing.add_argument("address", metavar="ADDRESS")
    add_action(actions, "holds", list_holds, "accounts under a legal hold")

    purging = add_action(actions, "purge", purge, "remove now what is kept of an account; not under a hold")
    purging.add_argument("--account", metavar="ADDRESS", required=True)
    purging.add_argument("--reason", metavar="TEXT", required=True, help="for the audit log")


def hold(args: argparse.Namespace) -> int:
    """In its home, and wherever else it has a vault: an account that moved, or was removed and added again."""
    address = str(parse_address(args.address))
    with open_platform(args.config) as platform:
        places = {(source.shard, source.account_id) for source in sources(platform, address)}
        try:
            account = platform.directory.account(parse_address(address))
        except NotFound:
            account = None
        if account is not None:
            home = platform.directory.route(account.id).home
            if isinstance(home, ShardHome):
                places.add((home.shard, account.id))
        if not places:
            raise NotFound(f"no shard has mail of {address}")
        platform.audit.record(operator(), "vault.hold", address, after={"reason": args.reason})
        epoch = None if account is None else _settled_epoch(platform, account)
        held = _hold_all(platform, places, address, args.reason)
        # A fence carries the hold along that it finds; of one laid behind its back it knows nothing.
        if account is not None and _settled_epoch(platform, account) != epoch:
            raise Unavailable(f"{address} has moved meanwhile; say it once more")
        if not held:
            raise AlreadyExists(f"{address} is held already; see mailplat vault holds")
    return 0


def _settled_epoch(platform: Platform, account: Account) -> int:
    route = platform.directory.route(account.id)
    if route.door is Door.HOLD:
        raise Unavailable(f"{account.address} is being moved; say it once more when that is over")
    return route.epoch


def _hold_all(platform: Platform, places: set[tuple[str, int]], address: str, reason: str) -> int:
    """How many of the places had none."""
    held = 0
    for shard, number in sorted(places):
        site = platform.store.shard(shard).site
        try:
            owner.hold(site, number, address=address, reason=reason, by=operator())
            held += 1
        except AlreadyExists:
            continue
    return held


def release(args: argparse.Namespace) -> int:
    address = str(parse_address(args.address))
    with open_platform(args.config) as platform:
        held = [each for each in sources(platform, address) if each.owner.held_at is not None]
        if not held:
            raise NotFound(f"{address} is not held")
        before = {"reason": held[0].owner.hold_reason, "by": held[0].owner.hold_by}
        platform.audit.record(operator(), "vault.release", address, before=before)
        for source in held:
            owner.release(platform.store.shard(source.shard).site, source.account_id)
    return 0


def list_holds(args: argparse.Namespace) -> int:
    rows = []
    with open_platform(args.config) as platform:
        for source in sources(platform):
            if source.owner.held_at is not None:
                rows.append(
                    {
                        "address": source.address or f"account {source.account_id}",
                        "shard": source.shard,
                        "home": _home(platform, source.account_id),
                        "since": stamp(source.owner.held_at),
                        "by": source.owner.hold_by,
                        "reason": source.owner.hold_reason,
                    }
                )
    return show(rows, HOLD_COLUMNS, as_json=args.json)


def _home(platform: Platform, account_id: int) -> str:
    try:
        return str(platform.directory.route(account_id).home)
    except NotFound:
        return "removed"


def purge(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        found = list(sources(platform, args.account))
        if any(source.owner.held_at is not None for source in found):
            raise InvalidInput(f"{args.account} is under a legal hold; nothing is purged")
        platform.audit.record(operator(), "vault.purge", args.account, after={"reason": args.reason})
        count = sum(prune.purge(platform.store.shard(each.shard).site, each.account_id) for each in found)
    return show([{"messages": count}] if count else [], ["messages"], as_json=args.json)
