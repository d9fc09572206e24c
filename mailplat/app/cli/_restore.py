"""`mailplat shard restore`: a shard, a domain, an account or one mailbox as a backup has it (docs/backup.md)."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mailplat.app.cli._backup import add_folder, add_point
from mailplat.app.cli._residence import residence
from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.address import Address
from mailplat.core.errors import InvalidInput, NotFound, OverQuota, StaleEpoch
from mailplat.core.route import ShardHome
from mailplat.directory.records import Added, add_missing, read_records
from mailplat.directory.types import Account
from mailplat.store import backup
from mailplat.wire.smtp.address import parse_address

WHOLE = ["point", "accounts", "messages", "vault", "renumbered", "elsewhere", "unknown", "gone", "problems",
         "first", "aside"]  # fmt: skip
ADDED = ["domains_added", "accounts_added", "aliases_added", "present", "left", "taken"]


def register(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "restore",
        help="a shard, a domain, an account or a mailbox as it was",
        description="Without --account and --domain the whole shard comes back into its place: stop `mailplat "
        "serve` first. With one of them mail comes back into accounts as they are now, while everything runs.",
    )
    parser.add_argument("name", metavar="SHARD")
    add_folder(parser)
    add_point(parser, "the newest one at or before, such as '2026-11-24 06:15' (UTC); default: the newest")
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
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--directory",
        action="store_true",
        help="also domains, accounts and aliases that are not known any more",
    )
    rows.add_argument("--only-directory", action="store_true", help="these, and no mail")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=restore)


def restore(args: argparse.Namespace) -> int:
    single = args.account or args.domain
    if args.only_directory and (single or args.replace or args.mailbox or args.beside or args.into_place):
        raise InvalidInput("--only-directory goes alone, with all accounts of the shard")
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
        if args.name not in platform.shards:
            raise NotFound(f"no shard is called {args.name}; known: {', '.join(platform.shards)}")
        point = repository.point(args.point)
        asked = {"point": point.name} | {
            name: getattr(args, name)
            for name in ("mailbox", "beside", "into_place", "replace", "directory", "only_directory")
            if getattr(args, name)
        }
        platform.audit.record(operator(), "shard.restore", single or f"shard:{args.name}", after=asked)
        run = _restore_directory if args.only_directory else _restore_mail if single else _restore_shard
        return run(platform, repository, point, args)


def _restore_shard(
    platform: Platform, repository: backup.Repository, point: backup.Point, args: argparse.Namespace
) -> int:
    with backup.Catalogue(repository, point) as catalogue:
        accounts = {account.id: account for account in platform.directory.accounts()}
        _check_numbers(catalogue, accounts)
        report = backup.restore_shard(
            platform.shards[args.name].path,
            catalogue,
            platform.bus,
            replace=args.replace,
            elsewhere=set(_elsewhere(platform, args.name, catalogue)),
        )
        row = asdict(report) | {"point": point.name} | _problems([str(each) for each in report.problems])
        row["unknown"] = sum(number not in accounts for number in catalogue.open_accounts())
        columns = list(WHOLE)
        failed = bool(report.problems)
        if report.finished:
            row, columns = (
                {"finished": "what was begun earlier", "aside": report.aside},
                ["finished", "aside"],
            )
        if args.directory:
            added = _add_all(platform, args.name, catalogue)
            row |= _added(added) | {"unknown": row.get("unknown", 0) - added.accounts}
            columns += ADDED
            failed = failed or bool(added.taken)
        else:
            platform.link_shares(platform.store.shard(args.name))
    show([row], columns, as_json=args.json)
    return 1 if failed else 0


def _check_numbers(catalogue: backup.Catalogue, accounts: Mapping[int, Account]) -> None:
    """An account's mail lies under its number. On another platform somebody else may have that number, and would be
    given this mail."""
    was = dict.fromkeys(catalogue.open_accounts(), "unknown")
    for number in catalogue.vault_accounts():
        owner = catalogue.owner(number)
        was |= {number: owner.address} if owner is not None and owner.address else {}
    was |= {number: address for address, number in catalogue.addresses.items()}
    for number, address in was.items():
        now = accounts.get(number)
        if now is not None and (address == "unknown" or now.address.key != parse_address(address).key):
            raise InvalidInput(
                f"account number {number} was {address} and is {now.address} here: restore the whole shard into an"
                " empty directory with --directory, or bring back its accounts with --account or --domain"
            )


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


def _restore_directory(
    platform: Platform, repository: backup.Repository, point: backup.Point, args: argparse.Namespace
) -> int:
    with backup.Catalogue(repository, point, ()) as catalogue:
        added = _add_all(platform, args.name, catalogue)
    show([{"point": point.name} | _added(added)], ["point", *ADDED], as_json=args.json)
    return 1 if added.taken else 0


def _add_all(platform: Platform, name: str, catalogue: backup.Catalogue) -> Added:
    """Under their old numbers, since the shard's mail lies there, with epochs that it follows."""
    with platform.store.shard(name).site.read() as connection:
        rows = connection.exec_driver_sql("SELECT account_id, epoch, closed FROM account").fetchall()
        vaulted = connection.exec_driver_sql(
            "SELECT coalesce(max(account_id), 0) FROM"
            " (SELECT account_id FROM vault UNION ALL SELECT account_id FROM vault_owner)"
        ).scalar_one()
    added = add_missing(
        platform.directory,
        read_records(catalogue.directory()),
        ShardHome(name),
        epochs={number: epoch for number, epoch, _ in rows},
        left={number for number, _, closed in rows if closed},
        last=max([vaulted, *(number for number, _, _ in rows)]),
    )
    platform.link_shares(platform.store.shard(name))
    return added


def _added(added: Added) -> dict[str, Any]:
    return {
        "domains_added": added.domains,
        "accounts_added": added.accounts,
        "aliases_added": added.aliases,
        "present": added.present,
        "left": added.left,
        "taken": ", ".join(added.taken) or "-",
    }


def _restore_mail(
    platform: Platform, repository: backup.Repository, point: backup.Point, args: argparse.Namespace
) -> int:
    if args.directory:
        _add_some(platform, repository, point, args)
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
            try:
                report = backup.restore_account(
                    platform.store,
                    residence(platform, account),
                    catalogue,
                    number,
                    scope,
                    quota=account.allowance,
                )
            except (NotFound, InvalidInput, OverQuota, StaleEpoch) as error:
                if args.account:
                    raise
                if not isinstance(error, NotFound):  # not every account has that mailbox
                    rows.append(_refused(account, str(error)))
                continue  # the rest of the domain
            rows.append(
                {"account": str(account.address)}
                | asdict(report)
                | _problems([str(each) for each in report.problems])
            )
        for name in sorted({residence(platform, account).shard for account, _ in saved}):
            platform.link_shares(platform.store.shard(name))
    show(rows, ["account", "mailboxes", "restored", "present", "problems", "first"], as_json=args.json)
    return 1 if any(row["problems"] for row in rows) else 0 if rows else 3


def _add_some(
    platform: Platform, repository: backup.Repository, point: backup.Point, args: argparse.Namespace
) -> None:
    """Under new numbers: the old ones may be closed in the shard, and their mail in the vault."""
    with backup.Catalogue(repository, point, ()) as catalogue:
        records = read_records(catalogue.directory())
    if args.account:
        asked = parse_address(args.account)
        records = records.narrow(lambda address: address.key == asked.key, {asked.domain}, aliases=False)
    else:
        domain = parse_address(f"postmaster@{args.domain}").domain

        def of_domain(address: Address) -> bool:
            return address.domain == domain

        records = records.narrow(of_domain, {domain}, aliases=True)
    add_missing(platform.directory, records, ShardHome(args.name), epochs=None)


def _saved_as(point: backup.Point, accounts: list[Account]) -> list[tuple[Account, int]]:
    """Each account with its number in the point: the one that had its address then, which may be another than now
    where it was removed and added again."""
    manifest = backup.Manifest(point.manifest)
    by_key = {parse_address(address).key: number for address, number in manifest.addresses.items()}
    return [(account, by_key[account.address.key]) for account in accounts if account.address.key in by_key]


def _refused(account: Account, reason: str) -> dict[str, Any]:
    return {"account": str(account.address), "mailboxes": 0, "restored": 0, "present": 0} | _problems(
        [reason]
    )


def _problems(found: list[str]) -> dict[str, Any]:
    return {"problems": len(found), "first": found[0] if found else "-"}
