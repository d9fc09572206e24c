"""`mailplat account`: mailboxes' owners, their passwords, quotas and homes."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mailplat.app.cli import _acl, _app_passwords, _quotas
from mailplat.app.console import Subparsers, add_config, add_json, parse_size, read_password, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, StaleEpoch, Unavailable
from mailplat.core.route import BackendHome, Home, Residence, RouteState, ShardHome, parse_home
from mailplat.directory.credentials import check_hash, hash_password
from mailplat.directory.scram_keys import ScramStore
from mailplat.directory.types import Account, Login
from mailplat.store.vault import owner
from mailplat.wire.imap.spelling import SEPARATORS, Spelling, check_prefix
from mailplat.wire.sasl import derive_keys
from mailplat.wire.smtp.address import parse_address

COLUMNS = ["address", "home", "state", "quota", "active", "used", "percent"]

# No move is under way: nobody copies the account, or holds its mail.
_SETTLED = (RouteState.LEGACY, RouteState.NEW, RouteState.FINAL)


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

    setting = _action(actions, "set", change, "change an account, or the quotas of many", many=True)
    setting.add_argument("--quota", metavar="SIZE", help="such as 10G; 0 for none")
    setting.add_argument("--active", choices=["yes", "no"])
    setting.add_argument(
        "--separator",
        choices=SEPARATORS,
        help="between levels of mailbox names, as its IMAP clients spell them",
    )
    setting.add_argument(
        "--prefix",
        metavar="PREFIX",
        help="of its mailboxes' names in NAMESPACE, such as INBOX. ; '' for none",
    )
    many = setting.add_mutually_exclusive_group()
    many.add_argument("--domain", metavar="DOMAIN", help="--quota for every account of this domain")
    many.add_argument(
        "--from-file",
        metavar="FILE",
        help="quotas, a line ADDRESS SIZE each; - for standard input; all of them or none",
    )

    passwd = _action(actions, "passwd", change_password, "set a new password")
    passwd.add_argument("--password-stdin", action="store_true")

    _app_passwords.register(actions)
    _acl.register(actions)

    _action(actions, "show", display, "show one account")
    _action(actions, "remove", remove, "remove an account; its mail stays in the vault for its days")
    listing = actions.add_parser("list", help="list accounts")
    add_config(listing)
    add_json(listing)
    listing.add_argument("domain", metavar="DOMAIN", nargs="?")
    listing.set_defaults(run=list_all)


def _action(
    actions: Subparsers, name: str, run: Any, text: str, *, many: bool = False
) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    add_config(action)
    add_json(action)
    action.add_argument("address", metavar="ADDRESS", nargs="?" if many else None)
    action.set_defaults(run=run)
    return action


def add(args: argparse.Namespace) -> int:
    address = parse_address(args.address)
    quota = parse_size(args.quota)
    password = ""
    with open_platform(args.config) as platform:
        home = _home(platform, args.home)
        if args.hash:
            password_hash = check_hash(args.hash)
        elif isinstance(home, BackendHome) and not args.password_stdin:
            password_hash = ""  # the backend knows it; ours is learnt later
        else:
            password = read_password(stdin=args.password_stdin)
            password_hash = hash_password(password)
        account = platform.directory.add_account(address, home=home, password_hash=password_hash, quota=quota)
        _make_keys(platform, account, password)
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
    if args.domain is not None or args.from_file is not None:
        return _quotas.change_many(args)
    if args.address is None:
        raise InvalidInput("which account? Give an ADDRESS, --domain DOMAIN or --from-file FILE")
    quota = None if args.quota is None else parse_size(args.quota)
    active = None if args.active is None else args.active == "yes"
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        separator = args.separator or account.separator
        prefix = None if args.prefix is None else check_prefix(args.prefix, separator)
        platform.directory.set_account(
            account.id, quota=quota, active=active, separator=args.separator, prefix=prefix
        )
    return 0


def change_password(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        password = read_password(stdin=args.password_stdin)
        password_hash = hash_password(password)
        platform.directory.set_account(account.id, password_hash=password_hash)
        _make_keys(platform, replace(account, password_hash=password_hash), password)
    return 0


def _make_keys(platform: Platform, account: Account, password: str) -> None:
    """For SCRAM, where the domain asks for them."""
    if not account.scram or not password:
        return
    try:
        keys = derive_keys(password)
    except InvalidInput as error:
        print(
            f"mailplat: {account.address}: no SCRAM with this password ({error}); PLAIN works",
            file=sys.stderr,
        )
        return
    ScramStore(platform.database).put(account, keys)


def remove(args: argparse.Namespace) -> int:
    """Its mail first, into the vault, under the epoch of its route: from then on no worker writes it. Then its vaults
    in other shards are told the address, at last the directory forgets it. One that was cut short is called again."""
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        route = platform.directory.route(account.id)
        if route.state not in _SETTLED:
            raise Unavailable(
                f"{account.address} is being moved ({route.state.value}); end the move or take it back first, see "
                "mailplat migrate status"
            )
        try:
            if isinstance(route.home, ShardHome):
                _remove_mail(platform, account, Residence(account.id, route.home.shard, route.epoch))
            _note_gone(platform, account)
            platform.directory.remove_account(account.address, route=route)
        except StaleEpoch as error:
            raise Unavailable(
                f"{account.address}: a move began meanwhile; remove it again when that is over. What was removed "
                f"until then is in the vault ({error})"
            ) from error
    return 0


def _remove_mail(platform: Platform, account: Account, residence: Residence) -> None:
    """Raises StaleEpoch when the shard has granted another epoch than the route's."""
    shard = platform.store.shard(residence.shard)
    if not shard.is_removed(residence):  # else an earlier call was cut short behind this
        shard.grant(account.id, residence.epoch)
        shard.remove_account(residence, address=str(account.address))


def _note_gone(platform: Platform, account: Account) -> None:
    """A shard that cannot be asked keeps nobody from removing an account."""
    for name, section in platform.shards.items():
        if not (section.path / "index.db").exists():
            continue
        try:
            owner.note_gone(platform.store.shard(name).site, account.id, str(account.address))
        except Unavailable as error:
            text = f"what its vault may have of {account.address} is listed there as account {account.id}"
            print(f"shard {name} cannot be asked ({error}); {text}", file=sys.stderr)


def display(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = platform.directory.account(parse_address(args.address))
        login = Login(account, platform.directory.route(account.id))
        return show(_rows(platform, [login]), COLUMNS, as_json=args.json)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        return show(_rows(platform, platform.directory.residents(args.domain)), COLUMNS, as_json=args.json)


def _rows(platform: Platform, logins: Sequence[Login]) -> list[dict[str, Any]]:
    used = _quotas.used(platform, logins)
    return [_row(login, used.get(login.account.id)) for login in logins]


def _row(login: Login, used: int | None) -> dict[str, Any]:
    """`used` in octets; None where they are not counted here."""
    account, route = login.account, login.route
    percent = used * 100 // account.quota if used is not None and account.quota else None
    return {
        "address": str(account.address),
        "id": account.id,
        "home": str(route.home),
        "state": route.state.value,
        "epoch": route.epoch,
        "quota": account.quota,
        "separator": account.separator,
        "prefix": Spelling(separator=account.separator).written(account.prefix),
        "active": account.active,
        "used": used,
        "percent": percent,
    }
