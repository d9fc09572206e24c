"""`mailplat migrate plan, start, pause, resume`: what is to be moved, and whether it may go on."""

import argparse

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.cli.progress import COLUMNS, rows
from migration.ledger import PAUSED, PLANNED, RUNNING, Ledger


def register(actions: Subparsers) -> None:
    planning = _action(actions, "plan", plan, "plan the move of a domain's accounts that live on a backend")
    planning.add_argument("--shard", metavar="NAME", help="where to; default: spread over all shards")
    add_json(planning)
    _action(actions, "start", start, "let a planned move begin")
    _action(actions, "pause", pause, "stop after the batches in flight; users notice nothing")
    resuming = _action(actions, "resume", resume, "go on after a pause, or after a halt whose cause is gone")
    resuming.add_argument(
        "--allow-deletions",
        metavar="N",
        type=int,
        default=0,
        help="let up to N messages of an account be gone in its next round",
    )


def _action(actions: Subparsers, name: str, run: object, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    add_config(action)
    action.add_argument("domain", metavar="DOMAIN")
    action.set_defaults(run=run)
    return action


def plan(args: argparse.Namespace) -> int:
    """Again for the same domain: adds accounts that came since."""
    with open_platform(args.config) as platform:
        shards = sorted(platform.shards) if args.shard else platform.placement.candidates()
        if args.shard is not None and args.shard not in shards:
            raise InvalidInput(f"no shard is called {args.shard}; known: {', '.join(shards)}")
        domain = platform.directory.domain(args.domain).name
        ledger = Ledger(platform.database, platform.clock)
        moves = ledger.plan(domain, [args.shard] if args.shard else shards)
        return show(rows(moves), COLUMNS, as_json=args.json)


def start(args: argparse.Namespace) -> int:
    return _set(args, RUNNING, {PLANNED, RUNNING})


def pause(args: argparse.Namespace) -> int:
    return _set(args, PAUSED, {RUNNING, PAUSED})


def resume(args: argparse.Namespace) -> int:
    if args.allow_deletions < 0:
        raise InvalidInput("--allow-deletions: a number of messages")
    with open_platform(args.config) as platform:
        ledger, domain = Ledger(platform.database, platform.clock), domain_key(args.domain)
        ledger.set_plan(domain, RUNNING, expected={RUNNING, PAUSED})
        ledger.clear_halts(domain, deletions=args.allow_deletions)
    return 0


def _set(args: argparse.Namespace, state: str, expected: set[str]) -> int:
    with open_platform(args.config) as platform:
        Ledger(platform.database, platform.clock).set_plan(domain_key(args.domain), state, expected=expected)
    return 0
