"""`mailplat migrate report`: what happened to a domain, for people and as JSON."""

import argparse
import json
import statistics
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import NotFound
from mailplat.directory.names import domain_key
from migration.cli.progress import rows
from migration.ledger import Ledger, Move
from migration.shardmoves import ShardMove, ShardMoves

COLUMNS = [
    "address",
    "state",
    "messages",
    "hashed",
    "rounds",
    "fence_ms",
    "aborts",
    "strays",
    "late_flags",
    "dropped_flags",
]


SHARD_COLUMNS = ["address", "state", "source", "shard", "messages", "hashed", "rounds", "fence_ms", "aborts"]


def register(actions: Subparsers) -> None:
    action = actions.add_parser("report", help="what was moved, compared, left behind; how long users waited")
    add_config(action)
    add_json(action)
    action.add_argument("domain", metavar="DOMAIN")
    action.set_defaults(run=report)


def report(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        domain = domain_key(args.domain)
        between = compose_shards(ShardMoves(platform.database, platform.clock), domain)
        ledger = Ledger(platform.database, platform.clock)
        content = compose(ledger, domain) if ledger.moves(domain) or not between["moves"] else {}
    if args.json:
        print(json.dumps(content | {"domain": domain, "between_shards": between}, indent=2))
        return 0
    if between["moves"]:
        print(_shard_headline(domain, between))
        if not content:
            return show(between["moves"], SHARD_COLUMNS, as_json=False)
    print(_headline(content))
    lines = [{**move, "dropped_flags": " ".join(move["dropped_flags"])} for move in content["moves"]]
    return show(lines, COLUMNS, as_json=False)


def _headline(content: dict[str, Any]) -> str:
    compared = content["compared"]
    parts = [
        f"{content['accounts']} of {content['planned']} accounts moved, {content['messages']} messages,"
        f" {content['octets']} octets copied",
        f"compared {compared['messages']} messages, {compared['hashed']} octet by octet",
    ]
    if content["accounts"]:
        parts.append(
            f"fence {content['fence_ms_median']} ms median, {content['fence_ms_longest']} ms longest"
        )
    parts.append(f"{content['aborts']} fences taken back, {content['strays']} strays")
    if content["rolled_back"]:
        parts.append(f"{content['rolled_back']} accounts went back")
    if content["renumbered"]:
        parts.append(f"{content['renumbered']} messages got new UIDs on the way back")
    if content["only_here_since"] is not None:
        lag = max(0, round(time.time() - content["only_here_since"]))
        parts.append(f"changes of the last {lag} s are here alone")
    return f"{content['domain']}: {'; '.join(parts)}"


def compose(ledger: Ledger, domain: str) -> dict[str, Any]:
    """Raises NotFound for a domain without a plan."""
    moves = ledger.moves(domain)
    if not moves:
        raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
    accounts = [_account(ledger, move) for move in moves]
    moved = [move for move in moves if move.moved]
    fences = [move.fence_ms for move in moved]
    return {
        "domain": domain,
        "planned": len(moves),
        "accounts": len(moved),
        "messages": sum(move.copied for move in moves),
        "octets": sum(move.octets for move in moves),
        "fence_ms_median": round(statistics.median(fences)) if fences else None,
        "fence_ms_longest": max(fences, default=None),
        "states": Counter(move.route.state.value for move in moves),
        "halted": sum(bool(move.halted) for move in moves),
        "compared": {
            "messages": sum(each["compared"]["messages"] for each in accounts),
            "hashed": sum(each["compared"]["hashed"] for each in accounts),
            "octets": sum(each["compared"]["octets"] for each in accounts),
        },
        "dropped_flags": sorted({flag for each in accounts for flag in each["dropped_flags"]}),
        "aborts": sum(move.aborts for move in moves),
        "strays": sum(move.strays for move in moves),
        "late_flags": sum(move.late_flags for move in moves),
        "rolled_back": sum(move.rolled_back > 0.0 for move in moves),
        "renumbered": sum(move.renumbered for move in moves),
        "only_here_since": min((move.lag for move in moves if move.lag is not None), default=None),
        "moves": accounts,
    }


def compose_shards(ledger: ShardMoves, domain: str) -> dict[str, Any]:
    """The last move of each account that was moved from shard to shard, or is on its way."""
    moves = ledger.moves(domain)
    fences = [move.fence_ms for move in moves if move.moved]
    return {
        "planned": len(moves),
        "accounts": len(fences),
        "fence_ms_median": round(statistics.median(fences)) if fences else None,
        "fence_ms_longest": max(fences, default=None),
        "aborts": sum(move.aborts for move in moves),
        "moves": [_account(ledger, move) for move in moves],
    }


def _shard_headline(domain: str, content: dict[str, Any]) -> str:
    text = f"{domain}: {content['accounts']} of {content['planned']} accounts moved between shards"
    if content["accounts"]:
        text += f"; fence {content['fence_ms_median']} ms median, {content['fence_ms_longest']} ms longest"
    return f"{text}; {content['aborts']} fences taken back"


def _account(ledger: Ledger | ShardMoves, move: Move | ShardMove) -> dict[str, Any]:
    """What `status` says of it, and what happened: the fence's parts, rounds, each mailbox's numbers."""
    (row,) = rows([move])
    return {
        **row,
        "messages": move.copied,
        "hashed": row["compared"]["hashed"],
        "fence_phases_ms": json.loads(move.phases),
        "uidl_format": move.uidl_format,
        "mailboxes": {
            name: asdict(mark.status) for name, mark in sorted(ledger.watermarks(move.account_id).items())
        },
        "history": [asdict(each) for each in ledger.rounds(move.account_id)],
    }
