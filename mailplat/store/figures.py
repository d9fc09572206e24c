"""What a shard holds and what that takes on its disk, by its index: no file is looked at."""

import contextlib
import os
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store.fulltext.file import FILE as FULLTEXT_FILE
from mailplat.store.fulltext.waiting import count_waiting
from mailplat.store.identity import INDEX_FILE
from mailplat.store.site import Site

_ACCOUNTS = (
    "SELECT count(*), coalesce(sum(messages), 0), coalesce(sum(octets), 0) FROM account WHERE closed = 0"
)
_SAVED = "SELECT coalesce(sum((links - 1) * size), 0) FROM shared WHERE links > 1"


@dataclass(frozen=True, slots=True)
class Figures:
    """Octets are those of files, not of the blocks that hold them."""

    accounts: int
    messages: int
    octets: int  # in full, as quotas count them
    vault_messages: int
    vault_octets: int  # in full
    saved: int  # what links save, among live messages and the vault
    index: int  # octets of the index on disk
    fulltext: int  # octets of the text that is kept for SEARCH
    waiting: int  # messages whose text is to be kept and is not yet
    free: int  # octets of the filesystem that we may use
    counted: bool  # False: an index of an earlier release that `shard verify` has not counted; `saved` is too small

    @property
    def once(self) -> int:
        """Octets of message files on disk, each file once."""
        return self.octets + self.vault_octets - self.saved


def saved_octets(connection: Connection) -> int:
    """What links save, in this transaction."""
    (saved,) = connection.exec_driver_sql(_SAVED).one()
    return int(saved)


def figures(site: Site) -> Figures:
    """Raises Unavailable."""
    with site.read() as connection:
        accounts = connection.exec_driver_sql(_ACCOUNTS).one()
        vault = connection.exec_driver_sql("SELECT vault_messages, vault_octets, counted FROM figures").one()
        saved = saved_octets(connection)
    waiting = count_waiting(site)
    try:
        with disk.failures(site.path):
            status = os.statvfs(site.path)
    except FileNotFoundError as error:
        raise Unavailable(f"{site.path}: the shard's folder is gone") from error
    return Figures(
        accounts=accounts[0],
        messages=accounts[1],
        octets=accounts[2],
        vault_messages=vault[0],
        vault_octets=vault[1],
        saved=saved,
        index=_octets(site, INDEX_FILE),
        fulltext=_octets(site, FULLTEXT_FILE),
        waiting=waiting,
        free=status.f_bavail * status.f_frsize,
        counted=bool(vault[2]),
    )


def _octets(site: Site, file: str) -> int:
    """Of a database, with its log."""
    octets = 0
    for name in (file, f"{file}-wal"):
        with contextlib.suppress(FileNotFoundError), disk.failures(site.path):
            octets += os.stat(site.path / name).st_size
    return octets
