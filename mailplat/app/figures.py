"""What shards hold, on /metrics: read from each index once in a while, so that a scrape waits for no disk."""

import asyncio
import contextlib

import structlog

from mailplat.admin import metrics
from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, Unavailable
from mailplat.store.figures import Figures

log = structlog.get_logger("figures")

# Seconds between two looks: a sum over the accounts of a shard, some milliseconds for 100,000.
PERIOD = 60.0

_GAUGES = {
    "mailplat_shard_accounts": ("Accounts that live in a shard", "accounts"),
    "mailplat_shard_messages": ("Messages of a shard", "messages"),
    "mailplat_shard_octets": ("Octets of a shard's messages in full, as quotas count them", "octets"),
    "mailplat_shard_octets_once": ("Octets of message files on a shard's disk, the vault's too", "once"),
    "mailplat_shard_vault_octets": ("Octets in a shard's vault in full", "vault_octets"),
    "mailplat_shard_fulltext_octets": ("Octets of the text that a shard keeps for SEARCH", "fulltext"),
    "mailplat_shard_fulltext_waiting": ("Messages whose text is to be kept and is not yet", "waiting"),
    "mailplat_shard_free_octets": ("Octets that are free on a shard's disk", "free"),
}


async def watch_figures(platform: Platform, period: float = PERIOD) -> None:
    """Until it is cancelled. A shard that does not answer has no figures until it does."""
    known: dict[str, Figures] = {}

    def read(attribute: str) -> dict[str, float]:
        return {name: float(getattr(figures, attribute)) for name, figures in known.items()}

    with contextlib.ExitStack() as stack:
        for name, (text, attribute) in _GAUGES.items():
            stack.callback(
                metrics.watch_each(name, text, "shard", lambda attribute=attribute: read(attribute))  # type: ignore[misc]
            )
        while True:
            names = await asyncio.get_running_loop().run_in_executor(None, lambda: list(platform.shards))
            await asyncio.gather(*(_look(platform, name, known) for name in names))
            await asyncio.sleep(period)


async def _look(platform: Platform, name: str, known: dict[str, Figures]) -> None:
    try:
        known[name] = await platform.executors.ask(f"store/{name}", _read, platform, name)
    except MailplatError as error:
        known.pop(name, None)
        log.warning("shard has no figures now", shard=name, reason=str(error))


def _read(platform: Platform, name: str) -> Figures:
    """To look must not make a shard where its disk is not mounted."""
    if not (platform.shards[name].path / "index.db").exists():
        raise Unavailable(f"shard {name} has no index yet")
    return platform.store.shard(name).figures()
