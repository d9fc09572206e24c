"""`mailplat domain`: the domains that we take mail for, and what all accounts of one may keep."""

import argparse
from typing import Any

from mailplat.app.cli import _quotas
from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, parse_size, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import InvalidInput
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
                default="0" if name == "add" else None,
                help="what all its accounts may keep together, such as 100G; 0 for no limit (default)",
            )
        if name == "set":
            action.add_argument(
                "--app-passwords-only",
                choices=["on", "off"],
                help="mail programs need an app password (docs/login.md)",
            )
            action.add_argument(
                "--scram", choices=["on", "off"], help="keep keys for SCRAM-SHA-256 (docs/login.md)"
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
    quota = None if args.quota is None else parse_size(args.quota)
    only, scram = (None if each is None else each == "on" for each in (args.app_passwords_only, args.scram))
    if quota is None and only is None and scram is None:
        raise InvalidInput("nothing to change; give --quota, --app-passwords-only or --scram")
    with open_platform(args.config) as platform:
        if only is not None or scram is not None:
            domain = platform.directory.domain(args.domain)
            platform.audit.record(
                operator(),
                "domain.login",
                domain.name,
                before={"app_passwords_only": domain.app_passwords_only, "scram": domain.scram},
                after={"app_passwords_only": args.app_passwords_only, "scram": args.scram},
            )
        platform.directory.set_domain(args.domain, quota=quota, app_passwords_only=only, scram=scram)
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
        row["app_passwords_only"] = domain.app_passwords_only
        row["scram"] = domain.scram
        columns = [*COLUMNS, "accounts", "unlimited", "aliases", "app_passwords_only", "scram"]
        return show([row], columns, as_json=args.json)


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
