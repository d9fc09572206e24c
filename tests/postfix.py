"""A private Postfix on a free loopback port, of Debian's package. Root only: it changes to users of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.rig import free_ports

START_TIMEOUT_S = 20.0

_MAIN = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = legacy.example.net
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
local_header_rewrite_clients =
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """`settings` are lines of main.cf that say which mail it takes and where that goes; "{root}" is its folder."""

    def __init__(self, root: Path, settings: str) -> None:
        self.root = root
        daemon = pwd.getpwnam("postfix")
        for name in ("queue", "data", "config"):
            (root / name).mkdir(parents=True)
        os.chown(root / "data", daemon.pw_uid, daemon.pw_gid)
        for folder in (root, *root.parents):
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o005:
                folder.chmod(0o755)
        (root / "config" / "main.cf").write_text((_MAIN + settings).format(root=root))
        self._start()
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def reason_to_skip() -> str:
        """Empty where one can be started."""
        if shutil.which("postfix", path="/usr/sbin:/usr/bin") is None:
            return "Postfix is not installed"
        return "" if os.geteuid() == 0 else "Postfix changes to users of its own: needs root"

    def waiting(self) -> int:
        """Messages in its queue."""
        folders = ("maildrop", "incoming", "active", "deferred", "hold")
        return sum(path.is_file() for name in folders for path in (self.root / "queue" / name).rglob("*"))

    def flush(self) -> None:
        """What was deferred is tried again now."""
        self._control("flush")

    def stop(self) -> None:
        self._control("stop")

    def _start(self) -> None:
        """A port found free may be taken by the time that Postfix binds it: another is tried."""
        for tries_left in reversed(range(3)):
            [self.port] = free_ports(1)
            (self.root / "config" / "master.cf").write_text(_MASTER.format(port=self.port))
            try:
                self._control("start")
                return
            except RuntimeError:
                if not tries_left:
                    raise

    def _control(self, word: str) -> None:
        done = subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self.root / "config"), word],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            log = self.root / "log"
            told = log.read_text() if log.exists() else ""
            raise RuntimeError(f"postfix {word}: exit status {done.returncode}\n{done.stderr}{told}")

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
