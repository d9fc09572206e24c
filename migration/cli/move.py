"""`mailplat migrate move`: accounts from shard to shard, by themselves and to the end."""

import argparse
import sys
from functools import partial

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import ShardHome
from mailplat.directory.types import Account
from mailplat.wire.smtp.address import parse_address
from migration.cli.display import remark
from migration.cli.progress import COLUMNS, check_engine, follow, rows
from migration.shardmoves import MOVE, ShardMove, ShardMoves


def register(actions: Subparsers) -> None:
    action = actions.add_parser(
        "move",
        help="from one shard to another, while everybody works",
        description="Clients see nothing but one reconnect: UIDs, flags, dates and UIDLs stay. `mailplat serve` does "
        "it; there is no cutover to be asked for.",
    )
    add_config(action)
    add_json(action)
    action.add_argument("subject", metavar="ACCOUNT|DOMAIN")
    what = action.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", metavar="SHARD")
    what.add_argument(
        "--cancel", action="store_true", help="accounts stay where they are; copies are removed"
    )
    action.add_argument(
        "--wait", action="store_true", help="until all have moved; exit status 1 if one cannot"
    )
    action.set_defaults(run=move)


def move(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        accounts = _accounts(platform, args.subject)
        ledger = ShardMoves(platform.database, platform.clock)
        if args.cancel:
            cancelled = ledger.cancel([each.id for each in accounts])
            if not cancelled:
                raise NotFound(f"nothing of {args.subject} is being moved between shards")
            return 0
        asked = ledger.ask(_movable(platform, accounts, args), args.to, cause=MOVE)
        if not asked:
            print(f"mailplat: {args.subject} lives in shard {args.to} already", file=sys.stderr)
            return 0
        if args.wait:
            check_engine(platform, "the move is noted")
            moves = follow(partial(ledger.moves, accounts=asked), _settled)
        else:
            moves = ledger.moves(accounts=asked)
        show(rows(moves), COLUMNS, as_json=args.json)
        left = [each for each in moves if not each.is_over]
        if args.wait:
            for each in left:
                print(f"mailplat: {each.address} was not moved: {remark(each)}", file=sys.stderr)
        return 1 if args.wait and (left or len(moves) < len(asked)) else 0


def _accounts(platform: Platform, subject: str) -> list[Account]:
    """Raises NotFound."""
    if "@" in subject:
        return [platform.directory.account(parse_address(subject))]
    platform.directory.domain(subject)
    accounts = platform.directory.accounts(subject)
    if not accounts:
        raise NotFound(f"domain {subject} has no accounts")
    return accounts


def _movable(platform: Platform, accounts: list[Account], args: argparse.Namespace) -> list[int]:
    """Of a domain those that live in a shard; a single account says itself why it does not move."""
    if args.to not in platform.shards:
        raise InvalidInput(f"no shard is called {args.to}; known: {', '.join(platform.shards)}")
    if args.to in platform.drains.all():
        raise InvalidInput(
            f"shard {args.to} is being drained; first: mailplat shard drain {args.to} --cancel"
        )
    if trouble := platform.placement.condition(args.to).trouble:
        raise InvalidInput(f"shard {args.to} takes no accounts: {trouble}")
    if len(accounts) == 1 and "@" in args.subject:
        return [accounts[0].id]
    homes = {each.id: platform.directory.route(each.id).home for each in accounts}
    found = [number for number, home in homes.items() if isinstance(home, ShardHome)]
    if not found:
        raise NotFound(f"no account of {args.subject} lives in a shard; see mailplat migrate plan")
    return found


def _settled(each: ShardMove) -> bool:
    return each.is_over or bool(each.halted)
