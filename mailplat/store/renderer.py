"""What was not rendered when it came (rendered.py) is rendered behind: of the processes of a shard one does so at a
time. Between two steps it rests three times as long as the step took: a copy that still runs, and whoever waits for a
login or a message, have the core for the rest.
"""

import fcntl
import threading
import time
from collections import defaultdict

from mailplat.core import disk
from mailplat.db.driver import fetch_all
from mailplat.store.index.tables import place_of
from mailplat.store.rendered import BATCH, settle
from mailplat.store.site import Site

# In the shard's folder: locked by who is at it.
LOCK = "rendered.lock"

# Seconds after a message that is to be rendered later came: a copy comes first, and a short one is over by then.
DELAY_S = 5.0

# Seconds between two looks at what a process that died left undone.
SWEEP_S = 600.0

# After which another process is let at it; DELAY_S is a small part of it.
ROUND_S = 60.0

# Times as long as a step took.
_REST = 3.0

_NEXT = "SELECT id FROM unrendered WHERE id > ? ORDER BY id LIMIT ?"


class Rendering:
    """For one thread."""

    def __init__(self, site: Site, stop: threading.Event | None = None) -> None:
        self._site = site
        self._stop = stop or threading.Event()
        self._last = 0  # of `unrendered`: how far this pass is
        self._settled = False  # something, in this pass
        self._sweep_at = 0.0

    @property
    def idle(self) -> float:
        return max(0.0, self._sweep_at - time.monotonic())

    def round(self) -> bool:
        """Until nothing is left, or ROUND_S. Raises Unavailable, DiskFull."""
        self._sweep_at = time.monotonic() + SWEEP_S
        until = time.monotonic() + ROUND_S
        with disk.failures(self._site.path), open(self._site.path / LOCK, "a") as lock:
            try:
                fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False  # who has it does all that is there
            while time.monotonic() < until and not self._stop.is_set():
                began = time.monotonic()
                if not self._step():
                    return False
                self._stop.wait(_REST * (time.monotonic() - began))
        return not self._stop.is_set()

    def _step(self) -> bool:
        """Some messages. False after a pass that could do nothing: what is left has files that cannot be read."""
        with self._site.read() as connection:
            found = [number for (number,) in fetch_all(connection, _NEXT, (self._last, BATCH))]
        if not found:
            again, self._last, self._settled = self._settled, 0, False
            return again
        self._last = found[-1]
        places: dict[int, list[int]] = defaultdict(list)
        for mailbox_id, uid in map(place_of, found):
            places[mailbox_id].append(uid)
        for mailbox_id, uids in places.items():
            self._settled = bool(settle(self._site, mailbox_id, uids)) or self._settled
        return True
