"""`mailplat shard backup` (docs/backup.md); bringing back is in _restore.py."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.route import ShardHome
from mailplat.directory.records import write_records
from mailplat.store import backup


def register(actions: Subparsers) -> None:
    parser = actions.add_parser("backup", help="points in time of a shard, taken while it is in use")
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)

    running = steps.add_parser("run", help="take a point; only what is new is read")
    running.add_argument("name", metavar="SHARD")
    add_folder(running)
    add_config(running)
    running.set_defaults(run=take)

    checking = steps.add_parser("verify", help="is all of it there; exit status 1 if not")
    add_folder(checking)
    add_point(checking, "only this point; default: all")
    checking.add_argument("--deep", action="store_true", help="read every octet again")
    checking.set_defaults(run=check)

    listing = steps.add_parser("list", help="points, the oldest first")
    add_folder(listing)
    listing.set_defaults(run=list_points)

    pruning = steps.add_parser("prune", help="remove old points, and what only they needed")
    add_folder(pruning)
    pruning.add_argument("--keep", metavar="N", type=int, required=True, help="the newest N stay")
    pruning.set_defaults(run=prune)

    for step in (running, checking, listing, pruning):
        add_json(step)


def add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, help="the backup of this one shard")


def add_point(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--point", metavar="TIME", help=text)


def take(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        shard = platform.store.shard(args.name)
        repository = backup.Repository.create(args.folder, args.name)
        report = backup.back_up(
            shard,
            repository,
            _addresses(platform, args.name),
            lambda: write_records(platform.directory, ShardHome(args.name)),
        )
    columns = ["point", "messages", "vault", "octets", "linked", "copied", "read_octets", "gone"]
    return show([asdict(report)], columns, as_json=args.json)


def _addresses(platform: Platform, name: str) -> Iterator[tuple[int, str]]:
    """Of the accounts that live in the shard."""
    with platform.store.shard(name).site.read() as connection:
        rows = connection.exec_driver_sql("SELECT account_id FROM account WHERE closed = 0")
        here = {account_id for (account_id,) in rows}
    for account in platform.directory.accounts():
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
                "vault": manifest.totals.vault,
                "octets": manifest.totals.octets,
                "gone": manifest.totals.gone,
            }
        )
    return show(
        rows, ["point", "shard", "accounts", "messages", "vault", "octets", "gone"], as_json=args.json
    )


def prune(args: argparse.Namespace) -> int:
    report = backup.prune(backup.Repository.open(args.folder), args.keep)
    return show([asdict(report)], ["points", "kept", "objects", "octets"], as_json=args.json)
