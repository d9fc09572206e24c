"""Which kind of source an account on a backend is."""

from pathlib import Path

from mailplat.core.executors import Executors
from mailplat.directory import Backend
from migration.sources.contract import Source
from migration.sources.imap_account import ImapAccount
from migration.sources.maildir.account import MaildirAccount


async def open_source(backend: Backend, account: str, spool: Path, executors: Executors) -> Source:
    """Large messages go through `spool`. Raises Unavailable, Throttled, Misbehaviour, Halt; close what it returns."""
    if backend.maildir:
        return MaildirAccount.of(backend, account, spool, executors)
    return await ImapAccount.open(backend, account, spool)
