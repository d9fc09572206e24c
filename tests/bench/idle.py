"""Connections of SMTP that say nothing: what each takes of a worker's memory."""

import re
import socket
from pathlib import Path

from tests.bench.figure import Figure, Target
from tests.bench.giant import children
from tests.rig import Rig

CONNECTIONS = 5000
# What the issue of the way in asks for, MB of all of them together.
MEMORY_MB = 100.0
SETTINGS = {"MAILPLAT_PLATFORM__WORKERS": "1", "MAILPLAT_SMTP__MAX_CONNECTIONS": str(2 * CONNECTIONS)}


def measure(root: Path) -> list[Figure]:
    """One worker; each client has said EHLO, so that all that a session has is there."""
    rig = Rig(root / "idle", "mx.bench.test", environment=SETTINGS)
    rig.start()
    clients: list[socket.socket] = []
    try:
        assert rig.process is not None
        pids = [rig.process.pid, *children(rig.process.pid)]
        for number in range(CONNECTIONS + 1):
            client = socket.create_connection(("127.0.0.1", rig.ports["smtp"]), 30)
            clients.append(client)
            client.recv(4096)
            client.sendall(b"EHLO client.example\r\n")
            client.recv(4096)
            if number == 0:
                before = sum(map(_resident_mb, pids))
        taken = sum(map(_resident_mb, pids)) - before
    finally:
        for client in clients:
            client.close()
        rig.stop()
    work = f"{CONNECTIONS:,} idle SMTP connections"
    return [Figure(work, "MB", "", taken, None, Target(MEMORY_MB, "at most", "figure"))]


def _resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1000
