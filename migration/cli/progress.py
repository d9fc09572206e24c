"""`mailplat migrate status, watch, cutover`: how far moves are, and the word that ends them."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from rich.console import Console
from rich.live import Live

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.route import RouteState
from mailplat.directory.names import domain_key
from mailplat.directory.tables import route_watcher
from mailplat.directory.watch import DEAD_AFTER_S
from migration.beside.findings import guests_elsewhere, running
from migration.book import Passage
from migration.cli import waves
from migration.cli.display import remark, render, summary
from migration.compared import Compared
from migration.ledger import RUNNING, Ledger, Move
from migration.shardmoves import ShardMove, ShardMoves

COLUMNS = ["address", "state", "copied", "total", "rounds", "shard", "remark"]

# How often a display is renewed.
REFRESH_S = 0.25
# Lines for logs and pipes: at most one in so many seconds, and only when something changed.
LINE_EVERY_S = 1.0

P = TypeVar("P", bound=Passage)

_MOVED = frozenset({RouteState.NEW, RouteState.FINAL})


def register(actions: Subparsers) -> None:
    for name, run, text in (
        ("status", status, "how far the moves are"),
        ("watch", watch, "the same, live, until everything waits for a person or is done"),
        ("cutover", cutover, "fence, last delta, commit; waits; exit status 1 if an account was not moved"),
    ):
        action = actions.add_parser(name, help=text)
        add_config(action)
        if name == "cutover":
            action.add_argument("domain", metavar="DOMAIN")
        else:
            action.add_argument("domain", metavar="WAVE|DOMAIN", nargs="?")
        if name == "status":
            add_json(action)
            action.add_argument("--waves", action="store_true", help="all waves, a line each")
        if name == "cutover":
            action.add_argument(
                "--unknown-passwords",
                action="store_true",
                help="also accounts of which no password is known here: nobody can log in until one is set",
            )
        action.set_defaults(run=run)


def rows(moves: Sequence[Passage]) -> list[dict[str, Any]]:
    return [
        {
            "address": move.address,
            "state": move.state,
            "epoch": move.route.epoch,
            "shard": move.shard,
            "total": move.total,
            "copied": move.copied,
            "octets": move.octets,
            "rounds": move.rounds,
            "compared": Compared.from_json(move.verified).counts(),
            "halted": move.halted,
            "note": move.note,
            "aborts": move.aborts,
            "fence_ms": move.fence_ms,
            "dropped_flags": json.loads(move.dropped),
            "began": move.began,
            "moved": move.moved,
            "remark": remark(move),
            **_more(move),
        }
        for move in moves
    ]


def _more(move: Passage) -> dict[str, Any]:
    if isinstance(move, Move):
        return {
            "plan": move.plan,
            "backend": move.backend,
            "password_known": move.password_known,
            "waits_for_password": move.waits_for_password,
            "cutover": move.cutover,
            "strays": move.strays,
            "late_flags": move.late_flags,
            "rollback": move.rollback,
            "renumbered": move.renumbered,
            "only_here_since": move.lag,
            "lag_s": None if move.lag is None else max(0, round(time.time() - move.lag)),
            "rolled_back": move.rolled_back,
        }
    if isinstance(move, ShardMove):
        return {"source": move.source, "cause": move.cause, "cancelled": move.cancelled}
    return {}


def status(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        if args.waves or waves.is_wave(platform, args.domain):
            return waves.status(platform, args.domain, as_json=args.json)
        found = rows(_moves(platform, args.domain))
        lag = ["lag_s"] if any(row.get("lag_s") is not None for row in found) else []
        lines = found if args.json else [{"lag_s": "", **row} for row in found]
        return show(lines, [*COLUMNS[:-1], *lag, COLUMNS[-1]], as_json=args.json)


def _moves(platform: Platform, domain: str | None) -> list[Passage]:
    """From backends, then between shards."""
    key = None if domain is None else domain_key(domain)
    shards = ShardMoves(platform.database, platform.clock)
    return [*Ledger(platform.database, platform.clock).moves(key), *shards.moves(key)]


def watch(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        if waves.is_wave(platform, args.domain):
            return waves.watch(platform, args.domain)
        moves = follow(lambda: _moves(platform, args.domain), _rests)
    return 1 if any(move.halted for move in moves) else 0 if moves else 3


def cutover(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        ledger, domain = Ledger(platform.database, platform.clock), domain_key(args.domain)
        moves = ledger.moves(domain)
        if not moves:
            raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
        ledger.set_plan(domain, RUNNING, expected={RUNNING})
        ledger.request_cutover(domain, unknown_passwords=args.unknown_passwords)
        _warn(platform, moves)
        check_engine(platform, "the cutover is noted")
        moves = follow(lambda: ledger.moves(domain), _settled)
        left = [move for move in moves if move.route.state not in _MOVED]
        for move in left:
            print(f"mailplat: {move.address} was not moved: {remark(move)}", file=sys.stderr)
        return 1 if left else 0


def _warn(platform: Platform, moves: Sequence[Move]) -> None:
    """Mail that was filed, forwarded or answered comes to INBOX from now on; who shares a mailbox with somebody that
    stays behind shares one that is not his any more."""
    coming = {each.account_id: each.address for each in moves if each.route.state not in _MOVED}
    for number, guests in sorted(guests_elsewhere(platform.database, list(coming)).items()):
        print(
            f"mailplat: {coming[number]} shares mailboxes with {', '.join(sorted(guests))}, who stay on the legacy"
            " platform and go on in the copies there; move them in the same cutover",
            file=sys.stderr,
        )
    names = sorted(coming[number] for number in running(platform.database, list(coming)))
    if names:
        print(
            f"mailplat: Sieve scripts are stored here and do not run yet. These accounts have an active one:"
            f" {', '.join(names)}",
            file=sys.stderr,
        )


def check_engine(platform: Platform, noted: str) -> None:
    """Raises Unavailable where nobody would do what is asked for."""
    alive = sa.select(sa.literal(1)).where(route_watcher.c.at > platform.clock.now() - DEAD_AFTER_S)
    with platform.database.read() as connection:
        if connection.execute(alive.limit(1)).first() is None:
            raise Unavailable(f"no `mailplat serve` is running; {noted} and begins with the role migration")


def _settled(move: Move) -> bool:
    """Moved, or it will not be by itself."""
    return (
        move.route.state in _MOVED
        or bool(move.halted)
        or (not move.cutover and move.route.state is not RouteState.FENCED)
    )


def _rests(move: Passage) -> bool:
    """Nothing will happen until somebody says so."""
    if isinstance(move, ShardMove):
        return move.is_over or bool(move.halted)
    assert isinstance(move, Move)
    if move.rollback or move.unsettled:
        return bool(move.halted)
    waiting = not move.cutover and (move.route.state is RouteState.READY or move.waits_for_password)
    return move.route.state in _MOVED or bool(move.halted) or waiting or move.plan != RUNNING


def follow(read: Callable[[], list[P]], finished: Callable[[P], bool]) -> list[P]:
    """Show the moves until each is finished: a table that renews itself, or lines where nobody watches."""
    if not (moves := read()):
        return moves
    console = Console()
    if not console.is_terminal:
        return _follow_in_lines(read, finished)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            moves = read()
            live.update(render(moves, console.width, console.height - 1), refresh=True)  # 1: the cursor
            if all(map(finished, moves)):
                return moves
            time.sleep(REFRESH_S)


def _follow_in_lines(read: Callable[[], list[P]], finished: Callable[[P], bool]) -> list[P]:
    said, at = "", float("-inf")
    while True:
        moves = read()
        done = all(map(finished, moves))
        line = summary(moves)
        if line != said and (done or time.monotonic() - at >= LINE_EVERY_S):
            print(line, flush=True)
            said, at = line, time.monotonic()
        if done:
            return moves
        time.sleep(REFRESH_S)
