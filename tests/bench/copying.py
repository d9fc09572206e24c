"""The initial copy of 20 mailboxes from Dovecot: ours, and mbsync with four at a time."""

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.route import BackendHome
from mailplat.directory import Backend
from mailplat.directory.credentials import hash_password
from mailplat.wire.smtp.address import parse_address
from migration.ledger import Ledger
from tests.bench.figure import Figure
from tests.bench.peers import ADDRESS, PASSWORD, Peers
from tests.rig import Rig

if TYPE_CHECKING:
    from tests.bench.__main__ import Bench

FIRST, USERS, MESSAGES = 51, 20, 500
PATIENCE_S = 600.0
MASTER = ("master", "master-secret")


def measure(bench: "Bench", peers: Peers | None, port: int) -> list[Figure]:
    """Messages a second until the last is on the target. The source is Dovecot for both, so without Dovecot there
    is nothing to measure."""
    if peers is None:
        return []
    peers.add_master("A", *MASTER)
    users = ("--first", FIRST, "--users", USERS)
    list(
        bench.script(
            "imap_bench.py", "fillusers", "--port", port, "--corpus", bench.corpus, "--n", MESSAGES, *users
        )
    )
    beside = None
    if shutil.which("mbsync"):
        common = (
            "--tool",
            "mbsync-maildir",
            "--jobs",
            4,
            "--passes",
            1,
            "--src-port",
            port,
            "--runs",
            bench.runs,
        )
        roots = ("--src-root", peers.maildirs("A"), "--work", bench.root / "mbsync", "--wipe", "true")
        rows = list(bench.script("migrate_bench.py", *common, *roots, *users))
        beside = sorted(row["msgs_per_s"] for row in rows)[len(rows) // 2]
    figures = []
    for name, maildir in (("", ""), (", from files", f"{peers.maildirs('A')}/%n/Maildir")):
        roots = (bench.root / f"copy-{run}{bool(maildir):d}" for run in range(bench.runs))
        rates = sorted(_ours(root, port, bench.workers, maildir) for root in roots)
        what = f"initial copy of 20 mailboxes{name}"
        figures.append(Figure(what, "msg/s", "mbsync x4", rates[len(rates) // 2], beside))
    return figures


def _ours(root: Path, port: int, workers: int, maildir: str) -> float:
    environment = {"MAILPLAT_LOG__LEVEL": "warning", "MAILPLAT_PLATFORM__WORKERS": str(workers)}
    rig = Rig(root, "mx.bench.test", environment=environment)
    platform = Platform(load(rig.config, rig.environment))
    try:
        directory = platform.directory
        directory.add_domain("bench.test")
        directory.add_backend(
            Backend(
                "old",
                imap=f"127.0.0.1:{port}",
                imap_tls="none",
                master_user=MASTER[0],
                master_password=MASTER[1],
                maildir=maildir,
            )
        )
        password_hash = hash_password(PASSWORD)
        for number in range(FIRST, FIRST + USERS):
            address = parse_address(ADDRESS.format(number))
            directory.add_account(address, home=BackendHome("old"), password_hash=password_hash)
        rig.start()
        rig.call("migrate", "plan", "bench.test")
        ledger = Ledger(platform.database, platform.clock)
        began = time.monotonic()
        rig.call("migrate", "start", "bench.test")
        while (copied := sum(move.copied for move in ledger.moves("bench.test"))) < USERS * MESSAGES:
            if time.monotonic() - began > PATIENCE_S:
                raise SystemExit(
                    f"only {copied} messages were copied in {PATIENCE_S:.0f} s: {rig.log()[-2000:]}"
                )
            time.sleep(0.05)
        return copied / (time.monotonic() - began)
    finally:
        rig.stop()
        platform.close()
