"""What would go back now, from the store alone: the backend is not asked."""

from dataclasses import dataclass

from mailplat.core.route import Residence
from mailplat.store import Shard
from migration.origins import Origin


@dataclass(slots=True)
class Preview:
    messages: int = 0  # new here
    octets: int = 0
    flags: int = 0  # older messages that changed
    gone: int = 0
    made: int = 0  # mailboxes, that get another UIDVALIDITY there
    renamed: int = 0
    deleted: int = 0  # mailboxes
    fillers: int = 0  # UIDs that are free here and must be there

    @property
    def changes(self) -> int:
        return self.messages + self.flags + self.gone + self.made + self.renamed + self.deleted


def preview(shard: Shard, residence: Residence, origins: dict[str, Origin]) -> Preview:
    """Since the commit, or since the last round back of each mailbox. Synchronous. Raises Unavailable."""
    found = Preview()
    ours = {each.object_id: each for each in shard.mailboxes(residence)}
    found.deleted = len(origins.keys() - ours.keys())
    for object_id, mailbox in ours.items():
        origin = origins.get(object_id)
        if origin is None:
            found.made += 1
        elif origin.name != mailbox.name:
            found.renamed += 1
        below, since = (origin.below, origin.seen_modseq or origin.modseq) if origin else (1, 0)
        if mailbox.modseq <= since:
            continue
        said = shard.traces(residence, mailbox.id, since)
        new = [uid for uid, _, _ in said.changed if uid >= below]
        found.messages += len(new)
        found.flags += len(said.changed) - len(new)
        found.gone += sum(0 < uid < below for uid, _ in said.expunged)
        found.fillers += max(0, mailbox.uidnext - below - len(new))
        if new:
            sizes = shard.rows(residence, mailbox.id, [(uid, uid) for uid in new], ("size",))
            found.octets += sum(size for (size,) in sizes)
    return found
