"""Quotas for the commands `account` and `domain`: many at once, and how much of them is used."""

import argparse
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from mailplat.app.console import parse_size, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.core.route import ShardHome
from mailplat.directory.types import Login
from mailplat.store import Shard
from mailplat.wire.smtp.address import parse_address

T = TypeVar("T")


def change_many(args: argparse.Namespace) -> int:
    """`account set --domain` and `--from-file`: one transaction, all or nothing."""
    if args.address is not None or args.active is not None:
        raise InvalidInput(
            "--domain and --from-file change the quotas of many; no ADDRESS and no --active with them"
        )
    if args.domain is not None:
        if args.quota is None:
            raise InvalidInput("--domain needs --quota SIZE")
        quota = parse_size(args.quota)
        with open_platform(args.config) as platform:
            changed = platform.directory.set_domain_quotas(args.domain, quota)
        return _changed(args, changed)
    if args.quota is not None:
        raise InvalidInput("--from-file has a size in each line; no --quota with it")
    if args.from_file == "-":
        lines = sys.stdin.read().splitlines()
    else:
        try:
            with open(args.from_file, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{args.from_file}: {error}") from error
    return _changed(args, _change_from(args, lines))


def _change_from(args: argparse.Namespace, lines: Sequence[str]) -> int:
    """How many. Every bad line is named on standard error. Raises InvalidInput where there is one."""
    bad: list[tuple[int, str]] = []
    quotas: dict[str, int] = {}
    places: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key, octets = _parse(line)
            if key in places:
                raise InvalidInput(f"{key} is in line {places[key]} already")
            quotas[key], places[key] = octets, number
        except InvalidInput as error:
            bad.append((number, str(error)))
    with open_platform(args.config) as platform:
        # With a bad line nothing is changed; what else is wrong is said all the same.
        missing = platform.directory.unknown(quotas) if bad else platform.directory.set_quotas(quotas)
    bad += [(places[key], f"there is no account {key}") for key in missing]
    for number, text in sorted(bad):
        print(f"mailplat: {args.from_file}:{number}: {text}", file=sys.stderr)
    if bad:
        raise InvalidInput(f"{args.from_file}: {len(bad)} bad lines; nothing was changed")
    return len(quotas)


def _parse(line: str) -> tuple[str, int]:
    """Of the two words the last is the size: a quoted local part may have spaces."""
    address, _, size = line.strip().rpartition(" ") if " " in line.strip() else line.strip().rpartition("\t")
    if not address:
        raise InvalidInput(f"{line.strip()!r} is not ADDRESS SIZE")
    return parse_address(address.strip()).key, parse_size(size)


def _changed(args: argparse.Namespace, count: int) -> int:
    return show([{"changed": count}] if count else [], ["changed"], as_json=args.json)


def used(platform: Platform, logins: Iterable[Login]) -> dict[int, int]:
    """Octets by account, of those that live in a shard. A shard that cannot be asked is named on standard error, and
    its accounts are left out."""
    homes = {login.account.id: login.route.home for login in logins}
    found: dict[int, int] = {}
    for name in sorted({home.shard for home in homes.values() if isinstance(home, ShardHome)}):
        here = {number for number, home in homes.items() if home == ShardHome(name)}
        try:
            usages = _ask(platform, name, Shard.usages)
        except Unavailable as error:
            print(f"mailplat: shard {name} cannot say what is used: {error}", file=sys.stderr)
            continue
        found.update({number: usages.get(number, 0) for number in here})
    return found


def pools(platform: Platform) -> dict[str, int]:
    """Octets by domain, in all shards together. Raises Unavailable where one cannot be asked: a sum without it would
    be taken for the whole."""
    total: dict[str, int] = {}
    for name in platform.shards:
        for domain, octets in _ask(platform, name, Shard.pools).items():
            total[domain] = total.get(domain, 0) + octets
    return total


def _ask(platform: Platform, name: str, question: Callable[[Shard], T]) -> T:
    """In a thread of its own, which is left behind where the disk does not answer. Raises Unavailable."""
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(question(platform.store.shard(name)))
        except Exception as error:  # noqa: BLE001 - handed to who asked
            answer.set_exception(error)

    threading.Thread(target=ask, name=f"ask {name}", daemon=True).start()
    patience = platform.settings.store.patience
    try:
        return answer.result(patience)
    except TimeoutError as error:
        raise Unavailable(f"shard {name} has not answered for {patience:g} s") from error
