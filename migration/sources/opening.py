"""Which kind of source an account on a backend is."""

from pathlib import Path

from mailplat.core.executors import Executors
from mailplat.directory import Backend
from migration.sources.contract import Numbers, Source
from migration.sources.imap_account import ImapAccount
from migration.sources.maildir.account import MaildirAccount
from migration.sources.pop3_account import Pop3Account


async def open_source(
    backend: Backend, account: str, spool: Path, executors: Executors, numbers: Numbers
) -> Source:
    """Large messages go through `spool`; `numbers` are for a source without UIDs. Raises Unavailable, Throttled,
    Misbehaviour, Halt; close what it returns."""
    if backend.maildir:
        return MaildirAccount.of(backend, account, spool, executors)
    if not backend.imap:
        return Pop3Account(backend, account, spool, numbers)
    return await ImapAccount.open(backend, account, spool)
