"""A platform that serves, and accounts that were moved to it from a real Dovecot."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from migration.certificate import evidence
from migration.ledger import Ledger, Move
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, PASSWORD, client, letter
from tests.rig import Rig

LETTERS = 12
LARGE = 300  # messages: more than one FETCH


def fill(dovecot: Dovecot, user: str, letters: int = LETTERS) -> None:
    with client(dovecot, user) as imap:
        for number in range(letters):
            flags = [b"\\Seen"] if number % 2 else [b"\\Flagged", b"$Work"]
            imap.append("INBOX", letter(number), flags)
        imap.select_folder("INBOX")
        imap.delete_messages([3])
        imap.expunge()
        imap.create_folder("Grüße & mehr")
        imap.append("Grüße & mehr", letter(100), [b"\\Answered"])
        imap.subscribe_folder("Grüße & mehr")
        imap.create_folder("Empty")


def bring(rig: Rig, dovecot: Dovecot, users: list[str]) -> None:
    """Backend, accounts, plan, cutover; waits for it."""
    rig.run("domain", "add", DOMAIN)
    rig.run(
        "migrate", "backend", "add", "old",
        "--imap", f"127.0.0.1:{dovecot.imap_port}", "--imap-tls", "none",
        "--pop3", f"127.0.0.1:{dovecot.pop3_port}", "--pop3-tls", "none",
        "--relay", f"lmtp:127.0.0.1:{dovecot.lmtp_port}",
        "--master-user", MASTER[0], "--master-password-stdin",
        stdin=f"{MASTER[1]}\n",
    )  # fmt: skip
    for user in users:
        rig.call("account", "add", user, "--password-stdin", "--home", "backend:old", stdin=f"{PASSWORD}\n")
    rig.call("migrate", "plan", DOMAIN)
    rig.call("migrate", "start", DOMAIN)


class Moved:
    """What tests ask of a platform that serves in another process."""

    def __init__(self, rig: Rig) -> None:
        self.rounds: dict[str, int] = {}  # by address, before the cutover
        self.rig = rig
        self.platform = Platform(load(rig.config, rig.environment))
        self.ledger = Ledger(self.platform.database, self.platform.clock)

    def move(self, user: str) -> Move:
        return next(each for each in self.ledger.moves(DOMAIN) if each.address == user)

    def gather(self, user: str) -> dict[str, Any]:
        """Read again, now."""
        return asyncio.run(evidence.gather(self.platform, self.move(user), "a test"))

    def texts(self, user: str) -> list[tuple[str, str]]:
        """(grade, finding)."""
        return [(each["grade"], each["text"]) for each in self.gather(user)["findings"]]

    def shard(self, user: str) -> Path:
        return self.platform.settings.store.shards[self.move(user).shard].path

    def files(self, user: str) -> list[Path]:
        """Of its messages, in the shard."""
        place = f"/{self.move(user).account_id}/"
        return [each for each in self.shard(user).rglob("*") if place in str(each) and each.is_file()]

    def tamper(self, user: str, statement: str, *values: object) -> None:
        """Behind the store's back: a statement on the shard's index that changes something. `?1`: the account."""
        (index,) = self.shard(user).glob("*.db")
        with sqlite3.connect(index, timeout=30) as connection:
            changed = connection.execute(statement, (self.move(user).account_id, *values)).rowcount
        connection.close()
        assert changed > 0, statement

    def close(self) -> None:
        self.platform.close()
