"""Courier: Maildirs below /srv/mail of its tree, users and the master in its userdb.

Courier knows no master user. A second entry of each user, "address*master" with the master's password and the same
Maildir, is what a platform with Courier is given for its migration."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.drill.legacy.tree import Tree, await_true
from tests.rig import free_ports

PACKAGES = ("courier-imap", "courier-pop", "courier-authlib-userdb")
NOBODY = 65534
PATIENT = {"ADDRESS": "127.0.0.1", "MAXPERIP": "500", "MAXDAEMONS": "500"}


class Courier:
    name = "courier"
    master_style = "login"
    separator = "."

    def __init__(self, trees: Path, users: Sequence[tuple[str, str]], master: tuple[str, str]) -> None:
        self.tree = Tree(trees, self.name, PACKAGES)
        self.imap_port, self.pop3_port = free_ports(2)
        self.tree.empty("srv")
        entries = []
        for address, password in users:
            home = f"/srv/mail/{address}"
            self.tree.run("mkdir", "-p", home)
            self.tree.run("maildirmake", f"{home}/Maildir")
            self.tree.run("chown", "-R", f"{NOBODY}:{NOBODY}", home)
            for name, secret in ((address, password), (f"{address}*{master[0]}", master[1])):
                hashed = self.tree.run("userdbpw", "-md5", stdin=f"{secret}\n").strip()
                fields = f"home={home}|mail={home}/Maildir|uid={NOBODY}|gid={NOBODY}"
                entries.append(f"{name}\t{fields}|imappw={hashed}|pop3pw={hashed}")
        userdb = self.tree.root / "etc/courier/userdb"
        userdb.write_text("\n".join(entries) + "\n")
        userdb.chmod(0o600)
        self.tree.run("makeuserdb")
        self.tree.configure("courier/authdaemonrc", {"authmodulelist": '"authuserdb"'})
        self.tree.configure("courier/imapd", {**PATIENT, "PORT": str(self.imap_port), "IMAP_EMPTYTRASH": ""})
        self.tree.configure("courier/pop3d", {**PATIENT, "PORT": str(self.pop3_port)})
        for folder in ("run/courier", "run/courier/authdaemon"):
            (self.tree.root / folder).mkdir(parents=True, exist_ok=True)
        self.tree.run("chown", "-R", "courier:courier", "/run/courier")
        self._control("start")
        await_true(lambda: all(map(answers, (self.imap_port, self.pop3_port))), "Courier's answer")

    def maildir(self, address: str) -> Path:
        return self.tree.root / f"srv/mail/{address}/Maildir"

    def deliver(self, address: str, octets: bytes) -> None:
        """As a delivery agent does."""
        maildir = self.maildir(address)
        name = f"{os.getpid()}.{len(list((maildir / 'new').iterdir()))}.{os.urandom(4).hex()}.legacy"
        path = maildir / "tmp" / name
        path.write_bytes(octets.replace(b"\r\n", b"\n"))
        os.chown(path, NOBODY, NOBODY)
        path.rename(maildir / "new" / name)

    def _control(self, word: str) -> None:
        for program in (
            ("authdaemond", "imapd", "pop3d") if word == "start" else ("pop3d", "imapd", "authdaemond")
        ):
            self.tree.run(f"/usr/sbin/{program}", word)

    def stop(self) -> None:
        self._control("stop")


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False
