"""Preview and EMAILID of messages from before the index kept them (revision 0006), and previews of messages that came
from elsewhere and were rendered behind (rendered.py): made when somebody asks.

An index of some million messages is upgraded at once that way, a platform is copied faster, and who never asks pays
nothing. `complete` reads the files, gives the values, and writes them into the index so that nobody reads these files
again; where that is not possible now (the disk is full), the values are as good without.
"""

from collections.abc import Mapping

import structlog
from sqlalchemy.engine import Connection

from mailplat.core.errors import Unavailable
from mailplat.core.route import Residence
from mailplat.store.fetch import octets_many
from mailplat.store.index.tables import rendering_id
from mailplat.store.site import Site
from mailplat.store.types import UidRanges
from mailplat.wire.mime import render

log = structlog.get_logger("store")


def complete(
    site: Site, residence: Residence, mailbox_id: int, uids: UidRanges
) -> Mapping[int, tuple[str, str]]:
    """UID -> (preview, EMAILID) of each message that is there; one file in memory at a time. Raises NotFound,
    Unavailable where a file cannot be read."""
    made: dict[int, tuple[str, str]] = {}
    for uid, octets in octets_many(site, residence, mailbox_id, uids):
        rendering = render(octets)
        made[uid] = rendering.preview or "", rendering.email_id

    def apply(connection: Connection) -> None:
        # A message that was expunged meanwhile has no rendering any more; its number is never given again.
        connection.exec_driver_sql(
            "UPDATE rendering SET preview = ?, email_id = ? WHERE id = ?",
            [(*values, rendering_id(mailbox_id, uid)) for uid, values in made.items()],
        )

    if made:
        try:
            site.write(apply)
        except Unavailable as error:
            log.warning("previews are not kept", shard=site.name, reason=str(error))
    return made
