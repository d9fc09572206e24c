"""`mailplat shard drain`: all that is in a shard goes to the others, so that its disk can be taken away. This only
sets the mark; the role `migration` of `mailplat serve` does the work, whatever becomes of this command."""

import argparse
import sys
import time
from typing import Any

from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, MailplatError, NotFound
from mailplat.store.transfer import residents
from mailplat.store.vault import finding, owner

COLUMNS = ["shard", "state", "accounts", "copies", "vaulted", "note"]

# How often --wait looks.
LOOK_S = 0.5


def register(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "drain",
        help="move everything in it to the other shards, and place nothing new there",
        description="Accounts move one by one while everybody works, then what the vault keeps. Goes on by itself "
        "after a restart, until --cancel. What has moved stays where it is.",
    )
    parser.add_argument("name", metavar="SHARD")
    parser.add_argument("--to", metavar="SHARD", nargs="+", default=[], help="default: any, by placement")
    parser.add_argument("--cancel", action="store_true", help="what has not moved stays")
    parser.add_argument("--wait", action="store_true", help="until it is empty; exit status 1 if cancelled")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=drain)


def drain(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        if args.cancel:
            platform.drains.cancel(args.name)
            platform.audit.record(operator(), "shard.drain.cancel", args.name)
            return 0
        _check(platform, args.name, args.to)
        platform.audit.record(operator(), "shard.drain", args.name, after={"to": args.to})
        platform.drains.begin(args.name, args.to)
        if args.wait and not _wait(platform, args.name):
            return 1
        return show([_row(platform, args.name)], COLUMNS, as_json=args.json)


def _check(platform: Platform, name: str, targets: list[str]) -> None:
    for each in (name, *targets):
        if each not in platform.shards:
            raise NotFound(f"no shard is called {each}; known: {', '.join(platform.shards)}")
    drained = platform.drains.all().keys() | {name}
    if left := [each for each in targets if each in drained]:
        raise InvalidInput(f"--to: {', '.join(left)} is itself being drained")
    if not [each for each in platform.shards if each not in drained]:
        raise InvalidInput(f"{name} is the last shard; add another first: mailplat shard add")


def _wait(platform: Platform, name: str) -> bool:
    """False when somebody cancelled it."""
    said = ""
    while True:
        mark, left = platform.drains.all().get(name), remains(platform, name)
        if mark is None:
            print(f"mailplat: the drain of {name} was cancelled", file=sys.stderr)
            return False
        line = f"{name}: {describe(left)}" + f"; {mark.note}" * bool(mark.note)
        if line != said:
            print(line, file=sys.stderr, flush=True)
            said = line
        if not any(left.values()):
            return True
        time.sleep(LOOK_S)


def remains(platform: Platform, name: str) -> dict[str, int]:
    """What keeps a shard from being taken out of the configuration. `accounts` live there; `copies` are of accounts
    that live elsewhere, and go by themselves; `vaulted` accounts have something in its vault."""
    site = platform.store.shard(name).site
    # In the order in which an account goes: its copy is removed after its route, and a hold's mail is in the vault
    # once that is done. The other way round what is on its way could be in none of them.
    open_ = len(residents(site))
    living = platform.directory.accounts_by_home().get(f"shard:{name}", 0)
    vaulted = {each.account_id for each in finding.totals(site)}
    vaulted |= {each.account_id for each in owner.owners(site)}
    return {
        "accounts": living,
        "copies": max(0, open_ - living),
        "vaulted": len(vaulted),
    }


def describe(left: dict[str, int]) -> str:
    if not any(left.values()):
        return "empty: it can be taken out of the configuration"
    parts = {
        "accounts": f"{left['accounts']} accounts live there",
        "copies": f"{left['copies']} copies are still to be removed",
        "vaulted": f"the vault has mail of {left['vaulted']} accounts",
    }
    return "; ".join(text for name, text in parts.items() if left[name])


def state_of(platform: Platform, name: str) -> str:
    """For `shard list`: what a drain has left."""
    try:
        left = remains(platform, name)
    except MailplatError as error:
        return f"draining, {error}"
    return "drained" if not any(left.values()) else f"draining, {left['accounts']} left"


def _row(platform: Platform, name: str) -> dict[str, Any]:
    left, mark = remains(platform, name), platform.drains.all().get(name)
    note = (mark.note if mark else "") or describe(left)
    return {"shard": name, "state": state_of(platform, name), **left, "note": note}
