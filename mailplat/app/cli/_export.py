"""`mailplat shard export`: the mail of a shard for another server (docs/export.md)."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import NotFound
from mailplat.core.route import Door, ShardHome
from mailplat.directory.types import Account
from mailplat.store import export
from mailplat.wire.smtp.address import parse_address

_COLUMNS = ["accounts", "mailboxes", "messages", "octets", "linked", "copied", "gone", "remarks", "problems"]


def register(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "export",
        help="the mail for another server, with the same UIDs, while everything runs",
        description="Leaves a tree that another server serves with the same UIDs. DIR/manifest.json says what is "
        "in it and what could not be carried over. Exit status 1 if a message's file was missing or damaged.",
    )
    parser.add_argument("name", metavar="SHARD")
    parser.add_argument("--format", choices=export.known_formats(), required=True)
    parser.add_argument(
        "--to",
        metavar="DIR",
        type=Path,
        required=True,
        help="empty or not there yet; best on the shard's file system",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--account", metavar="ADDRESS", help="only this one; default: every account of the shard"
    )
    who.add_argument("--domain", metavar="DOMAIN", help="only the accounts of this one")
    parser.add_argument("--copy", action="store_true", help="no hard links: nothing is shared with the shard")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        shard = platform.store.shard(args.name)
        owners = list(_owners(platform, args.name, args.account, args.domain))
        if not owners:
            raise NotFound(f"shard {args.name} has no account of {args.account or args.domain or 'anybody'}")
        report = export.export(shard, args.to, args.format, owners, link=not args.copy)
    row = {
        column: len(getattr(report, column)) if column in ("remarks", "problems") else getattr(report, column)
        for column in _COLUMNS
    }
    row["needs"] = report.needs
    show([row], _COLUMNS, as_json=args.json)
    if not args.json:
        for need in report.needs:
            print(f"needs: {need}")
    if report.problems:
        count, first = len(report.problems), report.problems[0]
        print(f"mailplat: {first} ({count} in all, see {args.to / 'manifest.json'})", file=sys.stderr)
    return 1 if report.problems else 0


def _owners(platform: Platform, name: str, address: str | None, domain: str | None) -> Iterator[export.Owner]:
    """Accounts that have mail in the shard, as the directory knows them."""
    here = set(export.open_accounts(platform.store.shard(name)))
    if address is not None:
        known = [platform.directory.account(parse_address(address))]
    else:
        if domain is not None:
            platform.directory.domain(domain)
        known = platform.directory.accounts(domain)
    for account in known:
        if account.id in here:
            here.discard(account.id)
            yield _owner(platform, name, account)
    if address is None and domain is None:
        for account_id in sorted(here):
            yield export.Owner(account_id)


def _owner(platform: Platform, name: str, account: Account) -> export.Owner:
    route = platform.directory.route(account.id)
    remark = ""
    if route.home != ShardHome(name):
        remark = f"it lives on {route.home}; what the shard has of it may be old or half of it"
    elif route.door is not Door.SERVE:
        remark = f"it is being moved ({route.state})"
    return export.Owner(
        account.id, account.address, account.password_hash, account.quota, account.active, remark
    )
