"""Runs the measurements and prints the table. See the package's docstring."""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import copying, costs, giant, idle
from tests.bench.access import Access
from tests.bench.figure import Figure
from tests.bench.peers import Peers, start_ours
from tests.e2e.corpus import extract_all
from tests.rig import Rig

BASE = 21000  # Dovecot's ports: 21143, 21110, 21024
FLUSHING = 22000  # of another one, which flushes all that we do
CORPUS_MESSAGES = 10_000
INGEST_MESSAGES = 1500
SESSIONS = (1, 10, 50)
PARTS = ("ingest", "imap", "access", "copy", "idle")
LONG = ("giant", "costs")  # only when asked for

console = Console(width=118)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[3] / "shared")
    parser.add_argument("--only", choices=(*PARTS, *LONG), action="append")
    parser.add_argument("--workers", type=int, default=2, help="processes of our platform")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--giant", type=int, default=giant.MESSAGES, help="messages of the giant mailbox")
    args = parser.parse_args()
    scripts = args.shared / "bench"
    if not scripts.is_dir():
        print(
            f"make bench: the load generators are not at {scripts}; name the shared folder: BENCH_ARGS=--shared=DIR"
        )
        return 1
    wanted = args.only or PARTS
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="mailplat-bench-") as name:
        root = Path(name)
        root.chmod(0o755)
        corpus = root / "corpus"
        with tarfile.open(args.shared / "corpus/real-mail.tar.xz") as archive:
            extract_all(archive, corpus)
        bench = Bench(scripts, root, corpus, args.runs, args.workers)
        missing = Peers.missing()
        peers = None if missing else Peers(scripts, root / "peers")
        if missing:
            console.print(f"no peers: {', '.join(missing)}; only our own figures are measured")
        ours = start_ours(root / "ours", args.workers)
        try:
            if peers:
                peers.start_dovecot("A", BASE)
                peers.start_postfix(BASE)
            if "ingest" in wanted:
                figures += bench.ingest(ours, peers)
            if "imap" in wanted:
                figures += bench.imap(ours, peers)
            if "access" in wanted:
                if peers:
                    peers.start_dovecot("B", FLUSHING, "always")
                figures += Access(bench, ours, peers, BASE, FLUSHING).measure()
            if "copy" in wanted:
                figures += copying.measure(bench, peers, BASE + 143)
            if "idle" in wanted:
                figures += idle.measure(root)
            if "costs" in wanted:
                figures += costs.measure(bench, peers)
            if "giant" in wanted:
                figures += giant.measure(bench, peers, BASE + 143, args.giant)
        finally:
            show(figures)  # also of a run that was broken off
            ours.stop()
            if peers:
                peers.close()
    return 0


class Bench:
    def __init__(self, scripts: Path, root: Path, corpus: Path, runs: int, workers: int) -> None:
        self.scripts, self.root, self.corpus, self.runs, self.workers = scripts, root, corpus, runs, workers

    def script(self, name: str, *arguments: object) -> Iterator[dict[str, Any]]:
        """The JSON lines that a load generator prints."""
        done = subprocess.run(
            [sys.executable, str(self.scripts / name), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=1800,
            cwd=self.root,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{name} {' '.join(map(str, arguments))}: {done.stderr[-2000:]}")
        return (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))

    def ingest(self, ours: Rig, peers: Peers | None) -> list[Figure]:
        """Messages of 4 KiB a second, to durable in the mailbox: ours, and Postfix -> Dovecot LMTP -> Maildir."""
        sessions = ",".join(map(str, SESSIONS))
        common = ("--n", INGEST_MESSAGES, "--sessions", sessions, "--runs", self.runs, "--size", 4096)
        found = {
            row["sessions"]: row
            for row in self.script("smtp_bench.py", "--port", ours.ports["smtp"], *common)
        }
        beside = {}
        if peers:
            count = ("--count-glob", f"{peers.maildirs('A')}/*/Maildir/new")
            rows = self.script("smtp_bench.py", "--port", peers.postfix_port, *common, *count)
            beside = {row["sessions"]: row["delivered_per_s"] for row in rows}
        return [
            Figure(
                f"durable ingest, {n} sessions",
                "msg/s",
                "Postfix+Dovecot",
                found[n]["accepted_per_s"],
                beside.get(n),
            )
            for n in SESSIONS
        ]

    def imap(self, ours: Rig, peers: Peers | None) -> list[Figure]:
        results: list[dict[str, Any]] = []
        for port in (ours.ports["imap"], BASE + 143 if peers else None):
            if port is None:
                results.append({})
                continue
            common = (
                "--port",
                port,
                "--corpus",
                self.corpus,
                "--user",
                "user0100@bench.test",
                "--runs",
                self.runs,
            )
            list(self.script("imap_bench.py", "fill", *common, "--n", CORPUS_MESSAGES))
            rows = self.script("imap_bench.py", "fetchflags", "envelope", *common)
            results.append({row["test"]: row["rate"] for row in rows})
        mine, beside = results
        names = {
            "login+SELECT+FETCH 1:* (UID FLAGS)": "FETCH FLAGS of 10,000, with login",
            "FETCH 1:* (UID FLAGS) repeat": "FETCH FLAGS of 10,000, again",
            "FETCH 1:* (ENVELOPE BODYSTRUCTURE) warm": "FETCH ENVELOPE of 10,000, warm",
        }
        return [Figure(text, "msg/s", "Dovecot", mine[key], beside.get(key)) for key, text in names.items()]


def show(figures: list[Figure]) -> None:
    table = Table(title="mailplat beside its peers: one run, one machine")
    for column in ("work", "unit", "mailplat", "peer", "", "ratio", "must be", "reached"):
        table.add_column(column, justify="right" if column in ("mailplat", "peer", "ratio") else "left")
    for figure in figures:
        table.add_row(
            figure.work,
            figure.unit,
            _number(figure.ours),
            "-" if figure.peer is None else _number(figure.peer),
            figure.peer_name,
            "-" if figure.ratio is None else f"{figure.ratio:.2f}",
            "" if figure.target is None else str(figure.target),
            "" if figure.reached is None else ("yes" if figure.reached else "no"),
        )
    console.print(table)
    results = Path("bench-results")
    results.mkdir(exist_ok=True)
    rows = [{**asdict(f), "ratio": f.ratio, "reached": f.reached} for f in figures]
    (results / "bench.json").write_text(json.dumps(rows, indent=2))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
