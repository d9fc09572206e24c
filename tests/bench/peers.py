"""Starts what is measured: our platform, Dovecot, Postfix in front of Dovecot."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.route import ShardHome
from mailplat.directory.credentials import hash_password
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig, free_ports

USERS = 100
PASSWORD = "pass"  # the load generators' default
ADDRESS = "user{:04d}@bench.test"


def start_ours(root: Path, workers: int) -> Rig:
    """Every user in turn on one of the shards; filters that Postfix has no equal of are left out."""
    rig = Rig(
        root,
        "mx.bench.test",
        environment={
            "MAILPLAT_FILTER__STAGES": '["loops", "limits"]',
            "MAILPLAT_PLATFORM__WORKERS": str(workers),
            "MAILPLAT_LOG__LEVEL": "warning",
        },
    )
    platform = Platform(load(rig.config, rig.environment))
    platform.directory.add_domain("bench.test")
    password_hash = hash_password(PASSWORD)
    for number in range(1, USERS + 1):
        home = ShardHome(f"s{number % 2 + 1}")
        platform.directory.add_account(
            parse_address(ADDRESS.format(number)), home=home, password_hash=password_hash
        )
    platform.close()
    rig.start()
    return rig


class Peers:
    """Dovecot on BASE+143, +110, +24 and Postfix before its LMTP, by the shared scripts; stopped by close()."""

    def __init__(self, scripts: Path, root: Path) -> None:
        self.scripts = scripts
        self.root = root
        self.environment = {**os.environ, "ROOT": str(root)}
        self.dovecots: dict[str, int] = {}
        self.postfix_port = 0
        root.mkdir(parents=True)
        root.chmod(0o755)

    @staticmethod
    def missing() -> list[str]:
        """What keeps the peers from being started here."""
        found = [name for name in ("dovecot", "postfix") if not shutil.which(name, path="/usr/sbin:/usr/bin")]
        return [f"{name} is not installed" for name in found] + (["not root"] if os.geteuid() else [])

    def start_dovecot(self, name: str, base: int, fsync: str = "optimized", users: int = USERS) -> None:
        """`fsync`: its mail_fsync. "optimized" flushes messages and not their flags, "always" flushes both."""
        self._script("start_dovecot.sh", name, str(base), "maildir", fsync, str(users))
        self.dovecots[name] = base

    def pid(self, name: str) -> int:
        """The parent of all processes of that Dovecot."""
        return int((self.root / f"dovecot-{name}/run/master.pid").read_text())

    def add_master(self, name: str, user: str, password: str) -> None:
        """Somebody who may log in to that Dovecot as anybody, "user*master"."""
        root = self.root / f"dovecot-{name}"
        (root / "masters").write_text(f"{user}:{{PLAIN}}{password}::::::\n")
        (root / "masters").chmod(0o644)
        with open(root / "dovecot.conf", "a") as config:
            config.write(
                "auth_master_user_separator = *\n"
                f"passdb {{\n driver = passwd-file\n args = {root}/masters\n master = yes\n}}\n"
            )
        subprocess.run(["doveadm", "-c", str(root / "dovecot.conf"), "reload"], check=True, timeout=30)
        time.sleep(0.5)

    def start_postfix(self, base: int) -> None:
        self.postfix_port = free_ports(1)[0]
        self._script("start_postfix.sh", "lmtpA", str(self.postfix_port), f"lmtp:inet:127.0.0.1:{base + 24}")

    def maildirs(self, name: str) -> Path:
        return self.root / f"dovecot-{name}" / "mail"

    def _script(self, *arguments: str) -> None:
        script, *rest = arguments
        subprocess.run(
            ["bash", str(self.scripts / script), *rest], env=self.environment, check=True, timeout=60
        )
        time.sleep(0.5)

    def close(self) -> None:
        if self.postfix_port:
            subprocess.run(["postfix", "-c", str(self.root / "postfix-lmtpA/etc"), "stop"], check=False)
        for name in self.dovecots:
            subprocess.run(
                ["bash", str(self.scripts / "stop_dovecot.sh"), name], env=self.environment, check=False
            )
