"""The story that `make demo` tells, step by step. See the package's docstring."""

import argparse
import shutil
import smtplib
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.demo.clients import Client, Poller, Reader, Sender, read_imap, read_pop3
from tests.demo.ledger import Ledger, Reading, missing
from tests.demo.legacy import MASTER, PASSWORD, LegacyMail, furnish
from tests.letters import letter, token
from tests.rig import Rig

NATIVE = [f"{name}@native.example" for name in ("ada", "grace", "linus")]
MOVING = [f"{name}@moving.example" for name in ("anna", "bela", "carla", "dora", "emil", "fritz")]
NATIVE_LETTERS = 150
OLD_LETTERS = 60  # a moving account, before the move
AFTERWARDS_S = 2.0  # traffic goes on for so long after the last cutover

console = Console()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument(
        "--keep", action="store_true", help="leave everything running and print the addresses"
    )
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="mailplat-demo-"))
    new, legacy = Rig(root / "mailplat", "mx.mailplat.example"), None
    try:
        legacy = Rig(root / "legacy", "legacy.example", environment=MASTER)
        status = tell(new, legacy)
        if args.keep:
            print_addresses(new, legacy)
        return status
    finally:
        if not args.keep:
            for rig in filter(None, (new, legacy)):
                rig.stop()
            shutil.rmtree(root, ignore_errors=True)


def tell(new: Rig, legacy: Rig) -> int:
    ledger = Ledger()
    with Progress(
        TextColumn("{task.description:<46}"),
        BarColumn(30),
        TextColumn("{task.percentage:>4.0f}%"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("starting mailplat and a legacy platform", total=3)
        legacy.start()
        progress.advance(task)
        new.start()
        progress.advance(task)
        create_accounts(new, legacy)
        progress.advance(task)
        readings = deliver_and_read_back(new, ledger, progress)
        task = progress.add_task("furnishing the legacy platform with old mail", total=len(MOVING))
        old = {}
        for account in MOVING:
            old[account] = furnish(legacy, account, OLD_LETTERS, ledger)
            progress.advance(task)
        report = move_under_traffic(new, legacy, ledger, old, progress)
        task = progress.add_task("reading everything back", total=len(MOVING))
        for account in MOVING:
            imap, _ = read_imap(new.ports["imap"], account, PASSWORD, ledger)
            pop3, _ = read_pop3(new.ports["pop3"], account, PASSWORD, ledger)
            readings[account] = imap
            compare(account, imap, pop3, ledger)
            progress.advance(task)
    return conclude(ledger, readings, report)


def create_accounts(new: Rig, legacy: Rig) -> None:
    legacy.call("domain", "add", "moving.example")
    for account in MOVING:
        legacy.add_account(account, PASSWORD)
    new.call("domain", "add", "native.example")
    new.call("domain", "add", "moving.example")
    for account in NATIVE:
        new.add_account(account, PASSWORD)
    new.call(
        "migrate", "backend", "add", "legacy",
        "--imap", f"127.0.0.1:{legacy.ports['imap']}", "--imap-tls", "none",
        "--pop3", f"127.0.0.1:{legacy.ports['pop3']}", "--pop3-tls", "none",
        "--relay", f"smtp:127.0.0.1:{legacy.ports['smtp']}",
        "--master-user", "master", "--master-password-stdin",
        stdin="master-secret\n",
    )  # fmt: skip
    for account in MOVING:
        new.add_account(account, PASSWORD, "--home", "backend:legacy")


def deliver_and_read_back(new: Rig, ledger: Ledger, progress: Progress) -> dict[str, Reading]:
    """Letters in over SMTP, back over IMAP and POP3, on the new platform's own accounts."""
    task = progress.add_task("letters in over SMTP", total=NATIVE_LETTERS)
    with smtplib.SMTP("127.0.0.1", new.ports["smtp"]) as smtp:
        for number in range(NATIVE_LETTERS):
            recipient = NATIVE[number % len(NATIVE)]
            octets = letter(number, "friend@elsewhere.test", recipient, seed=1)
            ledger.offer(token(number, 1), recipient, octets)
            smtp.sendmail("friend@elsewhere.test", [recipient], octets, mail_options=["BODY=8BITMIME"])
            ledger.accept(token(number, 1))
            progress.advance(task)
    task = progress.add_task("the same back over IMAP and POP3", total=len(NATIVE))
    readings = {}
    for account in NATIVE:
        imap, _ = read_imap(new.ports["imap"], account, PASSWORD, ledger)
        pop3, _ = read_pop3(new.ports["pop3"], account, PASSWORD, ledger)
        readings[account] = imap
        compare(account, imap, pop3, ledger)
        progress.advance(task)
    return readings


def compare(account: str, imap: Reading, pop3: Reading, ledger: Ledger) -> None:
    """POP3 shows the inbox, IMAP everything; both must be unchanged."""
    for token_ in {*imap.changed, *pop3.changed}:
        ledger.error("read back", f"letter {token_} of {account} came back changed")


def move_under_traffic(
    new: Rig, legacy: Rig, ledger: Ledger, old: dict[str, LegacyMail], progress: Progress
) -> dict[str, object]:
    stop = threading.Event()
    clients: list[Client] = [
        Sender(new.ports["smtp"], MOVING, 2, 0.03, ledger, stop),
        Reader(new.ports["imap"], MOVING[0], PASSWORD, ledger, stop),
        Poller(new.ports["pop3"], MOVING[1], PASSWORD, ledger, stop),
    ]
    for client in clients:
        client.start()
    try:
        until(
            lambda: all(client.rounds or client.stop.is_set() for client in clients[2:]),
            "the clients to begin",
        )
        new.call("migrate", "plan", "moving.example")
        new.call("migrate", "start", "moving.example")
        task = progress.add_task("moving the domain: copy and deltas", total=len(MOVING))
        watch(new, progress, task, {"ready", "fenced", "new"})
        task = progress.add_task("moving the domain: cutover", total=len(MOVING))
        new.run("migrate", "cutover", "moving.example")
        watch(new, progress, task, {"new"})
        time.sleep(AFTERWARDS_S)
    finally:
        stop.set()
        for client in clients:
            client.join(60)
    until(lambda: not new.query("queue", "stats")[0]["messages"], "the queue to be empty")
    for account in MOVING:
        old[account].check(new.ports["imap"], new.ports["pop3"], ledger)
    report: dict[str, object] = new.query("migrate", "report", "moving.example")
    return report


def watch(new: Rig, progress: Progress, task: object, states: set[str]) -> None:
    def done() -> bool:
        reached = sum(move["state"] in states for move in new.query("migrate", "status", "moving.example"))
        progress.update(task, completed=reached)  # type: ignore[arg-type]
        return reached == len(MOVING)

    until(done, f"every account to be {' or '.join(sorted(states))}")


def until(condition: "object", what: str, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: waited {timeout:.0f} s in vain for {what}")
        time.sleep(0.1)


def conclude(ledger: Ledger, readings: dict[str, Reading], report: dict[str, object]) -> int:
    lost = missing(ledger, readings)
    doubled = [token_ for reading in readings.values() for token_ in reading.doubled]
    changed = [token_ for reading in readings.values() for token_ in reading.changed]
    table = Table(title="what was proven", show_header=False, min_width=60)
    for name, value in (
        ("letters accepted (250)", len(ledger.accepted)),
        ("stored", sum(reading.messages for reading in readings.values())),
        ("read back identical", sum(reading.identical for reading in readings.values())),
        ("seen twice", len(doubled)),
        ("lost", len(lost)),
        ("changed", len(changed)),
        ("client errors", len(ledger.errors)),
        ("reconnects asked for", sum(ledger.reconnects.values())),
        *((f"longest wait, {client}", f"{ms} ms") for client, ms in sorted(ledger.waits.items())),
        ("accounts moved", report["accounts"]),
        ("fence, median and longest", f"{report['fence_ms_median']} and {report['fence_ms_longest']} ms"),
    ):
        table.add_row(str(name), str(value))
    console.print(table)
    for error in ledger.errors[:20]:
        console.print(f"error: {error}")
    for kind, tokens in (("lost", lost), ("doubled", doubled), ("changed", changed)):
        if tokens:
            console.print(f"{kind}: {', '.join(tokens[:20])}")
    proven = not (lost or doubled or changed or ledger.errors)
    console.print("Nothing was lost, doubled or changed." if proven else "A promise was broken.")
    return 0 if proven else 1


def print_addresses(new: Rig, legacy: Rig) -> None:
    table = Table(title=f"left running; password of every account: {PASSWORD}")
    for column in ("platform", "process", "configuration", *new.ports):
        table.add_column(column)
    for name, rig in (("mailplat", new), ("legacy", legacy)):
        pid = str(rig.process.pid) if rig.process else "-"
        table.add_row(name, pid, str(rig.config), *(str(port) for port in rig.ports.values()))
    console.print(table)
    console.print(f"health: http://127.0.0.1:{new.ports['http']}/readyz")


if __name__ == "__main__":
    sys.exit(main())
