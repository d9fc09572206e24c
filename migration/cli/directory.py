"""`mailplat migrate directory`: accounts, password hashes, quotas, aliases of a legacy platform, all at once."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, show, to_json
from mailplat.app.wiring import open_platform
from mailplat.core.errors import InvalidInput
from mailplat.core.visible import visible
from migration.directory.description import load
from migration.directory.drift import folder_of
from migration.directory.gone import Brake, Removal
from migration.directory.register import Register
from migration.directory.report import REFUSED, Report, Row
from migration.directory.takeover import Takeover


def register(actions: Subparsers) -> None:
    parser = actions.add_parser("directory", help="take over a platform's accounts and aliases, in bulk")
    verbs = parser.add_subparsers(dest="verb_of_directory", metavar="ACTION", required=True)

    importing = verbs.add_parser(
        "import",
        help="make ours what a description's sources say",
        description="Again as often as you like: what has not changed there is left alone. `mailplat serve` does it"
        " by itself from then on ([migration] directory_every). Exit status 1 if something was refused.",
    )
    add_config(importing)
    add_json(importing)
    importing.add_argument(
        "file", metavar="FILE", type=Path, help="the description, TOML (docs/migration.md)"
    )
    importing.add_argument("--dry-run", action="store_true", help="change nothing, say what would be changed")
    importing.add_argument("--once", action="store_true", help="`mailplat serve` does not do it again")
    importing.add_argument(
        "--remove-gone",
        metavar="N",
        type=int,
        nargs="?",
        const=0,
        help="remove what is gone there and has not begun to move; N: so many at most, if more than 5 %% or 100",
    )
    importing.set_defaults(run=take_over)

    listing = verbs.add_parser("list", help="descriptions that are taken over again and again")
    add_config(listing)
    add_json(listing)
    listing.set_defaults(run=list_all)

    forgetting = verbs.add_parser("forget", help="no more; what came from it stays")
    add_config(forgetting)
    forgetting.add_argument("backend", metavar="BACKEND")
    forgetting.set_defaults(run=forget)


def take_over(args: argparse.Namespace) -> int:
    if args.remove_gone is not None and args.remove_gone < 0:
        raise InvalidInput("--remove-gone: a number of accounts and aliases")
    removal = Removal(args.remove_gone is not None, args.remove_gone or 0)
    description = load(args.file)
    with open_platform(args.config) as platform:
        known = Register(platform.database, platform.clock)
        known.check(description.backend, str(description.path))
        report = Report(_Printer() if args.json else _print)
        takeover = Takeover(platform.database, platform.clock, folder_of(platform), who=operator())
        began = platform.clock.now()
        braked: Brake | None = None
        try:
            takeover.run(description, report, removal, write=not args.dry_run)
        except Brake as brake:
            braked = brake
        finally:
            if isinstance(report.tell, _Printer):
                report.tell.close(dict(report.figures), dry_run=args.dry_run)
        if not args.dry_run and not args.once:
            known.put(description.backend, str(description.path), began, report.figures)
        if braked is not None:
            raise braked
    if not args.json:
        _conclude(report, args)
    return 1 if report.refusals else 0


def _conclude(report: Report, args: argparse.Namespace) -> None:
    said = (
        ", ".join(f"{name}: {number}" for name, number in sorted(report.figures.items())) or "nothing there"
    )
    print(said)
    if not report.writes:
        print("nothing to change")
    elif args.dry_run:
        print("dry run: nothing was changed")


def _print(row: Row) -> None:
    if row.change == REFUSED:
        print(f"mailplat: {row.subject}: {visible(row.detail)}", file=sys.stderr)
    else:
        words = (row.change, row.what, row.subject)
        print(
            "  ".join(visible(word) for word in words if word)
            + (f": {visible(row.detail)}" if row.detail else "")
        )


class _Printer:
    """JSON row by row, so that a million of them are not held."""

    def __init__(self) -> None:
        self._first = True
        print('{"rows": [', end="")

    def __call__(self, row: Row) -> None:
        print("\n" if self._first else ",\n", to_json(asdict(row), indent=None), sep="", end="")
        self._first = False

    def close(self, figures: dict[str, int], *, dry_run: bool) -> None:
        print(f'\n], "figures": {json.dumps(figures)}, "dry_run": {json.dumps(dry_run)}}}')


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        rows: list[dict[str, Any]] = [
            asdict(each) for each in Register(platform.database, platform.clock).all()
        ]
    if not args.json:
        rows = [
            {**row, "began": _utc(row["began"]), "ended": _utc(row["ended"]), "note": visible(row["note"])}
            for row in rows
        ]
    return show(rows, ["backend", "file", "began", "ended", "note"], as_json=args.json)


def _utc(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(when)) if when else ""


def forget(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        Register(platform.database, platform.clock).forget(args.backend)
    return 0
