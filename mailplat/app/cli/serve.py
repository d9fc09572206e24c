"""`mailplat serve`: the platform itself."""

import argparse
import asyncio

from mailplat.app import log, supervisor
from mailplat.app.console import Subparsers, add_config
from mailplat.app.settings import ROLES, find, load
from mailplat.app.wiring import check_settings, open_database
from mailplat.core.errors import InvalidInput


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("serve", help="run the platform")
    add_config(parser)
    parser.add_argument("--role", action="append", choices=ROLES, help="only this role; may be given again")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: platform.workers")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    path = find(args.config)
    settings = load(path)
    log.configure(settings.log.level, settings.log.format)
    check_settings(settings)
    open_database(settings).close()  # one process brings the schema up to date, before any worker looks
    if args.workers is not None and args.workers < 1:
        raise InvalidInput("--workers must be at least 1")
    workers = args.workers or supervisor.count(settings)
    roles = args.role or list(ROLES)
    if workers == 1:
        from mailplat.app.worker import run_worker  # the parent of several needs nothing of it

        return run_worker(settings, roles)
    return asyncio.run(supervisor.supervise(path, settings, workers, roles))
