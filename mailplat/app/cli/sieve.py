"""`mailplat sieve`: accounts' Sieve scripts. They are stored and do not run yet."""

import argparse
import sys
from pathlib import Path

from mailplat.app.cli._residence import residence
from mailplat.app.cli.audit import operator, stamp
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.directory.types import Account
from mailplat.sieve.scripts import ScriptStore
from mailplat.wire.smtp.address import parse_address

COLUMNS = ["name", "active", "octets", "changed"]


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("sieve", help="accounts' Sieve scripts, which are stored and do not run yet")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("list", list_all, "list an account's scripts"),
        ("show", display, "print a script as it is stored"),
        ("put", put, "store a script, in place of one of its name"),
        ("activate", activate, "let this one sort the account's mail, and no other"),
        ("rename", rename, "give a script another name"),
        ("remove", remove, "remove a script that is not active"),
    ):
        action = actions.add_parser(name, help=text)
        add_config(action)
        action.add_argument("address", metavar="ACCOUNT")
        if name == "list":
            add_json(action)
        else:
            optional = "?" if name in ("show", "activate") else None
            action.add_argument(
                "name",
                metavar="NAME",
                nargs=optional,
                help="default: the active one" if name == "show" else None,
            )
        if name == "put":
            action.add_argument("file", metavar="FILE", help="- for standard input")
            action.add_argument("--activate", action="store_true", help="and make it the active one")
        if name == "activate":
            action.add_argument("--none", action="store_true", help="no script is active then")
        if name == "rename":
            action.add_argument("new", metavar="NEW")
        action.set_defaults(run=run)


def store(platform: Platform) -> ScriptStore:
    return ScriptStore(platform.database, platform.clock, platform.settings.sieve.limits)


def _account(platform: Platform, args: argparse.Namespace) -> Account:
    return platform.directory.account(parse_address(args.address))


def _own(platform: Platform, args: argparse.Namespace) -> Account:
    """One whose scripts are those here. Raises InvalidInput, Unavailable for one that lives elsewhere: what is here
    is a copy then, and its move would overwrite it."""
    account = _account(platform, args)
    residence(platform, account)
    return account


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        found = store(platform).list(_account(platform, args).id)
    rows = [
        {
            "name": each.name,
            "active": "yes" if each.active else "no",
            "octets": each.size,
            "changed": stamp(each.changed),
        }
        for each in found
    ]
    return show(rows, COLUMNS, as_json=args.json)


def display(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account, scripts = _account(platform, args), store(platform)
        if args.name is not None:
            octets = scripts.get(account.id, args.name)
        else:
            active = scripts.active(account.id)
            if active is None:
                raise NotFound(f"{account.address} has no active script; see mailplat sieve list")
            octets = active[1]
    sys.stdout.flush()
    if sys.stdout.isatty():
        print(octets.decode("utf-8", "replace").replace("\r\n", "\n"), end="")
    else:
        sys.stdout.buffer.write(octets)
    return 0


def put(args: argparse.Namespace) -> int:
    octets = _read(args.file)
    with open_platform(args.config) as platform:
        account = _own(platform, args)
        after = {"name": args.name, "octets": len(octets), "active": args.activate}
        platform.audit.record(operator(), "sieve.put", str(account.address), after=after)
        scripts = store(platform)
        scripts.put(account.id, args.name, octets)
        if args.activate:
            scripts.activate(account.id, args.name)
    return 0


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{name}: {error.strerror or error}") from error


def activate(args: argparse.Namespace) -> int:
    if (args.name is None) != args.none:
        raise InvalidInput("say which script, or --none")
    with open_platform(args.config) as platform:
        account, scripts = _own(platform, args), store(platform)
        before = scripts.active(account.id)
        platform.audit.record(
            operator(),
            "sieve.activate",
            str(account.address),
            before={"name": before[0] if before else ""},
            after={"name": args.name or ""},
        )
        scripts.activate(account.id, args.name or "")
    return 0


def rename(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = _own(platform, args)
        before, after = {"name": args.name}, {"name": args.new}
        platform.audit.record(operator(), "sieve.rename", str(account.address), before=before, after=after)
        store(platform).rename(account.id, args.name, args.new)
    return 0


def remove(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        account = _own(platform, args)
        platform.audit.record(operator(), "sieve.remove", str(account.address), before={"name": args.name})
        store(platform).remove(account.id, args.name)
    return 0
