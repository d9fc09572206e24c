"""`mailplat domain`: the domains that we take mail for, and what all accounts of one may keep."""

import argparse
from typing import Any

from mailplat.app.cli import _quotas
from mailplat.app.console import Subparsers, add_config, add_json, parse_size, show
from mailplat.app.wiring import open_platform
from mailplat.directory.quotas import Promised
from mailplat.directory.types import Domain

COLUMNS = ["domain", "quota", "used", "percent", "promised"]


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("domain", help="domains that we take mail for")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("add", add, "add a domain"),
        ("set", change, "change a domain"),
        ("show", display, "show one domain"),
        ("remove", remove, "remove a domain that has no account and no alias left"),
    ):
        action = actions.add_parser(name, help=text)
        add_config(action)
        add_json(action)
        action.add_argument("domain", metavar="DOMAIN")
        if name in ("add", "set"):
            action.add_argument(
                "--quota",
                metavar="SIZE",
                required=name == "set",
                default="0",
                help="what all its accounts may keep together, such as 100G; 0 for no limit (default)",
            )
        action.set_defaults(run=run)
    listing = actions.add_parser("list", help="list the domains")
    add_config(listing)
    add_json(listing)
    listing.set_defaults(run=list_all)


def add(args: argparse.Namespace) -> int:
    quota = parse_size(args.quota)
    with open_platform(args.config) as platform:
        platform.directory.add_domain(args.domain, quota=quota)
    return 0


def change(args: argparse.Namespace) -> int:
    quota = parse_size(args.quota)
    with open_platform(args.config) as platform:
        platform.directory.set_domain(args.domain, quota=quota)
    return 0


def remove(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        platform.directory.remove_domain(args.domain)
    return 0


def display(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        domain = platform.directory.domain(args.domain)
        promised = platform.directory.promised().get(domain.name, Promised())
        row = _row(domain, promised, _quotas.pools(platform).get(domain.name, 0))
        row["aliases"] = len(platform.directory.aliases(domain.name))
        return show([row], [*COLUMNS, "accounts", "unlimited", "aliases"], as_json=args.json)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        promised, used = platform.directory.promised(), _quotas.pools(platform)
        rows = [
            _row(domain, promised.get(domain.name, Promised()), used.get(domain.name, 0))
            for domain in platform.directory.domains()
        ]
        return show(rows, COLUMNS, as_json=args.json)


def _row(domain: Domain, promised: Promised, used: int) -> dict[str, Any]:
    """Octets. `promised` leaves out the accounts without a quota of their own: `unlimited`."""
    return {
        "domain": domain.name,
        "quota": domain.quota,
        "used": used,
        "percent": used * 100 // domain.quota if domain.quota else None,
        "promised": promised.octets,
        "accounts": promised.accounts,
        "unlimited": promised.unlimited,
    }
