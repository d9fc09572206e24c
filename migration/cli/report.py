"""`mailplat migrate report`: what happened to a domain, for people and as JSON."""

import argparse
import json
import statistics
from dataclasses import asdict
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import NotFound
from mailplat.directory.names import domain_key
from migration.ledger import Ledger, Move

COLUMNS = [
    "address",
    "state",
    "messages",
    "rounds",
    "fence_ms",
    "hashed",
    "strays",
    "late_flags",
    "dropped_flags",
]


def register(actions: Subparsers) -> None:
    action = actions.add_parser("report", help="what was moved, compared, left behind; how long users waited")
    add_config(action)
    add_json(action)
    action.add_argument("domain", metavar="DOMAIN")
    action.set_defaults(run=report)


def report(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        content = compose(Ledger(platform.database, platform.clock), domain_key(args.domain))
    if args.json:
        print(json.dumps(content, indent=2))
        return 0
    print(
        f"{content['domain']}: {content['accounts']} of {content['planned']} accounts moved,"
        f" {content['messages']} messages, {content['octets']} octets copied;"
        f" fence {content['fence_ms_median']} ms median, {content['fence_ms_longest']} ms longest;"
        f" {content['strays']} strays"
    )
    return show(content["moves"], COLUMNS, as_json=False)


def compose(ledger: Ledger, domain: str) -> dict[str, Any]:
    """Raises NotFound for a domain without a plan."""
    moves = ledger.moves(domain)
    if not moves:
        raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
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
        "aborts": sum(move.aborts for move in moves),
        "strays": sum(move.strays for move in moves),
        "late_flags": sum(move.late_flags for move in moves),
        "moves": [_account(ledger, move) for move in moves],
    }


def _account(ledger: Ledger, move: Move) -> dict[str, Any]:
    compared = json.loads(move.verified)
    return {
        "address": move.address,
        "state": move.route.state.value,
        "epoch": move.route.epoch,
        "backend": move.backend,
        "shard": move.shard,
        "began": move.began,
        "moved": move.moved,
        "messages": move.copied,
        "octets": move.octets,
        "rounds": move.rounds,
        "fence_ms": move.fence_ms,
        "fence_phases_ms": json.loads(move.phases),
        "compared": compared,
        "hashed": compared.get("hashed", 0),
        "aborts": move.aborts,
        "strays": move.strays,
        "late_flags": move.late_flags,
        "dropped_flags": json.loads(move.dropped),
        "uidl_format": move.uidl_format,
        "halted": move.halted,
        "mailboxes": {
            name: asdict(mark.status) for name, mark in sorted(ledger.watermarks(move.account_id).items())
        },
        "history": [asdict(each) for each in ledger.rounds(move.account_id)],
    }
