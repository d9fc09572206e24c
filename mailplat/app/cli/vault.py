"""`mailplat vault`: expunged mail, deleted mailboxes and removed accounts: found, restored, held, purged.

Every search, restore, hold, release and purge is in the audit log before it is done.
"""

import argparse
from typing import Any

from mailplat.app.cli import _holds
from mailplat.app.cli._residence import residence
from mailplat.app.cli._sources import Source, add_action, sources
from mailplat.app.cli.audit import operator, parse_day, stamp
from mailplat.app.console import Subparsers, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput
from mailplat.core.route import Residence
from mailplat.directory.types import Account
from mailplat.store.vault.entry import REASONS
from mailplat.store.vault.finding import Filter, find, totals
from mailplat.store.vault.restore import restore
from mailplat.wire.smtp.address import parse_address

LIST_COLUMNS = ["address", "shard", "messages", "octets", "oldest", "newest", "hold", "removed"]
SEARCH_COLUMNS = ["id", "address", "mailbox", "why", "expunged", "date", "octets", "from", "subject"]
RESTORE_COLUMNS = ["address", "messages", "octets", "missing", "mailboxes"]


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("vault", help="expunged mail, deleted mailboxes, removed accounts")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = add_action(actions, "list", list_vaults, "how much is kept, and how old it is")
    _whose(listing, required=False)

    searching = add_action(actions, "search", search, "look for messages")
    _whose(searching)
    _filters(searching)

    restoring = add_action(
        actions, "restore", bring_back, "back into the account; into one that was added again too"
    )
    _whose(restoring)
    _filters(restoring)
    restoring.add_argument("--id", action="append", metavar="SHARD/N", help="this one, as search prints it")
    restoring.add_argument("--all", action="store_true", help="all that is kept")
    restoring.add_argument("--into", metavar="MAILBOX", help="default: where each message was")
    _holds.register(actions)


def _whose(action: argparse.ArgumentParser, *, required: bool = True) -> None:
    whose = action.add_mutually_exclusive_group(required=required)
    whose.add_argument("--account", metavar="ADDRESS", help="removed ones too")
    whose.add_argument("--domain", metavar="DOMAIN")


def _filters(action: argparse.ArgumentParser) -> None:
    action.add_argument("--from", dest="sender", metavar="TEXT", default="")
    action.add_argument("--subject", metavar="TEXT", default="")
    action.add_argument("--mailbox", metavar="NAME", default="", help="its whole name when it was expunged")
    action.add_argument("--why", choices=REASONS, default="", help="what the user or admin did")
    action.add_argument("--since", metavar="DAY", help="expunged then or later; YYYY-MM-DD, UTC")
    action.add_argument("--until", metavar="DAY", help="expunged then or before")


def list_vaults(args: argparse.Namespace) -> int:
    rows = []
    with open_platform(args.config) as platform:
        for source in sources(platform, args.account, args.domain):
            site = platform.store.shard(source.shard).site
            for each in totals(site, [source.account_id]):
                rows.append(
                    {
                        "address": source.address or f"account {each.account_id}",
                        "account_id": each.account_id,
                        "shard": source.shard,
                        "messages": each.messages,
                        "octets": each.octets,
                        "oldest": stamp(each.oldest),
                        "newest": stamp(each.newest),
                        "hold": source.owner.hold_reason or "-",
                        "removed": stamp(source.owner.removed_at) if source.owner.removed_at else "-",
                    }
                )
    return show(rows, LIST_COLUMNS, as_json=args.json)


def _wanted(args: argparse.Namespace, ids: frozenset[int] | None = None) -> Filter:
    return Filter(
        ids,
        args.sender,
        args.subject,
        args.mailbox,
        args.why,
        parse_day(args.since),
        parse_day(args.until, behind=True),
    )


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """What the audit log keeps of a question."""
    names = ("sender", "subject", "mailbox", "why", "since", "until", "id", "into")
    return {name: value for name in names if (value := getattr(args, name, None))}


def search(args: argparse.Namespace) -> int:
    wanted = _wanted(args)
    rows = []
    with open_platform(args.config) as platform:
        platform.audit.record(operator(), "vault.search", args.account or args.domain, after=_asked(args))
        for source in sources(platform, args.account, args.domain):
            site = platform.store.shard(source.shard).site
            for item in find(site, [source.account_id], wanted):
                rows.append(
                    {
                        "id": f"{source.shard}/{item.id}",
                        "address": source.address,
                        "mailbox": item.mailbox,
                        "why": item.reason,
                        "expunged": stamp(item.at),
                        "date": stamp(item.internaldate),
                        "octets": item.size,
                        "from": item.sender,
                        "subject": item.subject,
                        "flags": item.flags.split(),
                        "uid": item.uid,
                        "message_id": item.message_id,
                        "restored": item.restored,
                    }
                )
    return show(rows, SEARCH_COLUMNS, as_json=args.json)


def bring_back(args: argparse.Namespace) -> int:
    ids = _parse_ids(args.id)
    filters = (args.sender, args.subject, args.mailbox, args.why, args.since, args.until)
    if not (ids or any(filters) or args.all):
        raise InvalidInput("say what to restore: --id, a filter, or --all")
    _wanted(args)  # complains before anything is done
    rows = []
    with open_platform(args.config) as platform:
        if args.account:
            accounts = [platform.directory.account(parse_address(args.account))]
        else:
            accounts = platform.directory.accounts(args.domain)
        targets = {account.address.key: (account, residence(platform, account)) for account in accounts}
        platform.audit.record(operator(), "vault.restore", args.account or args.domain, after=_asked(args))
        for source in list(sources(platform, args.account, args.domain)):
            target = targets.get(parse_address(source.address).key)
            if target is None or (ids is not None and source.shard not in ids):
                continue
            rows.append(
                _restore_one(
                    platform,
                    source,
                    target,
                    _wanted(args, None if ids is None else ids[source.shard]),
                    args.into,
                )
            )
    rows = [row for row in rows if row["messages"] or row["missing"]]
    show(rows, RESTORE_COLUMNS, as_json=args.json)
    return 1 if any(row["missing"] for row in rows) else 0 if rows else 3


def _restore_one(
    platform: Platform, source: Source, target: tuple[Account, Residence], wanted: Filter, into: str | None
) -> dict[str, Any]:
    account, home = target
    done = restore(
        platform.store,
        source.shard,
        [source.account_id],
        wanted,
        home,
        into=into,
        quota=account.allowance,
    )
    row = {
        "address": str(account.address),
        "messages": done.messages,
        "octets": done.octets,
        "missing": len(done.missing),
        "mailboxes": ", ".join(done.mailboxes),
    }
    if done.messages:
        platform.audit.record(
            operator(), "vault.restored", str(account.address), after=row | {"shard": source.shard}
        )
    return row


def _parse_ids(texts: list[str] | None) -> dict[str, frozenset[int]] | None:
    """By shard. Raises InvalidInput."""
    if not texts:
        return None
    found: dict[str, set[int]] = {}
    for text in texts:
        shard, _, number = text.rpartition("/")
        if not shard or not number.isdecimal():
            raise InvalidInput(f"{text!r} is no message of a vault; write SHARD/N as search prints it")
        found.setdefault(shard, set()).add(int(number))
    return {shard: frozenset(numbers) for shard, numbers in found.items()}
