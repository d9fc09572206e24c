"""`mailplat alias`: other names for accounts, catch-alls, lists of targets, forwards to local addresses."""

import argparse

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.wire.smtp.address import parse_address


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("alias", help="aliases, catch-alls and forwards")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = actions.add_parser("add", help="SOURCE is an address, or @DOMAIN for the catch-all")
    removing = actions.add_parser("remove", help="remove an alias with all its targets")
    listing = actions.add_parser("list", help="list aliases")
    for action, run in ((adding, add), (removing, remove), (listing, list_all)):
        add_config(action)
        add_json(action)
        action.set_defaults(run=run)
    adding.add_argument("source", metavar="SOURCE")
    adding.add_argument("targets", metavar="TARGET", nargs="+")
    removing.add_argument("source", metavar="SOURCE")
    listing.add_argument("domain", metavar="DOMAIN", nargs="?")


def add(args: argparse.Namespace) -> int:
    targets = [parse_address(target) for target in args.targets]
    with open_platform(args.config) as platform:
        platform.directory.add_alias(args.source, targets)
    return 0


def remove(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        platform.directory.remove_alias(args.source)
    return 0


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        rows = [
            {"source": alias.source, "targets": [str(target) for target in alias.targets]}
            for alias in platform.directory.aliases(args.domain)
        ]
        if not args.json:
            rows = [{**row, "targets": ", ".join(row["targets"])} for row in rows]
        return show(rows, ["source", "targets"], as_json=args.json)
