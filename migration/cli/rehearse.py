"""`mailplat migrate rehearse`: what clients would see otherwise, before an account moves."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, show, to_json
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import RouteState
from mailplat.directory.names import domain_key
from migration.ledger import Ledger, Move
from migration.rehearsal.judgement import Difference, Notice
from migration.rehearsal.rehearse import Rehearsal, rehearse
from migration.rehearsal.structure import Structure

COLUMNS = ["address", "noticed", "mailbox", "command", "key", "legacy", "here", "why"]

# Characters of an answer that are shown.
SHOWN = 60
SHOWN_JSON = 500


def register(actions: Subparsers) -> None:
    action = actions.add_parser(
        "rehearse",
        help="ask both sides what clients ask, before the cutover; exit status 1 where one would notice a difference",
        description="Of accounts that are ready. Reads only, on both sides. docs/migration.md says what is asked.",
    )
    add_config(action)
    add_json(action)
    action.add_argument("domain", metavar="DOMAIN")
    action.add_argument("--account", metavar="ADDRESS", help="this one alone; default: all that are ready")
    action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        ready, others = _accounts(platform, domain_key(args.domain), args.account)
        for each in others:
            print(f"mailplat: {each.address} is {each.state}, not ready: left out", file=sys.stderr)
        found = asyncio.run(_all(platform, ready))
    if args.json:
        print(to_json([_content(each) for each in found]))
    else:
        _print(found)
    return 1 if any(each.worst is Notice.YES or not each.commands for each in found) else 0


def _accounts(platform: Platform, domain: str, address: str | None) -> tuple[list[Move], list[Move]]:
    """Those that are ready, and the others. Raises NotFound, InvalidInput where none is."""
    moves = Ledger(platform.database, platform.clock).moves(domain)
    if not moves:
        raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
    if address is not None:
        moves = [each for each in moves if each.address.casefold() == address.casefold()]
        if not moves:
            raise NotFound(f"{address} is not in the plan of {domain}")
    ready = [each for each in moves if each.route.state is RouteState.READY]
    if not ready:
        states = ", ".join(sorted({each.state for each in moves}))
        raise InvalidInput(
            f"no account is ready: {states}; a rehearsal is for those that are copied and have not moved"
        )
    return ready, [each for each in moves if each not in ready]


async def _all(platform: Platform, moves: Sequence[Move]) -> list[Rehearsal]:
    """One after the other: the legacy platform has its users."""
    return [await rehearse(platform, each, operator()) for each in moves]


def _print(found: Sequence[Rehearsal]) -> None:
    order = list(Notice)
    rows = [(each.address, one) for each in found for one in each.differences]
    rows.sort(key=lambda row: (row[0], -order.index(row[1].notice)))
    show([_row(*row) for row in rows], COLUMNS, as_json=False)
    for each in found:
        for mailbox, why in each.not_compared:
            print(f"{each.address}: {mailbox or 'the account'} was not compared: {why}")
        noticed = sum(one.notice is Notice.YES for one in each.differences)
        listed = len(each.differences) + each.more
        print(
            f"{each.address}: {each.commands} commands in {each.mailboxes} mailboxes, {listed} differences"
            f"{f' ({each.more} not listed)' if each.more else ''}; a client would notice {noticed}"
        )


def _row(address: str, each: Difference, most: int = SHOWN) -> dict[str, Any]:
    return {
        "address": address,
        "noticed": each.notice.value,
        "mailbox": each.mailbox,
        "command": each.command,
        "key": each.key,
        "legacy": _shown(each.there, most),
        "here": _shown(each.here, most),
        "why": each.why,
    }


def _content(each: Rehearsal) -> dict[str, Any]:
    return {
        "address": each.address,
        "commands": each.commands,
        "mailboxes": each.mailboxes,
        "noticed": each.worst.value,
        "differences": [_row(each.address, one, SHOWN_JSON) for one in each.differences],
        "not_listed": each.more,
        "not_compared": [{"mailbox": mailbox, "why": why} for mailbox, why in each.not_compared],
    }


def _shown(value: object, most: int) -> str:
    """Cut. What is not there is a dash."""
    if value is None:
        return "-"
    text = _text(value.all if isinstance(value, Structure) else value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, frozenset):
        return " ".join(sorted(str(each) for each in value)) or "none"
    if isinstance(value, list | tuple):
        return f"({' '.join(_text(each) for each in value)})"
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(each)}" for key, each in value.items())
    return "yes" if value is True else str(value)
