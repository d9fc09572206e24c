"""`make legacy-drill`: accounts of Courier and of Cyrus move here, back and here again; each time a client looks.

    python -m tests.drill.legacy [--server courier|cyrus]... [--accounts 4] [--letters 80] [--trees DIR]

Root, Debian and the package debootstrap: the servers are installed in trees of their own, below --trees, the first
time. What people do meanwhile goes through our doors, as mail does.
"""

import argparse
import os
import random
import smtplib
import sys
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from imapclient.exceptions import IMAPClientError

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory import Backend
from mailplat.directory.credentials import hash_password
from mailplat.wire.smtp.address import parse_address
from migration.ledger import Ledger
from tests.drill.legacy import life
from tests.drill.legacy.courier import NOBODY, Courier
from tests.drill.legacy.cyrus import Cyrus
from tests.drill.legacy.tree import Tree
from tests.drill.stage import Stuck, until
from tests.e2e.corpus import extract_all
from tests.postfix import Postfix
from tests.rig import Rig

DOMAIN = "legacy.test"
MASTER = ("migrator", "master password")
LARGEST = 200_000
READY_S = 300.0
# Between two things that somebody does while an account is copied.
PAUSE_S = 0.3

_VIRTUAL = """
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {base}
virtual_mailbox_maps = texthash:{boxes}
virtual_minimum_uid = 1
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
virtual_transport = virtual
smtpd_relay_restrictions = permit_mynetworks, reject
"""


class LegacyDrill:
    def __init__(
        self, folder: Path, server: Courier | Cyrus, addresses: Sequence[str], letters: Sequence[bytes]
    ):
        self.folder, self.server, self.addresses, self.letters = folder, server, addresses, letters
        self.rng = random.Random(7)
        self.found: dict[str, list[str]] = {}
        self.postfix: Postfix | None = None
        self.rig = Rig(folder / "platform", environment={"MAILPLAT_LOG__LEVEL": "warning"})
        self.platform = Platform(load(self.rig.config, self.rig.environment))
        self.ledger = Ledger(self.platform.database, self.platform.clock)

    def close(self) -> None:
        self.rig.stop()
        self.platform.close()
        if self.postfix is not None:
            self.postfix.stop()

    def relay(self) -> str:
        if isinstance(self.server, Cyrus):
            return f"lmtp:127.0.0.1:{self.server.lmtp_port}"
        base = self.server.maildir(self.addresses[0]).parents[1]
        boxes = self.folder / "boxes"
        boxes.write_text("".join(f"{each} {each}/Maildir/\n" for each in self.addresses))
        settings = _VIRTUAL.format(domain=DOMAIN, base=base, boxes=boxes, owner=NOBODY)
        self.postfix = Postfix(self.folder / "postfix", settings)
        return f"smtp:127.0.0.1:{self.postfix.port}"

    def place(self) -> None:
        directory, server = self.platform.directory, self.server
        directory.add_domain(DOMAIN)
        directory.add_backend(
            Backend(
                name="old",
                imap=f"127.0.0.1:{server.imap_port}",
                imap_tls="none",
                pop3=f"127.0.0.1:{server.pop3_port}",
                pop3_tls="none",
                relay=self.relay(),
                master_user=MASTER[0],
                master_password=MASTER[1],
                master_style=server.master_style,
            )
        )
        known = hash_password(life.PASSWORD)
        for address in self.addresses:
            directory.add_account(parse_address(address), home=BackendHome("old"), password_hash=known)

    # what is done

    def deliver(self, address: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.rig.ports["smtp"], timeout=60) as client:
            client.sendmail("somebody@elsewhere.test", [address], self.rng.choice(self.letters))

    def there(self, address: str) -> life.Sight:
        return life.look(self.server.imap_port, self.server.pop3_port, address)

    def here(self, address: str) -> life.Sight:
        return life.look(self.rig.ports["imap"], self.rig.ports["pop3"], address)

    def work(self, address: str) -> None:
        life.work(self.rig.ports["imap"], address, self.rng.choice(self.letters), self.rng)
        self.deliver(address)

    def reach(self, state: RouteState) -> None:
        def reached() -> bool:
            moves = self.ledger.moves(DOMAIN)
            for move in moves:
                if move.halted:
                    raise Stuck(f"{move.address} halted: {move.halted}")
            return all(move.route.state is state for move in moves)

        until(reached, f"every account to be {state.value}", READY_S)

    def settle(self) -> None:
        until(lambda: not self.platform.queue.counts()["messages"], "the queue to be empty")
        postfix = self.postfix
        if postfix is not None:
            postfix.flush()
            until(lambda: not postfix.waiting(), "Postfix's queue to be empty")

    def forward(self, step: str) -> None:
        """To READY while people work; then, when all rests, a client looks at both."""
        stop = threading.Event()
        trouble: list[str] = []

        def busy() -> None:
            while not stop.wait(PAUSE_S):
                try:
                    self.work(self.rng.choice(self.addresses))
                except (OSError, smtplib.SMTPException, IMAPClientError) as error:
                    trouble.append(f"{type(error).__name__}: {error}")

        worker = threading.Thread(target=busy)
        worker.start()
        try:
            self.reach(RouteState.READY)
        finally:
            stop.set()
            worker.join()
        self.found[f"{step}: what people did while it was copied"] = trouble
        self.settle()
        before = {address: self.there(address) for address in self.addresses}
        self.rig.call("migrate", "cutover", DOMAIN)
        self.compare(step, before, {address: self.here(address) for address in self.addresses})

    def compare(self, step: str, before: dict[str, life.Sight], after: dict[str, life.Sight]) -> None:
        self.found[step] = [
            f"{address}: {each}"
            for address in self.addresses
            for each in life.compare(before[address], after[address], made=())
        ]

    def back(self) -> None:
        for address in self.addresses:
            self.work(address)
        self.settle()
        before = {address: self.here(address) for address in self.addresses}
        self.rig.call("migrate", "rollback", DOMAIN)
        self.reach(RouteState.LEGACY)
        after = {address: self.there(address) for address in self.addresses}
        for address in self.addresses:  # UIDLs of what came here are ours
            known = set(after[address].uidls)
            before[address].uidls = [each for each in before[address].uidls if each in known]
            after[address].uidls = [
                each for each in after[address].uidls if each in set(before[address].uidls)
            ]
        self.compare("back", before, after)

    def run(self) -> int:
        """1 when a client noticed something."""
        refused = sum(
            life.furnish(self.server.imap_port, address, self.letters, self.rng) for address in self.addresses
        )
        self.place()
        self.rig.start()
        print(self.rig.call("migrate", "backend", "check", "old", "--account", self.addresses[0]))
        self.rig.call("migrate", "plan", DOMAIN)
        self.rig.call("migrate", "start", DOMAIN)
        self.forward("forward")
        report = self.rig.query("migrate", "report", DOMAIN)
        self.back()
        self.rig.call("migrate", "resume", DOMAIN)
        self.forward("forward again")
        messages = sum(len(box.letters) for box in self.here(self.addresses[0]).boxes.values())
        print(
            f"{self.server.name}: {len(self.addresses)} accounts, {messages} messages in the first, {refused} refused"
        )
        print(f"  certificate: {report.get('grade', report.get('certificate', {}).get('grade', '?'))}")
        for step, trouble in self.found.items():
            print(f"  {step:<50}{len(trouble):>6}")
            for line in trouble[:20]:
                print(f"    BROKEN {line}")
        return 1 if any(self.found.values()) else 0


def letters_of(corpus: Path, count: int) -> list[bytes]:
    paths = sorted(path for path in corpus.rglob("*") if path.is_file() and path.stat().st_size < LARGEST)
    step = max(1, len(paths) // count)
    found = [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in paths[::step]]
    return [each for each in found if b"\0" not in each][:count]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make legacy-drill")
    parser.add_argument("--server", choices=("courier", "cyrus"), action="append")
    parser.add_argument("--accounts", type=int, default=4)
    parser.add_argument("--letters", type=int, default=80)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--trees", type=Path, default=cache / "mailplat-legacy")
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[4] / "shared")
    args = parser.parse_args()
    if reason := Tree.reason_to_skip():
        print(f"make legacy-drill: {reason}", file=sys.stderr)
        return 1
    status = 0
    for kind in (Courier, Cyrus):
        if args.server and kind.name not in args.server:
            continue
        with tempfile.TemporaryDirectory(prefix="mailplat-legacy-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            with tarfile.open(args.shared / "corpus/real-mail.tar.xz") as archive:
                extract_all(archive, folder / "corpus")
            addresses = [f"u{number}@{DOMAIN}" for number in range(args.accounts)]
            server = kind(args.trees, [(each, life.PASSWORD) for each in addresses], MASTER)
            drill = None
            try:
                drill = LegacyDrill(folder, server, addresses, letters_of(folder / "corpus", args.letters))
                status |= drill.run()
            except Stuck as error:
                print(f"{kind.name}: FAILED: {error}", file=sys.stderr)
                status = 1
            finally:
                if drill is not None:
                    drill.close()
                server.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
