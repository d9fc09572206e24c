"""`mailplat shard`: the directories that mail is kept in, their health and their repair."""

import argparse

from mailplat.app.cli import _addition, _backup, _restore
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import NotFound
from mailplat.store.repair import rebuild, verify


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("shard", help="where the mail is kept")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="shards with accounts and free space")
    checking = actions.add_parser(
        "verify", help="compare the index with the files; exit status 1 if they differ"
    )
    mending = actions.add_parser(
        "rebuild", help="make the index again from the files; stop `mailplat serve` first"
    )
    for action, run in ((listing, list_all), (checking, check), (mending, mend)):
        add_config(action)
        add_json(action)
        action.set_defaults(run=run)
    checking.add_argument("name", metavar="SHARD", nargs="?", help="default: all")
    mending.add_argument("name", metavar="SHARD")
    _addition.register(actions)
    _backup.register(actions)
    _restore.register(actions)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        counts = platform.directory.accounts_by_home()
        rows = []
        for name, shard in platform.shards.items():
            condition = platform.placement.condition(name)
            rows.append(
                {
                    "shard": name,
                    "path": str(shard.path),
                    "accounts": counts.get(f"shard:{name}", 0),
                    "free_gb": condition.free >> 30,
                    "weight": shard.weight,
                    "placement": "off" if not shard.placement else condition.trouble or "on",
                }
            )
        columns = ["shard", "path", "accounts", "free_gb", "weight", "placement"]
        return show(rows, columns, as_json=args.json)


def check(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        names = [args.name] if args.name else sorted(platform.shards)
        reports = [(name, verify(platform.store.shard(name))) for name in names]
        rows = [
            {
                "shard": name,
                "messages": report.messages,
                "problems": len(report.problems),
                "first": str(report.first),
            }
            for name, report in reports
        ]
        show(rows, ["shard", "messages", "problems", "first"], as_json=args.json)
        return 1 if any(report.problems for _, report in reports) else 0


def mend(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        if args.name not in platform.shards:
            raise NotFound(f"no shard is called {args.name}; known: {', '.join(platform.shards)}")
        report = rebuild(platform.store.shard(args.name))
        row = {"shard": args.name, "accounts": report.accounts, "messages": report.messages}
        return show([row], ["shard", "accounts", "messages"], as_json=args.json)
