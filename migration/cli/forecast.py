"""`mailplat migrate forecast`: how long a migration takes and what it asks of both sides, before it begins."""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mailplat.app.console import Subparsers, add_json, parse_size, show
from mailplat.core.errors import InvalidInput
from migration.forecast.costs import MEASURED
from migration.forecast.population import SPREAD, population
from migration.forecast.simulator import DAY_S, Forecast, Host, Schedule, simulate

HOUR_S = 3600.0
COLUMNS = ("wave", "accounts", "octets", "copy_from", "ready", "cut_over", "done")
# Of a platform that is searched for; more cores than this make nothing faster that one engine's database bears.
MOST_CORES = 4096


def register(actions: Subparsers) -> None:
    action = actions.add_parser(
        "forecast",
        help="how long a migration takes and what it asks of workers and legacy hosts; touches nothing",
        description="Costs of an account, a message and an octet are the measured ones of docs/scaling.md.",
    )
    option = action.add_argument
    option("--accounts", required=True, metavar="N")
    option("--octets-each", required=True, metavar="SIZE", help="of a mailbox in the mean, such as 1G")
    option("--message-octets", default="75000", metavar="SIZE", help="default 75000")
    option("--spread", type=float, default=SPREAD, help="of mailbox sizes, 0: all alike; default %(default)s")
    option("--hosts", default="1", metavar="N", help="legacy hosts, alike; default 1")
    option("--host-cores", type=float, default=1.0, help="of each host, that copying may take; default 1")
    option(
        "--host-rate",
        default="0",
        metavar="SIZE",
        help="octets a second from each host; 0: no limit",
    )
    option("--connections", default="4", help="to each host at once; default 4")
    option("--worker-cores", type=float, default=1.0, help="of all nodes together; default 1")
    option("--waves", default="1", metavar="N")
    option(
        "--window", type=float, default=24.0, metavar="HOURS", help="of each day, for cutovers; default 24"
    )
    option("--bake", type=float, default=24.0, metavar="HOURS", help="from a wave to the next; default 24")
    option("--one-by-one", action="store_true", help="a wave is not copied while the one before bakes")
    option("--within", type=float, metavar="DAYS", help="search the fewest worker cores for it")
    add_json(action)
    action.set_defaults(run=forecast)


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise InvalidInput(f"{text!r} is not a number from 1")
    return int(text)


def forecast(args: argparse.Namespace) -> int:
    for name in ("accounts", "hosts", "connections", "waves"):
        setattr(args, name, _count(getattr(args, name)))
    for name in ("octets_each", "message_octets", "host_rate"):
        setattr(args, name, parse_size(getattr(args, name)))
    if not args.message_octets:
        raise InvalidInput("--message-octets: a message has some")
    accounts = population(args.accounts, args.octets_each, args.message_octets, spread=args.spread)
    hosts = [Host(args.host_cores, args.host_rate or math.inf, args.connections)] * args.hosts
    schedule = Schedule(args.waves, args.window * HOUR_S, args.bake * HOUR_S, ahead=not args.one_by_one)

    def run(cores: float) -> Forecast:
        try:
            return simulate(accounts, hosts, cores, schedule, MEASURED)
        except ValueError as error:
            raise InvalidInput(str(error)) from error

    cores = args.worker_cores if args.within is None else _fewest(run, args.within * DAY_S)
    found = run(cores)
    if args.json:
        print(json.dumps({"worker_cores_there": cores, "seconds": found.seconds, **asdict(found)}, indent=2))
        return 0
    print(_summary(args, cores, found))
    return show(list(map(_row, range(1, len(found.waves) + 1), found.waves)), COLUMNS, as_json=False)


def _fewest(run: Callable[[float], Forecast], seconds: float) -> float:
    """Whole cores. Raises InvalidInput where no number of them is enough."""
    most = 1
    while (found := run(most)).seconds > seconds:
        if most >= MOST_CORES or found.worker_cores < most / 2:
            raise InvalidInput(
                f"not within {seconds / DAY_S:g} days: {found.seconds / DAY_S:.1f} days with {most} cores of workers,"
                f" of which {found.worker_cores:.1f} have work; the hosts, their connections, the window or the bake"
                " time are the limit"
            )
        most *= 2
    least = most // 2
    while most - least > 1:
        middle = (most + least) // 2
        least, most = (least, middle) if run(middle).seconds <= seconds else (middle, most)
    return float(most)


def _summary(args: argparse.Namespace, cores: float, found: Forecast) -> str:
    rate = "no limit" if not args.host_rate else f"{args.host_rate / 1e6:.0f}"
    return (
        f"{_span(found.seconds)}; while something is copied, in the mean:\n"
        f"  workers      {found.worker_cores:.1f} of {cores:g} cores, {found.written / 1e6:.0f} MB/s to the shards\n"
        f"  each host    {found.host_cores:.2f} of {args.host_cores:g} cores,"
        f" {found.host_octets / 1e6:.1f} MB/s (limit: {rate}),"
        f" {found.connections:.1f} of {args.connections} connections at full speed\n"
        f"  each host while a wave waits for its window: {found.waiting_cores:.2f} cores\n"
    )


def _row(number: int, wave: Any) -> dict[str, object]:
    return {
        "wave": number,
        "accounts": wave.accounts,
        "octets": f"{wave.octets / 1e12:.2f} TB" if wave.octets >= 1e12 else f"{wave.octets / 1e9:.1f} GB",
        "copy_from": _day(wave.begun),
        "ready": _day(wave.copied),
        "cut_over": _day(wave.cut_over),
        "done": _day(wave.done),
    }


def _span(seconds: float) -> str:
    return f"{seconds / DAY_S:.1f} days" if seconds >= DAY_S else f"{seconds:.1f} s"


def _day(seconds: float) -> str:
    days, rest = divmod(seconds, DAY_S)
    return f"day {days:.0f} {rest // 3600:02.0f}:{rest % 3600 // 60:02.0f}:{rest % 60:02.0f}"
