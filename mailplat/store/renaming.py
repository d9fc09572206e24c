"""RENAME (RFC 3501 6.3.5): INBOX gives its messages away and stays; any other mailbox takes its name along."""

from mailplat.core.route import Residence
from mailplat.store.copy import copy
from mailplat.store.mailboxes import create, find_mailbox
from mailplat.store.mailboxes import rename as rename_tree
from mailplat.store.names import INBOX, canonical
from mailplat.store.site import Site


def rename(site: Site, residence: Residence, old: str, new: str) -> None:
    """Raises NotFound, AlreadyExists, InvalidInput, LimitReached, StaleEpoch, DiskFull."""
    if canonical(old) != INBOX:
        rename_tree(site, residence, old, new)
        return
    inbox = find_mailbox(site, residence, INBOX)
    create(site, residence, new)
    copy(site, residence, inbox.id, None, new, move=True)
