"""`mailplat migrate gates`: how domains that have moved do beside those that have not."""

import argparse
import asyncio
from dataclasses import asdict
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.gates import DOWNLOADS, Comparison, Gates, reason
from migration.ledger import Ledger
from migration.matched import matched, moved_at

COLUMNS = ["domain", "measure", "before", "since", "expected", "matched_before", "matched_since", "verdict"]


def register(actions: Subparsers) -> None:
    action = actions.add_parser(
        "gates",
        help="moved domains beside those that have not moved: logins, mail, downloads; exit status 1 at a breach",
        description="Each measure is a share since the move, beside the same before it and that of the matched "
        "domains; octets are for each login. docs/migration.md says when it is a breach.",
    )
    add_config(action)
    add_json(action)
    action.add_argument("domains", metavar="DOMAIN", nargs="+")
    action.add_argument(
        "--matched",
        metavar="DOMAIN",
        nargs="+",
        help="compare with these; default: all of the same backend that have not moved",
    )
    action.set_defaults(run=gates)


def gates(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        named = None if args.matched is None else [domain_key(each) for each in args.matched]
        found: list[Comparison] = []
        for domain in dict.fromkeys(domain_key(each) for each in args.domains):
            found += _compare(platform, domain, named)
    if args.json:
        show([_row(each) for each in found], COLUMNS, as_json=True)
    else:
        show([_shown(each) for each in found], COLUMNS, as_json=False)
        for each in found:
            if each.is_breach:
                print(f"{each.domain}: {reason(each)}")
    return 1 if any(each.is_breach for each in found) else 0


def _compare(platform: Platform, domain: str, named: list[str] | None) -> list[Comparison]:
    moves = Ledger(platform.database, platform.clock).moves(domain)
    since = moved_at(domain, moves)
    others = named
    if others is None:
        others = sorted(
            {each for name in {m.backend for m in moves} for each in matched(platform.database, name)}
        )
    elif domain in others:
        raise InvalidInput(f"{domain} cannot be compared with itself")
    return list(asyncio.run(Gates(platform).compare([domain], others, since)))


def _row(each: Comparison) -> dict[str, Any]:
    return {**asdict(each), "breach": each.is_breach, "reason": reason(each) if each.is_breach else None}


def _shown(each: Comparison) -> dict[str, Any]:
    rates = ("before", "since", "expected", "matched_before", "matched_since")
    return {**asdict(each), **{name: _rate(each.measure, getattr(each, name)) for name in rates}}


def _rate(measure: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if measure == DOWNLOADS else f"{value:.2%}"
