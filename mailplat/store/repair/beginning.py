"""What a rebuild takes over of the index that it finds."""

import contextlib
import os

from mailplat.core import disk
from mailplat.db import schema
from mailplat.store.identity import DAMAGED, FOREIGN_INDEX, INDEX_FILE
from mailplat.store.maildir import new_unique
from mailplat.store.site import Site

# SQLite keeps a log and shared memory beside the file.
_SUFFIXES = ("-wal", "-shm", "")


def prepare_index(site: Site, kind: str) -> None:
    """`kind`: why the index was refused. Steps: rebuild.aside."""
    if kind in (DAMAGED, FOREIGN_INDEX):
        _set_aside(site)
    schema.upgrade(site.database, "shard")
    with site.database.write() as connection:
        # Paths that an older index would remove may be in use again: an account that came back.
        connection.exec_driver_sql("DELETE FROM leaving")


def _set_aside(site: Site) -> None:
    """Nothing that it says is true of this shard; it is kept, under another name, for whoever wants to look."""
    site.database.close()
    aside = f"replaced-{new_unique()}.db"
    with disk.failures(site.path):
        for suffix in _SUFFIXES:
            with contextlib.suppress(FileNotFoundError):
                disk.rename(
                    site.path / f"{INDEX_FILE}{suffix}", site.path / f"{aside}{suffix}", "rebuild.aside"
                )
        disk.fsync_directory(os.fspath(site.path), "rebuild.aside")
