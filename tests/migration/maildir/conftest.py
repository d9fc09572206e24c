"""One Dovecot with an account in each layout that it knows, filled with real mail."""

import os
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailplat.core.executors import Executors
from mailplat.directory import Backend
from migration.sources.maildir.account import MaildirAccount
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, PASSWORD, backend_of, client, letter
from tests.shared import shared

# What Dovecot's userdb says of the account; what our backend says of where its mail lies. {mail} is the mount.
LAYOUTS = {
    "plus": ("", "{mail}/%d/%n/Maildir"),
    "fs": (
        "userdb_mail=maildir:~/Maildir:LAYOUT=fs:CONTROL={mail}/control/%n:INDEX={mail}/index/%n",
        "maildir:{mail}/%d/%n/Maildir:LAYOUT=fs:CONTROL={mail}/control/%n:INDEX={mail}/index/%n",
    ),
    "utf8": (
        "userdb_mail=maildir:~/Maildir:UTF-8:CONTROL={mail}/control/%n userdb_namespace/inbox/prefix=INBOX."
        " userdb_namespace/inbox/separator=.",
        "maildir:{mail}/%d/%n/Maildir:UTF-8:CONTROL={mail}/control/%n",
    ),
    "inbox": (
        "userdb_mail=maildir:~/Maildir:INBOX={mail}/%n.inbox",
        "maildir:{mail}/%d/%n/Maildir:INBOX={mail}/%n.inbox",
    ),
    "escape": ("userdb_mail_plugins=listescape", "{mail}/%d/%n/Maildir:LISTESCAPE"),
    "crlf": ("userdb_mail_save_crlf=yes", "{mail}/%Ld/%1n%1.9n/Maildir"),
    "gzip": ("userdb_mail_plugins=zlib userdb_zlib_save=gz", "{mail}/%d/%n/Maildir"),
}
MAIL_EACH = 32
# A real one that nobody told a size, with what a line may not have; Dovecot delivers nothing like it.
FOREIGN = b"Subject: foreign\n\nli\0ne\n\rbare\r\r\n" + b"x" * 300_000 + b"\nno end"


@dataclass(frozen=True)
class Legacy:
    server: Dovecot

    def user(self, layout: str) -> str:
        return f"{layout}@{DOMAIN}"

    def backend(self, layout: str, **changes: str) -> Backend:
        location = LAYOUTS[layout][1].format(mail=self.server.mail)
        return backend_of(self.server, **{"maildir": location, **changes})

    def deliver(self, layout: str, name: str, octets: bytes, place: str = "new") -> Path:
        """As a program that is not Dovecot does it."""
        root = self.server.maildir(self.user(layout))
        if layout == "inbox":
            root = self.server.mail / "inbox.inbox"
        (root / "tmp" / name).write_bytes(octets)
        owner = root.stat()
        os.chown(root / "tmp" / name, owner.st_uid, owner.st_gid)
        os.rename(root / "tmp" / name, root / place / name)
        return root / place / name

    @asynccontextmanager
    async def source(self, layout: str, **changes: str) -> AsyncIterator[MaildirAccount]:
        executors = Executors()
        backend = self.backend(layout, **changes)
        source = MaildirAccount.of(backend, self.user(layout), self.server.root, executors)
        try:
            yield source
        finally:
            await source.close()
            executors.close()


@pytest.fixture(scope="session")
def legacy() -> Iterator[Legacy]:
    letters = real_letters(MAIL_EACH * len(LAYOUTS))
    with tempfile.TemporaryDirectory(prefix="mailplat-maildir-") as root:
        server = Dovecot(Path(root), [], MASTER)
        lines = []
        for layout, (extra, _) in LAYOUTS.items():
            said = extra.format(mail=server.mail)
            lines.append(f"{layout}@{DOMAIN}:{{PLAIN}}{PASSWORD}::::::{said}\n")
        (server.root / "users").write_text("".join(lines))
        try:
            filled = Legacy(server)
            for number, layout in enumerate(LAYOUTS):
                fill(filled, layout, letters[number * MAIL_EACH : (number + 1) * MAIL_EACH])
            yield filled
        finally:
            server.stop()


def real_letters(count: int) -> list[bytes]:
    """The first of the corpus."""
    found: list[bytes] = []
    with tarfile.open(shared("corpus/real-mail.tar.xz")) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".eml") else None
            if file is not None:
                found.append(file.read())
            if len(found) == count:
                break
    return found


def fill(legacy: Legacy, layout: str, letters: list[bytes]) -> None:
    """Mail with a past, in mailboxes with odd names."""
    prefix, separator = ("INBOX.", ".") if layout == "utf8" else ("", "/")
    deep = prefix + separator.join(("Archive", "März & April", "INBOX"))
    empty = prefix + "空 ~ folder"
    with client(legacy.server, legacy.user(layout)) as imap:
        for name in (deep, empty, f"{prefix}Sent", *(["a.b/~c\\d"] if layout == "escape" else [])):
            imap.create_folder(name)
        for name in ("INBOX", deep, empty):
            imap.subscribe_folder(name)
        for number, octets in enumerate(letters):
            imap.append(("INBOX", deep)[number % 4 == 3], octets, msg_time=None)
        imap.append("INBOX", letter(7, 600_000), ["\\Draft", "$Label-1", "Project-X"])
        imap.select_folder("INBOX")
        imap.add_flags(range(1, 6), ["\\Seen"])
        imap.add_flags([4, 5], ["\\Flagged", "\\Answered", "$Label-1", "NonJunk"])
        imap.add_flags([7, 8, 9], ["\\Deleted"])
        imap.uid_expunge([9])
        imap.copy([4, 5, 6], f"{prefix}Sent")
    legacy.deliver(layout, "1100000000.foreign.host", FOREIGN)
    seen = legacy.deliver(layout, "1100000001.other.host:2,FPSz", b"Subject: seen\n\nbody\n", "cur")
    os.utime(seen, (1_100_000_000, 1_100_000_000))
