"""`mailplat account`: mailboxes' owners, their passwords, quotas and homes."""

import argparse
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, parse_size, read_password, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, StaleEpoch, Unavailable
from mailplat.core.route import BackendHome, Door, Home, Residence, ShardHome, parse_home
from mailplat.directory.credentials import check_hash, hash_password
from mailplat.directory.types import Account
from mailplat.store.transfer import is_closed
from mailplat.wire.smtp.address import parse_address

COLUMNS = ["address", "home", "state", "quota", "active"]


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("account", help="accounts: who has mail here")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    adding = _action(actions, "add", add, "add an account; asks for a password unless told one")
    secret = adding.add_mutually_exclusive_group()
    secret.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    secret.add_argument("--hash", metavar="'{SCHEME}...'", help="store this password hash as it is")
    adding.add_argument("--quota", metavar="SIZE", default="0", help="such as 10G; 0 for none (default)")
    adding.add_argument(
        "--home", metavar="HOME", help="shard:NAME or backend:NAME; default: the shard with most space"
    )

    setting = _action(actions, "set", change, "change an account")
    setting.add_argument("--quota", metavar="SIZE")
    setting.add_argument("--active", choices=["yes", "no"])

    passwd = _action(actions, "passwd", change_password, "set a new password")
    passwd.add_argument("--password-stdin", action="store_true")

    _action(actions, "show", display, "show one account")
    _action(actions, "remove", remove, "remove an account; its mail stays in the vault for its days")
    listing = actions.add_parser("list", help="list accounts")
    add_config(listing)
    add_json(listing)
    listing.add_argument("domain", metavar="DOMAIN", nargs="?")
    listing.set_defaults(run=list_all)


def _action(actions: Subparsers, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    add_config(action)
    add_json(action)
    action.add_argument("address", metavar="ADDRESS")
    action.set_defaults(run=run)
    return action


def add(args: argparse.Namespace) -> int:
    address = parse_address(args.address)
    quota = parse_size(args.quota)
    with open_platform(args.config) as platform:
        home = _home(platform, args.home)
        if args.hash:
            password_hash = check_hash(args.hash)
        elif isinstance(home, BackendHome) and not args.password_stdin:
            password_hash = ""  # the backend knows it; ours is learnt later
        else:
            password_hash = hash_password(read_password(stdin=args.password_stdin))
        platform.directory.add_account(address, home=home, password_hash=password_hash, quota=quota)
    return 0


def _home(platform: Platform, text: str | None) -> Home:
    if text is None:
        return ShardHome(platform.place_account())
    try:
        home = parse_home(text)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    if isinstance(home, ShardHome):
        platform.store.shard(home.shard)
    else:
        platform.directory.backend(home.backend)
    return home


def change(args: argparse.Namespace) -> int:
    quota = None if args.quota is None else parse_size(args.quota)
    active = None if args.active is None else args.active == "yes"
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        platform.directory.set_account(account.id, quota=quota, active=active)
    return 0


def change_password(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        password_hash = hash_password(read_password(stdin=args.password_stdin))
        platform.directory.set_account(account.id, password_hash=password_hash)
    return 0


def remove(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        route = platform.directory.route(account.id)
        if route.door is Door.HOLD:
            raise Unavailable(f"{account.address} is being moved; try again when that is over")
        if isinstance(route.home, ShardHome):
            shard = platform.store.shard(route.home.shard)
            residence = Residence(account.id, route.home.shard, route.epoch)
            try:
                shard.grant(account.id, route.epoch)
                shard.remove_account(residence, address=str(account.address))
            except StaleEpoch:  # an earlier call was cut short behind this, or a move has begun its fence
                if not is_closed(shard.site, account.id):
                    raise
        platform.directory.remove_account(account.address)
    return 0


def display(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        return show([_row(platform, account)], COLUMNS, as_json=args.json)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        accounts = platform.directory.accounts(args.domain)
        return show([_row(platform, account) for account in accounts], COLUMNS, as_json=args.json)


def _row(platform: Platform, account: Account) -> dict[str, Any]:
    route = platform.directory.route(account.id)
    return {
        "address": str(account.address),
        "id": account.id,
        "home": str(route.home),
        "state": route.state.value,
        "epoch": route.epoch,
        "quota": account.quota,
        "active": account.active,
    }
