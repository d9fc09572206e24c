"""`mailplat shard backup` and `mailplat shard restore` (docs/backup.md)."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, NotFound, Unavailable
from mailplat.core.route import Door, Residence, ShardHome
from mailplat.directory.types import Account
from mailplat.store import backup
from mailplat.wire.smtp.address import parse_address


def register(actions: Subparsers) -> None:
    parser = actions.add_parser("backup", help="points in time of a shard, taken while it is in use")
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)

    running = steps.add_parser("run", help="take a point; only what is new is read")
    running.add_argument("name", metavar="SHARD")
    _folder(running)
    add_config(running)
    running.set_defaults(run=take)

    checking = steps.add_parser("verify", help="is all of it there; exit status 1 if not")
    _folder(checking)
    _point(checking, "only this point; default: all")
    checking.add_argument("--deep", action="store_true", help="read every octet again")
    checking.set_defaults(run=check)

    listing = steps.add_parser("list", help="points, the oldest first")
    _folder(listing)
    listing.set_defaults(run=list_points)

    pruning = steps.add_parser("prune", help="remove old points, and what only they needed")
    _folder(pruning)
    pruning.add_argument("--keep", metavar="N", type=int, required=True, help="the newest N stay")
    pruning.set_defaults(run=prune)

    for step in (running, checking, listing, pruning):
        add_json(step)
    _register_restore(actions)


def _register_restore(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "restore",
        help="a shard, a domain, an account or a mailbox as it was",
        description="Without --account and --domain the whole shard comes back into its place: stop `mailplat "
        "serve` first. With one of them mail comes back into accounts as they are now, while everything runs.",
    )
    parser.add_argument("name", metavar="SHARD")
    _folder(parser)
    _point(parser, "the newest one at or before, such as '2026-11-24 06:15' (UTC); default: the newest")
    parser.add_argument("--replace", action="store_true", help="whole shard: set aside what is there")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--account", metavar="ADDRESS")
    who.add_argument("--domain", metavar="DOMAIN")
    parser.add_argument("--mailbox", metavar="NAME", help="with --account or --domain: only this one")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--beside", action="store_true", help="into mailboxes under 'Restored DAY'")
    where.add_argument(
        "--into-place", action="store_true", help="into the mailboxes themselves, what they lack"
    )
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=restore)


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, help="the backup of this one shard")


def _point(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--point", metavar="TIME", help=text)


def take(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        shard = platform.store.shard(args.name)
        repository = backup.Repository.create(args.folder, args.name)
        report = backup.back_up(shard, repository, _addresses(platform, args.name))
    return show(
        [asdict(report)], ["point", "messages", "octets", "linked", "copied", "gone"], as_json=args.json
    )


def _addresses(platform: Platform, name: str) -> Iterator[tuple[int, str]]:
    """Of the accounts that live in the shard."""
    with platform.store.shard(name).site.read() as connection:
        rows = connection.exec_driver_sql("SELECT account_id FROM account WHERE closed = 0")
        here = {account_id for (account_id,) in rows}
    for domain in platform.directory.domains():
        for account in platform.directory.accounts(domain.name):
            if account.id in here:
                yield account.id, str(account.address)


def check(args: argparse.Namespace) -> int:
    repository = backup.Repository.open(args.folder)
    point = repository.point(args.point) if args.point else None
    report = backup.verify(repository, point=point, deep=args.deep)
    row = {
        "points": report.points,
        "objects": report.objects,
        "octets": report.octets,
        "gone": report.gone,
        "problems": len(report.problems),
        "first": str(report.problems[0]) if report.problems else "",
    }
    show([row], list(row), as_json=args.json)
    return 1 if report.problems else 0


def list_points(args: argparse.Namespace) -> int:
    rows = []
    repository = backup.Repository.open(args.folder)
    for point in repository.points():
        manifest = backup.Manifest(point.manifest)
        rows.append(
            {
                "point": point.name,
                "shard": repository.shard,
                "accounts": len(manifest.addresses),
                "messages": manifest.totals.messages,
                "octets": manifest.totals.octets,
                "gone": manifest.totals.gone,
            }
        )
    return show(rows, ["point", "shard", "accounts", "messages", "octets", "gone"], as_json=args.json)


def prune(args: argparse.Namespace) -> int:
    report = backup.prune(backup.Repository.open(args.folder), args.keep)
    return show([asdict(report)], ["points", "kept", "objects", "octets"], as_json=args.json)


def restore(args: argparse.Namespace) -> int:
    single = args.account or args.domain
    if single and not (args.beside or args.into_place):
        raise InvalidInput("--beside or --into-place: say where the mail shall come back")
    if single and args.replace:
        raise InvalidInput("--replace is for a whole shard")
    if not single and (args.mailbox or args.beside or args.into_place):
        raise InvalidInput("--mailbox, --beside and --into-place go with --account or --domain")
    repository = backup.Repository.open(args.folder)
    if repository.shard != args.name:
        raise InvalidInput(f"{args.folder}: the backup of shard {repository.shard}, not of {args.name}")
    with open_platform(args.config) as platform, repository.lock(exclusive=False):
        point = repository.point(args.point)
        return (
            _restore_mail(platform, repository, point, args)
            if single
            else _restore_shard(platform, repository, point, args)
        )


def _restore_shard(
    platform: Platform, repository: backup.Repository, point: backup.Point, args: argparse.Namespace
) -> int:
    shards = platform.settings.store.shards
    if args.name not in shards:
        raise NotFound(f"no shard is called {args.name}; known: {', '.join(shards)}")
    with backup.Catalogue(repository, point) as catalogue:
        report = backup.restore_shard(
            shards[args.name].path,
            catalogue,
            platform.bus,
            replace=args.replace,
            elsewhere=set(_elsewhere(platform, args.name, catalogue)),
        )
    row = asdict(report) | {
        "point": point.name,
        "problems": len(report.problems),
        "first": str(report.problems[0]) if report.problems else "",
    }
    columns = [
        "point",
        "accounts",
        "messages",
        "renumbered",
        "elsewhere",
        "gone",
        "aside",
        "problems",
        "first",
    ]
    if report.finished:
        row, columns = {"finished": "what was begun earlier", "aside": report.aside}, ["finished", "aside"]
    show([row], columns, as_json=args.json)
    return 1 if report.problems else 0


def _elsewhere(platform: Platform, name: str, catalogue: backup.Catalogue) -> Iterator[int]:
    """Accounts that the directory knows and that live in another place by now. One that it does not know may come
    back: nobody is led to it, and the directory may be an older one too."""
    for account_id in catalogue.open_accounts():
        try:
            home = platform.directory.route(account_id).home
        except NotFound:
            continue
        if home != ShardHome(name):
            yield account_id


def _restore_mail(
    platform: Platform, repository: backup.Repository, point: backup.Point, args: argparse.Namespace
) -> int:
    if args.account:
        accounts = [platform.directory.account(parse_address(args.account))]
    else:
        platform.directory.domain(args.domain)
        accounts = platform.directory.accounts(args.domain)
    scope = backup.Scope(beside=args.beside, mailbox=args.mailbox)
    saved = _saved_as(point, accounts)
    if not saved:
        raise NotFound(f"point {point.name} has none of these accounts: {args.account or args.domain}")
    rows = []
    with backup.Catalogue(repository, point, [number for _, number in saved]) as catalogue:
        for account, number in saved:
            residence = _residence(platform, account)
            try:
                report = backup.restore_account(
                    platform.store, residence, catalogue, number, scope, quota=account.allowance
                )
            except NotFound:
                if args.account:
                    raise
                continue  # of a domain: not every account has that mailbox
            rows.append({"account": str(account.address), **asdict(report), "problems": len(report.problems)})
    show(rows, ["account", "mailboxes", "restored", "present", "problems"], as_json=args.json)
    return 1 if any(row["problems"] for row in rows) else 0 if rows else 3


def _saved_as(point: backup.Point, accounts: list[Account]) -> list[tuple[Account, int]]:
    """Each account with its number in the point: the one that had its address then, which may be another than now
    where it was removed and added again; else the same number."""
    manifest = backup.Manifest(point.manifest)
    by_key = {parse_address(address).key: number for address, number in manifest.addresses.items()}
    numbers = set(manifest.addresses.values())
    found = []
    for account in accounts:
        number = by_key.get(account.address.key)
        if number is None and account.id in numbers:
            number = account.id  # it was renamed
        if number is not None:
            found.append((account, number))
    return found


def _residence(platform: Platform, account: Account) -> Residence:
    route = platform.directory.route(account.id)
    if not isinstance(route.home, ShardHome):
        raise InvalidInput(
            f"{account.address} lives on {route.home}: mail can be brought back to a shard only"
        )
    if route.door is not Door.SERVE:
        raise Unavailable(f"{account.address} is being moved; try again when that is over")
    return Residence(account.id, route.home.shard, route.epoch)
