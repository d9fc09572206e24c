"""`mailplat migrate rollback, close`: the way back, and its end."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, MailplatError
from mailplat.core.route import RouteState
from mailplat.directory.names import domain_key
from migration.back import bare, orders
from migration.back.preview import preview
from migration.back.travel import residence
from migration.beside import giving
from migration.cli.display import remark
from migration.cli.progress import check_engine, follow
from migration.closing import close as close_domain
from migration.ledger import Ledger, Move
from migration.origins import Origins

COLUMNS = [
    "address",
    "messages",
    "octets",
    "flags",
    "gone",
    "made",
    "renamed",
    "deleted",
    "fillers",
    "scripts",
    "rights",
    "lag_s",
]


def register(actions: Subparsers) -> None:
    action = actions.add_parser(
        "rollback",
        help="everything back to the legacy platform, with what came since; waits; status 1 if not",
    )
    add_config(action)
    add_json(action)
    action.add_argument("domain", metavar="DOMAIN")
    action.add_argument("--dry-run", action="store_true", help="only print what would go back")
    action.add_argument("--cancel", action="store_true", help="who has not gone back stays here")
    action.add_argument(
        "--accept-new-uids",
        action="store_true",
        help="where the legacy platform has used UIDs that clients know from here: those messages get new ones and"
        " are downloaded again",
    )
    action.add_argument(
        "--allow-deletions",
        metavar="N",
        type=int,
        default=0,
        help="remove up to N messages of an account there that are gone here",
    )
    action.add_argument(
        "--passwords",
        metavar="FILE",
        type=Path,
        help="write address:hash of passwords that were set here since, for the legacy platform to import",
    )
    action.set_defaults(run=rollback)
    action = actions.add_parser(
        "close", help="the legacy platform is not needed any more; no way back after it"
    )
    add_config(action)
    action.add_argument("domain", metavar="DOMAIN")
    action.add_argument("--yes", action="store_true", help="do it")
    action.set_defaults(run=close)


def rollback(args: argparse.Namespace) -> int:
    if args.allow_deletions < 0:
        raise InvalidInput("--allow-deletions: a number of messages")
    if args.cancel and (args.dry_run or args.accept_new_uids or args.allow_deletions):
        raise InvalidInput("--cancel goes with no other option")
    with open_platform(args.config) as platform:
        ledger, domain = Ledger(platform.database, platform.clock), domain_key(args.domain)
        if args.dry_run:
            return show(dry_run(platform, orders.moves_of(ledger, domain)), COLUMNS, as_json=args.json)
        if args.cancel:
            orders.cancel_rollback(ledger, domain)
            return 0
        bare.check(platform, orders.moves_of(ledger, domain))
        orders.request_rollback(
            ledger, domain, accept_new_uids=args.accept_new_uids, deletions=args.allow_deletions
        )
        check_engine(platform, "the rollback is noted")
        moves = follow(lambda: ledger.moves(domain), settled)
        tell_passwords(Origins(platform.database).changed_passwords(domain), args.passwords)
        left = [each for each in moves if each.route.state in (RouteState.NEW, RouteState.ROLLBACK_FENCED)]
        for move in left:
            print(f"mailplat: {move.address} has not gone back: {remark(move)}", file=sys.stderr)
        for move in moves:
            if move not in left and move.note:
                print(f"mailplat: {move.address}: {remark(move)}", file=sys.stderr)
        return 1 if left else 0


def settled(move: Move) -> bool:
    """It is back, or will not be by itself."""
    if move.unsettled or move.route.state is RouteState.ROLLBACK_FENCED:
        return False
    return not move.rollback or bool(move.halted)


def dry_run(platform: Platform, moves: Sequence[Move]) -> list[dict[str, Any]]:
    """One row for each account that lives here. Raises Unavailable where its shard cannot be read, InvalidInput where
    what is here cannot go back to a platform with POP3 only."""
    bare.check(platform, moves)
    origins, rows = Origins(platform.database), []
    for move in moves:
        if move.route.state is not RouteState.NEW:
            continue
        here = residence(move)
        shard = platform.store.shard(here.shard)
        found = preview(shard, here, origins.of(move.account_id))
        scripts, rights = giving.preview(platform.database, shard, here)
        more = {"scripts": scripts, "rights": rights, "lag_s": lag(platform, move)}
        rows.append({"address": move.address, **asdict(found), **more})
    return rows


def lag(platform: Platform, move: Move) -> int | None:
    """Seconds of changes that are here alone: what would be lost if the legacy platform took over now."""
    since = move.lag
    return None if since is None else max(0, round(platform.clock.now() - since))


def tell_passwords(changed: Sequence[tuple[str, str]], file: Path | None) -> None:
    """IMAP cannot set a password: the hashes are for the legacy platform to import."""
    if not changed:
        return
    if file is None:
        names = ", ".join(address for address, _ in changed[:5]) + f" and {len(changed) - 5} more" * (
            len(changed) > 5
        )
        print(
            f"mailplat: passwords were set here since the cutover that the legacy platform does not know: {names};"
            " --passwords FILE writes their hashes",
            file=sys.stderr,
        )
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as output:
            output.writelines(f"{address}:{hashed}\n" for address, hashed in changed)
    except OSError as error:
        raise MailplatError(f"{file}: {error.strerror}; say it again with another --passwords") from error
    print(f"{len(changed)} hashes of passwords that were set here are in {file}")


def close(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        domain = domain_key(args.domain)
        if not args.yes:
            raise InvalidInput(
                f"`close` ends the way back of {domain}: nothing that happened here could go to the legacy platform"
                f" any more. If that is meant: mailplat migrate close {domain} --yes"
            )
        count = close_domain(platform, domain)
        print(
            f"{domain}: {count} accounts are final. Dropped: where their way back would begin, the legacy platform's"
            " watermarks, the pin of what was expunged. Revoke the master user there"
        )
    return 0
