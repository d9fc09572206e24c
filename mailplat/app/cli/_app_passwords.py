"""`mailplat account app-password`: passwords of single programs and devices."""

import argparse
import json

from mailplat.app.cli.audit import operator, parse_day, stamp
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import InvalidInput
from mailplat.directory.app_passwords import PROTOCOLS, AppPasswords, check_label
from mailplat.wire.smtp.address import parse_address

COLUMNS = ["label", "scope", "created", "expires", "expired"]


def register(actions: Subparsers) -> None:
    parser = actions.add_parser("app-password", help="passwords of single programs and devices")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, run, text in (
        ("add", add, "make one; it is printed once and cannot be shown again"),
        ("list", list_all, "list an account's"),
        ("remove", remove, "take one back"),
    ):
        verb = verbs.add_parser(name, help=text)
        add_config(verb)
        add_json(verb)
        verb.add_argument("address", metavar="ADDRESS")
        if name != "list":
            verb.add_argument(
                "--label", metavar="L", required=True, help="whose it is, such as 'phone' or 'scanner'"
            )
        if name == "add":
            verb.add_argument(
                "--scope",
                metavar="LIST",
                default=",".join(PROTOCOLS),
                help=f"what it opens; default: {','.join(PROTOCOLS)}",
            )
            verb.add_argument("--expires", metavar="DAY", help="YYYY-MM-DD, UTC: the first day without it")
        verb.set_defaults(run=run)


def add(args: argparse.Namespace) -> int:
    scope = tuple(each.strip() for each in args.scope.split(","))
    unknown = sorted(set(scope) - set(PROTOCOLS))
    if unknown:
        raise InvalidInput(f"--scope: {unknown[0]!r} is none of {', '.join(PROTOCOLS)}")
    check_label(args.label)
    expires = parse_day(args.expires)
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        after = {"label": args.label, "scope": scope, "expires": args.expires}
        platform.audit.record(operator(), "app-password.add", str(account.address), after=after)
        secret = AppPasswords(platform.database, platform.clock).add(
            account.id, args.label, scope=scope, expires=expires
        )
    print(json.dumps({"label": args.label, "password": secret}) if args.json else secret)
    return 0


def remove(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        before = {"label": args.label}
        platform.audit.record(operator(), "app-password.remove", str(account.address), before=before)
        AppPasswords(platform.database, platform.clock).remove(account.id, args.label)
    return 0


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        found = AppPasswords(platform.database, platform.clock).of(account.id)
        now = platform.clock.now()
    rows = [
        {
            "label": each.label,
            "scope": ",".join(each.scope),
            "created": stamp(each.created),
            "expires": None if each.expires is None else stamp(each.expires),
            "expired": "yes" if each.expires is not None and each.expires <= now else "no",
        }
        for each in found
    ]
    return show(rows, COLUMNS, as_json=args.json)
