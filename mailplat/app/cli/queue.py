"""`mailplat queue`: messages on their way: relayed, held during a move, or waiting for another attempt."""

import argparse
import time

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import InvalidInput
from mailplat.queue.records import Entry, Filter

COLUMNS = ["id", "sender", "recipient", "size", "state", "attempts", "due_s", "last"]


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("queue", help="messages on their way")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("list", list_all, "recipients that wait, the oldest message first"),
        ("stats", count, "how many messages and recipients wait, and their octets"),
        ("retry", retry, "try matching recipients now"),
        ("remove", remove, "drop matching recipients without telling their senders"),
    ):
        action = actions.add_parser(name, help=text)
        add_config(action)
        add_json(action)
        action.set_defaults(run=run)
        if name != "stats":
            action.add_argument("--id", metavar="QUEUE-ID", default="")
            action.add_argument("--sender", metavar="ADDRESS", default="")
            action.add_argument("--recipient", metavar="ADDRESS", default="")
            action.add_argument("--domain", metavar="DOMAIN", default="", help="of the recipient")


def _filter(args: argparse.Namespace) -> Filter:
    return Filter(message_id=args.id, sender=args.sender, address=args.recipient, domain=args.domain)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        return show(map(_row, platform.queue.entries(_filter(args))), COLUMNS, as_json=args.json)


def count(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        counts = platform.queue.counts()
        return show([counts], sorted(counts), as_json=args.json)


def retry(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        return _report(platform.queue.retry(_filter(args)), as_json=args.json)


def remove(args: argparse.Namespace) -> int:
    if _filter(args) == Filter():
        raise InvalidInput(
            "queue remove needs --id, --sender, --recipient or --domain: it would drop everything"
        )
    with open_platform(args.config) as platform:
        return _report(platform.queue.remove(_filter(args)), as_json=args.json)


def _report(number: int, *, as_json: bool) -> int:
    show([{"recipients": number}], ["recipients"], as_json=as_json)
    return 0 if number else 3


def _row(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.message_id,
        "sender": str(entry.sender) or "<>",
        "recipient": str(entry.recipient),
        "size": entry.size,
        "state": entry.state,
        "attempts": entry.attempts,
        "due_s": max(0, round(entry.due - time.time())),
        "last": str(entry.last or ""),
    }
