"""`mailplat vault`: expunged mail, deleted mailboxes and removed accounts: found, restored, held, purged.

Every search, restore, hold, release and purge is in the audit log before it is done.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mailplat.app.cli.audit import operator, parse_day, stamp
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from mailplat.core.route import Door, Residence, ShardHome
from mailplat.directory.types import Account
from mailplat.store.vault import owner, prune
from mailplat.store.vault.entry import REASONS
from mailplat.store.vault.finding import Filter, find, totals
from mailplat.store.vault.restore import restore
from mailplat.wire.smtp.address import parse_address

LIST_COLUMNS = ["address", "shard", "messages", "octets", "oldest", "newest", "hold", "removed"]
SEARCH_COLUMNS = ["id", "address", "mailbox", "why", "expunged", "date", "octets", "from", "subject"]
RESTORE_COLUMNS = ["address", "messages", "octets", "missing", "mailboxes"]
HOLD_COLUMNS = ["address", "shard", "home", "since", "by", "reason"]


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("vault", help="expunged mail, deleted mailboxes, removed accounts")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = _action(actions, "list", list_vaults, "how much is kept, and how old it is")
    _whose(listing, required=False)

    searching = _action(actions, "search", search, "look for messages")
    _whose(searching)
    _filters(searching)

    restoring = _action(
        actions, "restore", bring_back, "back into the account; into one that was added again too"
    )
    _whose(restoring)
    _filters(restoring)
    restoring.add_argument("--id", action="append", metavar="SHARD/N", help="this one, as search prints it")
    restoring.add_argument("--all", action="store_true", help="all that is kept")
    restoring.add_argument("--into", metavar="MAILBOX", help="default: where each message was")

    holding = _action(actions, "hold", hold, "legal hold: nothing of this account is removed any more")
    holding.add_argument("address", metavar="ADDRESS")
    holding.add_argument("--reason", metavar="TEXT", required=True)
    releasing = _action(actions, "release", release, "end a legal hold: the days count again")
    releasing.add_argument("address", metavar="ADDRESS")
    _action(actions, "holds", list_holds, "accounts under a legal hold")

    purging = _action(actions, "purge", purge, "remove now what is kept of an account; not under a hold")
    purging.add_argument("--account", metavar="ADDRESS", required=True)
    purging.add_argument("--reason", metavar="TEXT", required=True, help="for the audit log")


def _action(actions: Subparsers, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    add_config(action)
    add_json(action)
    action.set_defaults(run=run)
    return action


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


@dataclass(frozen=True, slots=True)
class Source:
    """One account's vault in one shard."""

    shard: str
    owner: owner.Owner  # as the shard knows it
    address: str

    @property
    def account_id(self) -> int:
        return self.owner.account_id


def _sources(platform: Platform, account: str | None = None, domain: str | None = None) -> Iterator[Source]:
    """In every shard: an account that moved has left its vault in the old one. Raises Unavailable when one of them
    cannot be asked: a search that leaves out a shard would be taken for an answer."""
    wanted = parse_address(account).key if account else None
    ending = "@" + platform_domain(domain) if domain else ""
    live = {each.id: each for each in platform.directory.accounts(None)}
    for name in platform.shards:
        site = platform.store.shard(name).site
        known = {each.account_id: each for each in owner.owners(site)}
        for number in sorted(known.keys() | {each.account_id for each in totals(site)}):
            each = known.get(number, owner.Owner(number))
            address = str(live[number].address) if number in live else each.address
            if wanted and (not address or parse_address(address).key != wanted):
                continue
            if ending and not address.casefold().endswith(ending):
                continue
            yield Source(name, each, address)


def platform_domain(text: str) -> str:
    """As addresses have it. Raises InvalidInput."""
    return parse_address(f"postmaster@{text}").domain.casefold()


def list_vaults(args: argparse.Namespace) -> int:
    rows = []
    with open_platform(args.config) as platform:
        for source in _sources(platform, args.account, args.domain):
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
    names = ("sender", "subject", "mailbox", "why", "since", "until", "id", "into", "reason")
    return {name: value for name in names if (value := getattr(args, name, None))}


def search(args: argparse.Namespace) -> int:
    wanted = _wanted(args)
    rows = []
    with open_platform(args.config) as platform:
        platform.audit.record(operator(), "vault.search", args.account or args.domain, after=_asked(args))
        for source in _sources(platform, args.account, args.domain):
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
        targets = {account.address.key: (account, _residence(platform, account)) for account in accounts}
        platform.audit.record(operator(), "vault.restore", args.account or args.domain, after=_asked(args))
        for source in list(_sources(platform, args.account, args.domain)):
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
    account, residence = target
    done = restore(
        platform.store,
        source.shard,
        [source.account_id],
        wanted,
        residence,
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


def _residence(platform: Platform, account: Account) -> Residence:
    route = platform.directory.route(account.id)
    if not isinstance(route.home, ShardHome):
        raise InvalidInput(f"{account.address} lives on {route.home}: mail can be restored to a shard only")
    if route.door is not Door.SERVE:
        raise Unavailable(f"{account.address} is being moved; try again when that is over")
    return Residence(account.id, route.home.shard, route.epoch)


def hold(args: argparse.Namespace) -> int:
    """In its home, and wherever else it has a vault: an account that moved, or was removed and added again."""
    address = str(parse_address(args.address))
    with open_platform(args.config) as platform:
        places = {(source.shard, source.account_id) for source in _sources(platform, address)}
        try:
            account = platform.directory.account(parse_address(address))
        except NotFound:
            account = None
        if account is not None:
            home = platform.directory.route(account.id).home
            if isinstance(home, ShardHome):
                places.add((home.shard, account.id))
        if not places:
            raise NotFound(f"no shard has mail of {address}")
        platform.audit.record(operator(), "vault.hold", address, after={"reason": args.reason})
        epoch = None if account is None else _settled_epoch(platform, account)
        held = _hold_all(platform, places, address, args.reason)
        # A fence carries the hold along that it finds; of one laid behind its back it knows nothing.
        if account is not None and _settled_epoch(platform, account) != epoch:
            raise Unavailable(f"{address} has moved meanwhile; say it once more")
        if not held:
            raise AlreadyExists(f"{address} is held already; see mailplat vault holds")
    return 0


def _settled_epoch(platform: Platform, account: Account) -> int:
    route = platform.directory.route(account.id)
    if route.door is Door.HOLD:
        raise Unavailable(f"{account.address} is being moved; say it once more when that is over")
    return route.epoch


def _hold_all(platform: Platform, places: set[tuple[str, int]], address: str, reason: str) -> int:
    """How many of the places had none."""
    held = 0
    for shard, number in sorted(places):
        site = platform.store.shard(shard).site
        try:
            owner.hold(site, number, address=address, reason=reason, by=operator())
            held += 1
        except AlreadyExists:
            continue
    return held


def release(args: argparse.Namespace) -> int:
    address = str(parse_address(args.address))
    with open_platform(args.config) as platform:
        held = [each for each in _sources(platform, address) if each.owner.held_at is not None]
        if not held:
            raise NotFound(f"{address} is not held")
        before = {"reason": held[0].owner.hold_reason, "by": held[0].owner.hold_by}
        platform.audit.record(operator(), "vault.release", address, before=before)
        for source in held:
            owner.release(platform.store.shard(source.shard).site, source.account_id)
    return 0


def list_holds(args: argparse.Namespace) -> int:
    rows = []
    with open_platform(args.config) as platform:
        for source in _sources(platform):
            if source.owner.held_at is not None:
                rows.append(
                    {
                        "address": source.address or f"account {source.account_id}",
                        "shard": source.shard,
                        "home": _home(platform, source.account_id),
                        "since": stamp(source.owner.held_at),
                        "by": source.owner.hold_by,
                        "reason": source.owner.hold_reason,
                    }
                )
    return show(rows, HOLD_COLUMNS, as_json=args.json)


def _home(platform: Platform, account_id: int) -> str:
    try:
        return str(platform.directory.route(account_id).home)
    except NotFound:
        return "removed"


def purge(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        found = list(_sources(platform, args.account))
        if any(source.owner.held_at is not None for source in found):
            raise InvalidInput(f"{args.account} is under a legal hold; nothing is purged")
        platform.audit.record(operator(), "vault.purge", args.account, after=_asked(args))
        count = sum(prune.purge(platform.store.shard(each.shard).site, each.account_id) for each in found)
    return show([{"messages": count}] if count else [], ["messages"], as_json=args.json)
