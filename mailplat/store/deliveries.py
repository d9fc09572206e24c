"""Which deliveries were done, from the names of files: a queue whose worker died before it noted its success delivers
again, and must find that out also where the index was lost in between.

A message may have been moved, or expunged into the vault, since it was delivered: so its key counts for the INBOX of
its account too.
"""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from mailplat.store.names import INBOX
from mailplat.store.site import Site

_DAY = 86_400

_INSERT = (
    "INSERT INTO dedupe (mailbox_id, key, uid, modseq, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_INBOX = "SELECT id FROM mailbox WHERE account_id = ? AND name = ?"


def remember(
    site: Site,
    connection: Connection,
    account_id: int,
    mailbox_id: int,
    delivered: Sequence[tuple[str, int, int, int]],
) -> None:
    """`delivered`: (key, UID, MODSEQ, when it was saved) of messages found for this mailbox; those older than keys
    are kept are passed over."""
    oldest = int(site.clock.now()) - site.limits.dedupe_days * _DAY
    recent = [each for each in delivered if each[3] >= oldest]
    if not recent:
        return
    inbox = connection.exec_driver_sql(_INBOX, (account_id, INBOX)).fetchone()
    places = {mailbox_id} | ({inbox[0]} if inbox is not None else set())
    connection.exec_driver_sql(_INSERT, [(place, *each) for place in sorted(places) for each in recent])
