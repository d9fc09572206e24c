"""The shard's background thread: namer and sweeper, shortly after each change, and once in a while anyway; the vault
and the tombstones are pruned from time to time, and SQLite's log is cut back when readers made it long."""

import threading
import time

import structlog

from mailplat.core.errors import MailplatError
from mailplat.store.namer import settle_names
from mailplat.store.site import Site
from mailplat.store.sweeper import expire_keys, sweep_leaving
from mailplat.store.tombstones import forget_tombstones
from mailplat.store.vault.prune import prune

log = structlog.get_logger(__name__)

# Changes of so many seconds are settled together: a client that marks 100 messages one by one renames each once.
DELAY_S = 1.0

# Without a change of our own: another process may have died before it settled its changes.
IDLE_S = 60.0

# The vault's days are long: a look each so often is enough, unless a round had its fill.
PRUNE_S = 600.0

# A change is dated before it waits for its commit.
MARGIN_S = 60

# Of the last round, at the end.
LAST_TRIES = 3
# A vault of less than a day is looked at as often as a tenth of its time passes.
_DAY = 86_400
_PART = 0.1

# After a failure (disk full, index locked).
RETRY_S = 10.0


class Upkeep:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._stop = threading.Event()
        self._prune_at = 0.0
        self._pruned = 0  # Unix time; each account was within its limit then
        self._thread = threading.Thread(target=self._run, name=f"{site.name}-upkeep", daemon=True)
        site.changed.set()  # what an earlier process left undone
        self._thread.start()

    def close(self) -> None:
        """Settle what is open, then stop."""
        self._stop.set()
        self._site.changed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._site.changed.wait(IDLE_S)
            self._stop.wait(DELAY_S)
            self._site.changed.clear()
            if not self._settle():
                self._stop.wait(RETRY_S)
        # Whoever makes the index anew from here on must not find what was deleted long ago: a lock that another
        # process held is waited for again. On a disk that refuses, nothing helps.
        for _ in range(LAST_TRIES):
            if self._settle():
                break

    def _settle(self) -> bool:
        try:
            settle_names(self._site)
            sweep_leaving(self._site)
            expire_keys(self._site)
            self._prune()
            self._site.database.trim()
        except MailplatError as error:
            log.warning(
                "names of files are not up to date; trying again", shard=self._site.name, error=str(error)
            )
            return False
        except Exception:
            log.exception("upkeep failed: this is a bug", shard=self._site.name)
            return False
        return True

    def _prune(self) -> None:
        if time.monotonic() < self._prune_at or self._stop.is_set():
            return
        forget_tombstones(self._site)
        began = int(self._site.clock.now())
        if prune(self._site, self._pruned):
            self._site.changed.set()  # more of it, and files to be swept
        else:
            self._pruned = began - MARGIN_S
            days = self._site.limits.vault_days
            self._prune_at = time.monotonic() + (min(PRUNE_S, days * _DAY * _PART) or PRUNE_S)
