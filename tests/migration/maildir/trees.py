"""Trees made by hand, after what Courier and Dovecot document; no server in front of them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mailplat.core.executors import Executors
from mailplat.core.limits.sources import SourceLimits
from migration.sources.maildir.account import MaildirAccount
from migration.sources.maildir.courier import Courier
from migration.sources.maildir.dovecot import Dovecot
from migration.sources.maildir.layout import Layout
from migration.sources.maildir.location import parse

ACCOUNT = "ada@old.test"
DATE = 1_000_000_000


def message(maildir: Path, name: str, octets: bytes, place: str = "cur", date: int = DATE) -> None:
    path = maildir / place / name
    path.write_bytes(octets)
    os.utime(path, (date, date))


def maildir(path: Path) -> Path:
    for place in ("cur", "new", "tmp"):
        (path / place).mkdir(parents=True)
    return path


def dovecot(mount: Path, messages: int = 3) -> Path:
    """INBOX of `messages`, UIDs from 1."""
    root = maildir(mount / "old.test" / "ada" / "Maildir")
    lines = [f"3 V77 N{messages + 1} Gabc"]
    for uid in range(1, messages + 1):
        message(root, f"{uid}.file:2,S", b"Subject: %d\n\nbody\n" % uid)
        lines.append(f"{uid} :{uid}.file")
    (root / "dovecot-uidlist").write_text("\n".join(lines) + "\n")
    return root


@asynccontextmanager
async def opened(
    location: str, spool: Path, account: str = ACCOUNT, limits: SourceLimits | None = None
) -> AsyncIterator[MaildirAccount]:
    executors, parsed, limits = Executors(), parse(location), limits or SourceLimits()
    layout: Layout = (Courier if parsed.kind == "courier" else Dovecot)(parsed, account, limits)
    source = MaildirAccount(layout, parsed, executors, "old", spool, None, limits)
    try:
        yield source
    finally:
        await source.close()
        executors.close()
