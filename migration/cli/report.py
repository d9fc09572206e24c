"""`mailplat migrate report`: what happened to a domain, for people and as JSON, with its signed certificate;
`--check` of one anywhere."""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, show, to_json
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.directory.names import domain_key
from migration.certificate import document, page, signing
from migration.certificate.issue import issue
from migration.cli.progress import rows
from migration.ledger import Ledger, Move
from migration.shardmoves import ShardMove, ShardMoves

COLUMNS = [
    "address",
    "state",
    "grade",
    "messages",
    "hashed",
    "rounds",
    "fence_ms",
    "aborts",
    "strays",
    "late_flags",
    "dropped_flags",
]


SHARD_COLUMNS = ["address", "state", "source", "shard", "messages", "hashed", "rounds", "fence_ms", "aborts"]


def register(actions: Subparsers) -> None:
    action = actions.add_parser("report", help="what was moved, compared, left behind; how long users waited")
    add_config(action)
    add_json(action)
    action.add_argument("domain", metavar="DOMAIN", nargs="?")
    action.add_argument("--html", metavar="FILE", help="write the certificate as a page for people")
    action.add_argument("--again", action="store_true", help="read all accounts once more, as their users do")
    action.add_argument("--check", metavar="FILE", help="is this certificate genuine? exit status 1 if not")
    action.add_argument(
        "--public-key", metavar="FILE", help="of --check: a key in PEM; default: this platform's own"
    )
    action.add_argument("--show-key", action="store_true", help="print this platform's public key in PEM")
    action.set_defaults(run=report)


def report(args: argparse.Namespace) -> int:
    if sum((args.domain is not None, args.check is not None, args.show_key)) != 1:
        raise InvalidInput("say one of DOMAIN, --check FILE and --show-key")
    if args.check is not None:
        return check(args)
    with open_platform(args.config) as platform:
        if args.show_key:
            print(signing.pem(signing.private_key(platform.database).public_key()), end="")
            return 0
        return _report(args, platform, domain_key(args.domain))


def check(args: argparse.Namespace) -> int:
    """With a key that is given no platform is needed. Raises NotGenuine."""
    try:
        octets = _read(args.check, signing.MAX_OCTETS)
        given = _read(args.public_key, MAX_KEY) if args.public_key else None
    except OSError as error:
        raise InvalidInput(f"{error.filename}: {error.strerror}") from error
    if given is not None:
        key = signing.load_pem(given)
    else:
        with open_platform(args.config) as platform:
            key = signing.private_key(platform.database).public_key()
    content = signing.check(octets, key)
    if args.json:
        print(to_json(content))
    else:
        print(f"genuine: {content['domain']}, {content['grade']}, issued {content['issued']}")
    return 0


def _read(name: str, most: int) -> bytes:
    """One octet more than there may be, so that whoever looks at it sees that."""
    with open(name, "rb") as file:
        return file.read(most + 1)


def _certify(args: argparse.Namespace, platform: Platform, domain: str) -> dict[str, Any]:
    def told(line: str) -> None:
        print(f"read again: {line}", file=sys.stderr, flush=True)

    signed = asyncio.run(issue(platform, domain, operator(), again=args.again, told=told))
    if args.html:
        try:
            Path(args.html).write_text(page.render(signed), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"--html {args.html}: {error.strerror}") from error
    return signed


def _report(args: argparse.Namespace, platform: Platform, domain: str) -> int:
    between = compose_shards(ShardMoves(platform.database, platform.clock), domain)
    ledger = Ledger(platform.database, platform.clock)
    content: dict[str, Any] = {}
    signed: dict[str, Any] = {}
    if ledger.moves(domain) or not between["moves"]:
        content = compose(ledger, domain)
        signed = _certify(args, platform, domain)
    if args.json:
        both = content | {"domain": domain, "between_shards": between} | signed
        print(to_json(both))
        return 0
    if between["moves"]:
        print(_shard_headline(domain, between))
        if not content:
            return show(between["moves"], SHARD_COLUMNS, as_json=False)
    print(_headline(content))
    lines = [{**move, "dropped_flags": " ".join(move["dropped_flags"])} for move in content["moves"]]
    graded = {each["address"]: each["grade"] for each in signed["certificate"]["accounts"]}
    show([{**line, "grade": graded[line["address"]]} for line in lines], COLUMNS, as_json=False)
    return _show_findings(platform, domain, signed["certificate"])


# What a terminal is told of; the page and the JSON have all.
SHOWN_FINDINGS = 20
# Octets of a public key in PEM.
MAX_KEY = 64 * 1024


def _show_findings(platform: Platform, domain: str, certificate: dict[str, Any]) -> int:
    approved = {each["item"] for each in certificate["approvals"]}
    found = document.findings_of(certificate)
    print(
        f"\ngrade {certificate['grade']}; close: {document.may_close(platform, domain) or 'nothing is in the way'}"
    )
    lines = [
        {
            "grade": each.grade.label,
            "item": each.item,
            "approved": "yes" if each.item in approved else "",
            "where": each.where,
            "what": each.text,
        }
        for each in sorted(found, key=lambda one: -one.grade)[:SHOWN_FINDINGS]
    ]
    if lines:
        show(lines, ["grade", "item", "approved", "where", "what"], as_json=False)
    if len(found) > SHOWN_FINDINGS:
        print(f"and {len(found) - SHOWN_FINDINGS} more: --html FILE or --json")
    return 0


def _headline(content: dict[str, Any]) -> str:
    compared = content["compared"]
    parts = [
        f"{content['accounts']} of {content['planned']} accounts moved, {content['messages']} messages,"
        f" {content['octets']} octets copied",
        f"compared {compared['messages']} messages, {compared['hashed']} octet by octet",
    ]
    if content["accounts"]:
        parts.append(
            f"fence {content['fence_ms_median']} ms median, {content['fence_ms_longest']} ms longest"
        )
    parts.append(f"{content['aborts']} fences taken back, {content['strays']} strays")
    if content["rolled_back"]:
        parts.append(f"{content['rolled_back']} accounts went back")
    if content["renumbered"]:
        parts.append(f"{content['renumbered']} messages got new UIDs on the way back")
    if content["only_here_since"] is not None:
        lag = max(0, round(time.time() - content["only_here_since"]))
        parts.append(f"changes of the last {lag} s are here alone")
    return f"{content['domain']}: {'; '.join(parts)}"


def compose(ledger: Ledger, domain: str) -> dict[str, Any]:
    """Raises NotFound for a domain without a plan."""
    moves = ledger.moves(domain)
    if not moves:
        raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
    accounts = [_account(ledger, move) for move in moves]
    moved = [move for move in moves if move.moved]
    fences = [move.fence_ms for move in moved]
    return {
        "domain": domain,
        "planned": len(moves),
        "accounts": len(moved),
        "messages": sum(move.copied for move in moves),
        "octets": sum(move.octets for move in moves),
        "fence_ms_median": round(statistics.median(fences)) if fences else None,
        "fence_ms_longest": max(fences, default=None),
        "states": Counter(move.route.state.value for move in moves),
        "halted": sum(bool(move.halted) for move in moves),
        "compared": {
            "messages": sum(each["compared"]["messages"] for each in accounts),
            "hashed": sum(each["compared"]["hashed"] for each in accounts),
            "octets": sum(each["compared"]["octets"] for each in accounts),
        },
        "dropped_flags": sorted({flag for each in accounts for flag in each["dropped_flags"]}),
        "aborts": sum(move.aborts for move in moves),
        "strays": sum(move.strays for move in moves),
        "late_flags": sum(move.late_flags for move in moves),
        "rolled_back": sum(move.rolled_back > 0.0 for move in moves),
        "renumbered": sum(move.renumbered for move in moves),
        "only_here_since": min((move.lag for move in moves if move.lag is not None), default=None),
        "moves": accounts,
    }


def compose_shards(ledger: ShardMoves, domain: str) -> dict[str, Any]:
    """The last move of each account that was moved from shard to shard, or is on its way."""
    moves = ledger.moves(domain)
    fences = [move.fence_ms for move in moves if move.moved]
    return {
        "planned": len(moves),
        "accounts": len(fences),
        "fence_ms_median": round(statistics.median(fences)) if fences else None,
        "fence_ms_longest": max(fences, default=None),
        "aborts": sum(move.aborts for move in moves),
        "moves": [_account(ledger, move) for move in moves],
    }


def _shard_headline(domain: str, content: dict[str, Any]) -> str:
    text = f"{domain}: {content['accounts']} of {content['planned']} accounts moved between shards"
    if content["accounts"]:
        text += f"; fence {content['fence_ms_median']} ms median, {content['fence_ms_longest']} ms longest"
    return f"{text}; {content['aborts']} fences taken back"


def _account(ledger: Ledger | ShardMoves, move: Move | ShardMove) -> dict[str, Any]:
    """What `status` says of it, and what happened: the fence's parts, rounds, each mailbox's numbers."""
    (row,) = rows([move])
    return {
        **row,
        "messages": move.copied,
        "hashed": row["compared"]["hashed"],
        "fence_phases_ms": json.loads(move.phases),
        "uidl_format": move.uidl_format,
        "mailboxes": {
            name: asdict(mark.status) for name, mark in sorted(ledger.watermarks(move.account_id).items())
        },
        "history": [asdict(each) for each in ledger.rounds(move.account_id)],
    }
