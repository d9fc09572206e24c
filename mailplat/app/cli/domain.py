"""`mailplat domain`: the domains that we take mail for."""

import argparse
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.directory.types import Domain


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("domain", help="domains that we take mail for")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("add", add, "add a domain"),
        ("show", display, "show one domain"),
        ("remove", remove, "remove a domain that has no account and no alias left"),
    ):
        action = actions.add_parser(name, help=text)
        add_config(action)
        add_json(action)
        action.add_argument("domain", metavar="DOMAIN")
        action.set_defaults(run=run)
    listing = actions.add_parser("list", help="list the domains")
    add_config(listing)
    add_json(listing)
    listing.set_defaults(run=list_all)


def add(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        platform.directory.add_domain(args.domain)
    return 0


def remove(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        platform.directory.remove_domain(args.domain)
    return 0


def display(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        domain = platform.directory.domain(args.domain)
        row = _row(domain)
        row["accounts"] = len(platform.directory.accounts(domain.name))
        row["aliases"] = len(platform.directory.aliases(domain.name))
        return show([row], ["domain", "accounts", "aliases"], as_json=args.json)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        return show(map(_row, platform.directory.domains()), ["domain"], as_json=args.json)


def _row(domain: Domain) -> dict[str, Any]:
    return {"domain": domain.name}
