"""`mailplat migrate census`: what lives on a legacy platform, and what that says of its move."""

import argparse
import asyncio
import contextlib
import sys
import time
from dataclasses import asdict
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, show, to_json
from mailplat.app.wiring import open_platform
from mailplat.core.errors import NotFound
from mailplat.core.visible import visible
from migration.census.report import DomainReport, Report, report
from migration.census.taking import Census, residents

COLUMNS = ("domain", "accounts", "messages", "size", "collide", "pop3", "oversized", "risk", "copy_takes")

# A line of progress on standard error, at most one in so many seconds.
SAID_EVERY_S = 5.0


def register(actions: Subparsers) -> None:
    action = actions.add_parser(
        "census",
        help="read a legacy platform once, gently: sizes, what will be in the way, risk, how long it takes",
        description="Accounts whose home the backend is. What was read is kept; said again it reads who is new, "
        "and who could not be read. Exit status 1 where an account could not be read.",
    )
    add_config(action)
    add_json(action)
    action.add_argument("backend", metavar="BACKEND")
    action.add_argument("--again", action="store_true", help="read every account anew")
    action.set_defaults(run=census)


def census(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        backend = platform.directory.backend(args.backend)
        accounts = residents(platform.database, backend.name)
        if not accounts:
            raise NotFound(
                f"no account lives on backend {backend.name}; see mailplat migrate directory import"
            )
        with contextlib.redirect_stdout(sys.stderr):  # what the pacer logs is no part of the report
            asyncio.run(Census(platform, backend, _Progress()).take(accounts, again=args.again))
        found = report(platform, backend.name)
    if args.json:
        print(to_json(_document(found)))
    else:
        show([_row(each) for each in found.domains], COLUMNS, as_json=False)
        _explain(found)
    return 1 if any(each.facts is None for each in found.residents) else 0


class _Progress:
    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() - self._said >= SAID_EVERY_S:
            self._said = time.monotonic()
            print(f"{done} of {of} accounts read", file=sys.stderr, flush=True)


def _row(each: DomainReport) -> dict[str, Any]:
    summary, duration = each.summary, each.duration
    return {
        "domain": each.domain,
        "accounts": summary.accounts,
        "messages": summary.messages,
        "size": ("about " if summary.estimated else "") + size(summary.octets),
        "collide": len(summary.colliding),
        "pop3": len(summary.leaving_mail),
        "oversized": len(summary.oversized),
        "risk": each.risk,
        "copy_takes": f"{span(duration.expected)} ({span(duration.low)} to {span(duration.high)})",
    }


def _explain(found: Report) -> None:
    for each in found.domains:
        if each.reasons:
            print(f"\n{each.domain}: risk {each.risk}")
            for reason in each.reasons:
                print(f"  {reason.points:>3}  {reason.text}")
    troubles = [each for each in found.residents if each.trouble]
    if troubles:
        print("\ncould not be read:")
        for account in troubles:
            print(f"  {account.address}: {visible(account.trouble)}")
    collisions = [each for each in found.residents if each.facts and each.facts.collisions]
    if collisions:
        print("\nmailboxes that would be one here; rename one there:")
        for account in collisions:
            assert account.facts is not None
            print(f"  {account.address}: {visible('; '.join(account.facts.collisions))}")
    if found.ties:
        print("\ntied together:")
        for tie in found.ties:
            print(f"  {tie.domain} -> {tie.other}: {tie.forwards} forwards, {tie.lists} lists")
    if found.spread.rounds:
        print(f"\ncopy takes: as {found.spread.rounds} first copies from {found.backend} did")
    else:
        print(
            "\ncopy takes: too few copies from this backend were measured yet; half to twice what others took"
        )


def _document(found: Report) -> dict[str, Any]:
    return {
        "backend": found.backend,
        "domains": [
            {
                **{name: value for name, value in asdict(each.summary).items() if name != "sizes"},
                "risk": each.risk,
                "reasons": [asdict(reason) for reason in each.reasons],
                "copy_seconds": asdict(each.duration),
            }
            for each in found.domains
        ],
        "accounts": [
            {
                "address": each.address,
                "at": each.at,
                "trouble": each.trouble,
                **(asdict(each.facts) if each.facts else {}),
                "leaves_mail": each.facts.leaves_mail if each.facts else None,
            }
            for each in found.residents
        ],
        "ties": [asdict(each) for each in found.ties],
        "spread": asdict(found.spread),
    }


def size(octets: float) -> str:
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= power:
            return f"{octets / power:.1f} {unit}"
    return f"{octets:.0f} B"


def span(seconds: float) -> str:
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
