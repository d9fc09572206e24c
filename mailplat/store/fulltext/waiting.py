"""How far what is kept is behind the index."""

import json

import structlog

from mailplat.core.errors import Unavailable
from mailplat.store.site import Site

log = structlog.get_logger("fulltext")

_PARTS = "SELECT mailbox_id, min(uidnext) FROM part GROUP BY mailbox_id"
_WAITING = (
    "SELECT count(*) FROM json_each(?) j JOIN mailbox b ON b.id = json_extract(j.value, '$[0]')"
    " JOIN message m ON m.mailbox_id = b.id AND m.uid >= json_extract(j.value, '$[1]')"
    " WHERE b.uidnext > json_extract(j.value, '$[1]')"
)


def count_waiting(site: Site) -> int:
    """Messages of mailboxes whose text is kept that have none yet. Raises Unavailable where the index is."""
    try:
        with site.fulltext.read() as connection:
            if connection is None:
                return 0
            parts = [tuple(row) for row in connection.exec_driver_sql(_PARTS)]
    except Unavailable as error:
        log.warning("the text that is kept cannot be read", shard=site.name, reason=str(error))
        return 0
    with site.read() as index:
        return int(index.exec_driver_sql(_WAITING, (json.dumps(parts),)).scalar_one())
