"""`mailplat migrate plan, start, pause, resume`: what is to be moved, and whether it may go on."""

import argparse
from pathlib import Path

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.directory.names import domain_key
from mailplat.wire.smtp.address import parse_address
from migration.cli import waves, waves_plan
from migration.cli.progress import COLUMNS, rows
from migration.ledger import PAUSED, PLANNED, RUNNING, Ledger


def register(actions: Subparsers) -> None:
    _register_plan(actions)
    _action(actions, "start", start, "let a planned move, or a wave, begin")
    _action(actions, "pause", pause, "stop after the batches in flight; users notice nothing")
    resuming = _action(actions, "resume", resume, "go on after a pause, or after a halt whose cause is gone")
    resuming.add_argument(
        "--allow-deletions",
        metavar="N",
        type=int,
        default=0,
        help="let up to N messages of an account be gone in its next round",
    )
    resuming.add_argument(
        "--afresh",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="of a domain: throw this account's copy away and make it again; the backend keeps all",
    )


def _register_plan(actions: Subparsers) -> None:
    action = actions.add_parser(
        "plan",
        help="a domain's move, or waves of domains as a file that is edited and applied",
        description="`plan DOMAIN`: its accounts that live on a backend. `plan BACKEND`: waves from its census, "
        "printed or written to a file. `plan --apply FILE`: as often as you like. `plan --show`: what was applied.",
    )
    add_config(action)
    add_json(action)
    option = action.add_argument
    option("subject", metavar="DOMAIN|BACKEND|PLAN", nargs="?")
    option("--shard", metavar="NAME", help="of a domain: where to; default: spread over all shards")
    option(
        "--alpha", metavar="DOMAIN", nargs="+", action="extend", help="of a backend: these are the first wave"
    )
    option("--waves", metavar="N", type=int, help="of a backend: so many behind the alpha wave; default 3")
    option("--write", metavar="FILE", type=Path, help="of a backend: to this new file; default: print it")
    option(
        "--take-out", metavar="DOMAIN", action="append", default=[], help="with --apply: may leave its wave"
    )
    what = action.add_mutually_exclusive_group()
    what.add_argument("--apply", metavar="FILE", type=Path, help="make it so, and print what was changed")
    what.add_argument("--show", action="store_true", help="the applied plan as TOML")
    action.set_defaults(run=plan)


def _action(actions: Subparsers, name: str, run: object, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    add_config(action)
    action.add_argument("domain", metavar="WAVE|DOMAIN")
    action.set_defaults(run=run)
    return action


def plan(args: argparse.Namespace) -> int:
    """A name that is a backend and no domain is a backend."""
    _check_words(args)
    with open_platform(args.config) as platform:
        if args.apply is not None:
            return waves_plan.apply_file(platform, args.apply, args.take_out)
        if args.show:
            return waves_plan.show_applied(platform, args.subject)
        backends = {each.name for each in platform.directory.backends()}
        domains = {each.name for each in platform.directory.domains()}
        if args.subject in backends and args.subject not in domains:
            return waves_plan.write_proposal(platform, args.subject, args)
        if args.alpha or args.waves is not None or args.write is not None:
            raise NotFound(
                f"there is no backend {args.subject}; known: {', '.join(sorted(backends)) or 'none'}"
            )
        return _plan_domain(platform, args)


def _check_words(args: argparse.Namespace) -> None:
    if args.apply is not None and args.subject is not None:
        raise InvalidInput("--apply FILE names its plan itself")
    if args.apply is None and args.take_out:
        raise InvalidInput("--take-out goes with --apply")
    if args.apply is None and not args.show and args.subject is None:
        raise InvalidInput("name a domain or a backend, or say --apply FILE or --show")


def _plan_domain(platform: Platform, args: argparse.Namespace) -> int:
    """Again for the same domain: adds accounts that came since."""
    shards = sorted(platform.shards) if args.shard else platform.placement.candidates()
    if args.shard is not None and args.shard not in shards:
        raise InvalidInput(f"no shard is called {args.shard}; known: {', '.join(shards)}")
    domain = platform.directory.domain(args.subject).name
    ledger = Ledger(platform.database, platform.clock)
    moves = ledger.plan(domain, [args.shard] if args.shard else shards)
    return show(rows(moves), COLUMNS, as_json=args.json)


def start(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        if waves.is_wave(platform, args.domain):
            return waves.start(platform, args.domain)
        return _set(platform, args.domain, RUNNING, {PLANNED, RUNNING})


def pause(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        if waves.is_wave(platform, args.domain):
            return waves.pause(platform, args.domain)
        return _set(platform, args.domain, PAUSED, {RUNNING, PAUSED})


def resume(args: argparse.Namespace) -> int:
    if args.allow_deletions < 0:
        raise InvalidInput("--allow-deletions: a number of messages")
    with open_platform(args.config) as platform:
        if waves.is_wave(platform, args.domain):
            if args.afresh:
                raise InvalidInput("--afresh: resume the account's domain, not its wave")
            return waves.resume(platform, args.domain, args.allow_deletions)
        ledger, domain = Ledger(platform.database, platform.clock), domain_key(args.domain)
        ledger.set_plan(domain, RUNNING, expected={RUNNING, PAUSED})
        anew = [platform.directory.account(parse_address(each)).id for each in args.afresh]
        ledger.clear_halts(domain, deletions=args.allow_deletions, afresh=anew)
    return 0


def _set(platform: Platform, domain: str, state: str, expected: set[str]) -> int:
    Ledger(platform.database, platform.clock).set_plan(domain_key(domain), state, expected=expected)
    return 0
