"""`mailplat audit`: what admins did."""

import argparse
import getpass
import os
from datetime import UTC, datetime, timedelta

from mailplat.app.console import Subparsers, add_config, add_json, show, to_json
from mailplat.app.wiring import open_platform
from mailplat.core.errors import InvalidInput

COLUMNS = ["at", "who", "action", "subject", "before", "after"]


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("audit", help="what admins did")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list what was done, the oldest first")
    add_config(listing)
    add_json(listing)
    listing.add_argument("--subject", metavar="ADDRESS", default="", help="done to this account or domain")
    listing.add_argument("--what", metavar="ACTION", default="", help="such as vault or vault.hold")
    listing.add_argument("--who", metavar="NAME", default="")
    listing.add_argument("--since", metavar="DAY", help="YYYY-MM-DD, UTC")
    listing.add_argument("--until", metavar="DAY", help="this day included")
    listing.add_argument("--limit", metavar="N", type=int, default=1000, help="the newest N (default 1000)")
    listing.set_defaults(run=list_entries)


def list_entries(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        found = platform.audit.entries(
            subject=args.subject,
            action=args.what,
            who=args.who,
            since=parse_day(args.since),
            until=parse_day(args.until, behind=True),
            limit=args.limit,
        )
    rows = [
        {
            "at": stamp(each.at),
            "who": each.who,
            "action": each.action,
            "subject": each.subject,
            "before": each.before if args.json else _compact(each.before),
            "after": each.after if args.json else _compact(each.after),
        }
        for each in found
    ]
    return show(rows, COLUMNS, as_json=args.json)


def _compact(content: object) -> str:
    return to_json(content, indent=None) if content else "-"


def operator() -> str:
    """Who calls the command: the user of the operating system, and who became that by sudo."""
    user = getpass.getuser()
    before = os.environ.get("SUDO_USER", "")
    return f"{before} as {user}" if before and before != user else user


def parse_day(text: str | None, *, behind: bool = False) -> int | None:
    """Unix time at which a day begins in UTC, or at which it is over. Raises InvalidInput."""
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a day; write YYYY-MM-DD") from error
    return int((day + timedelta(days=behind)).timestamp())


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
