"""`mailplat shard`: the directories that mail is kept in, their health and their repair."""

import argparse
import sys
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from mailplat.app.cli import _addition, _backup, _drain, _export, _restore
from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.store import Report
from mailplat.store.identity import Refused, adopt, has_mail, read_file
from mailplat.store.repair import problems, rebuild, verify
from mailplat.store.types import Problem

_COLUMNS = ["shard", "messages", "adopted", "swept", "problems", "first"]


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
    taking = actions.add_parser(
        "adopt",
        help="take the directory of a shard as it is: another disk, or of another platform",
        description="For a shard that is refused because its directory is empty, holds another shard or belongs to "
        "another platform, when that is what you want. Stop `mailplat serve` first. Accounts whose mail was in the "
        "shard's former directory find what is in this one.",
    )
    taking.add_argument("name", metavar="SHARD")
    taking.add_argument(
        "--empty", action="store_true", help="there is nothing: begin again with an empty shard"
    )
    using = actions.add_parser("usage", help="what shards hold, and what that takes on their disks")
    for action, run in (
        (listing, list_all),
        (using, use),
        (checking, check),
        (mending, mend),
        (taking, take),
    ):
        add_config(action)
        add_json(action)
        action.set_defaults(run=run)
    for action in (using, checking):
        action.add_argument("name", metavar="SHARD", nargs="?", help="default: all")
    checking.add_argument(
        "--all", action="store_true", help="every problem, and what `shard rebuild` does about it"
    )
    checking.add_argument(
        "--adopt",
        action="store_true",
        help="files that were put into mailboxes by hand become messages now, with new UIDs, while everything runs",
    )
    mending.add_argument("name", metavar="SHARD")
    _addition.register(actions)
    _drain.register(actions)
    _backup.register(actions)
    _export.register(actions)
    _restore.register(actions)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        counts = platform.directory.accounts_by_home()
        drained = platform.drains.all()
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
                    "placement": _placement(platform, name, drained, condition.trouble),
                }
            )
        columns = ["shard", "path", "accounts", "free_gb", "weight", "placement"]
        return show(rows, columns, as_json=args.json)


def use(args: argparse.Namespace) -> int:
    """Octets. `octets` is in full, as quotas count; `once` is what message files take on the disk, with the vault's;
    `saved` the difference that links make."""
    with open_platform(args.config) as platform:
        rows = []
        for name in [args.name] if args.name else sorted(platform.shards):
            figures = platform.store.shard(name).figures()
            rows.append(
                {
                    "shard": name,
                    "accounts": figures.accounts,
                    "messages": figures.messages,
                    "octets": figures.octets,
                    "once": figures.once,
                    "saved": figures.saved,
                    "vault_messages": figures.vault_messages,
                    "vault_octets": figures.vault_octets,
                    "index_octets": figures.index,
                    "fulltext_octets": figures.fulltext,
                    "fulltext_waiting": figures.waiting,
                    "free": figures.free,
                    "counted": figures.counted,
                }
            )
            if not figures.counted:
                text = "what links save is not counted yet; call mailplat shard verify once"
                print(f"shard {name}: {text}", file=sys.stderr)
        columns = ["accounts", "messages", "octets", "once", "saved", "vault_octets", "index_octets"]
        return show(rows, ["shard", *columns, "fulltext_octets", "free"], as_json=args.json)


def _placement(platform: Platform, name: str, drained: Collection[str], trouble: str) -> str:
    if name in drained:
        return _drain.state_of(platform, name)
    return "off" if not platform.shards[name].placement else trouble or "on"


def check(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        names = [args.name] if args.name else sorted(platform.shards)
        reports = [(name, _verified(platform, name, adopting=args.adopt)) for name in names]
    if args.all:
        columns = ["shard", "kind", "path", "text", "cure"]
        rows = [
            {
                "shard": name,
                "kind": problem.kind,
                "path": problem.path,
                "text": problem.text,
                "cure": problems.CURES[problem.kind],
            }
            for name, report in reports
            for problem in report.problems
        ]
        show(rows, columns, as_json=args.json)
    else:
        show([_row(name, report, args.json) for name, report in reports], _COLUMNS, as_json=args.json)
    return 1 if any(report.problems for _, report in reports) else 0


def _verified(platform: Platform, name: str, *, adopting: bool) -> Report:
    """One shard that must not be opened as it is does not keep us from the others."""
    try:
        return verify(platform.store.shard(name), adopting=adopting)
    except Refused as refusal:
        return Report(problems=[Problem(refusal.kind, refusal.place, str(refusal))])


def mend(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform, platform.store.mending(args.name) as shard:
        report = rebuild(shard)
        platform.link_shares(shard)
    return show([_row(args.name, report, args.json)], _COLUMNS, as_json=args.json)


def _row(name: str, report: Report, as_json: bool) -> dict[str, Any]:
    """With --json all that was found."""
    row = {
        "shard": name,
        "accounts": report.accounts,
        "mailboxes": report.mailboxes,
        "messages": report.messages,
        "adopted": report.adopted,
        "swept": report.swept,
        "first": str(report.first),
    }
    if not as_json:
        return row | {"problems": len(report.problems)}
    return row | {
        "problems": len(report.problems),
        "all": [asdict(problem) | {"cure": problems.CURES[problem.kind]} for problem in report.problems],
    }


def take(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        if args.name not in platform.shards:
            raise NotFound(f"no shard is called {args.name}; known: {', '.join(platform.shards)}")
        path = platform.shards[args.name].path
        who, known = platform.shard_register.expected(args.name)
        if args.empty:
            if read_file(path) is not None or has_mail(path):
                raise InvalidInput(f"{path} is not empty: leave --empty out to take what is there")
            platform.audit.record(operator(), "shard.adopt", args.name, before={"identity": known})
            platform.shard_register.replace(args.name, "")
            platform.store.shard(args.name)
        else:
            platform.audit.record(
                operator(), "shard.adopt", args.name, before={"identity": known}, after={"path": str(path)}
            )
            platform.shard_register.replace(args.name, adopt(args.name, path, who))
        row = {
            "shard": args.name,
            "path": str(path),
            "identity": platform.shard_register.expected(args.name)[1],
        }
    return show([row], list(row), as_json=args.json)
