"""What the actions of `mailplat vault` share: their options, and whose vaults there are in which shards."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json
from mailplat.app.wiring import Platform
from mailplat.store.vault import owner
from mailplat.store.vault.finding import totals
from mailplat.wire.smtp.address import parse_address


def add_action(actions: Subparsers, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    add_config(action)
    add_json(action)
    action.set_defaults(run=run)
    return action


@dataclass(frozen=True, slots=True)
class Source:
    """One account's vault in one shard."""

    shard: str
    owner: owner.Owner  # as the shard knows it
    address: str

    @property
    def account_id(self) -> int:
        return self.owner.account_id


def sources(platform: Platform, account: str | None = None, domain: str | None = None) -> Iterator[Source]:
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
