"""A private Dovecot on free loopback ports: the legacy platform of proxy, migration and relay tests.

Runs as root (mail then belongs to `nobody`) or as an ordinary user, who then owns everything. Version 2.3, Debian's
packages dovecot-imapd, dovecot-pop3d, dovecot-lmtpd; where it is to keep Sieve scripts dovecot-managesieved too.
"""

import contextlib
import getpass
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.rig import free_ports

PROGRAM = "/usr/sbin/dovecot"
LIBRARY = Path("/usr/lib/dovecot")

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0

_CONFIG = """
base_dir = {run}
state_dir = {run}/state
log_path = {root}/dovecot.log
instance_name = {run}
protocols = imap pop3 lmtp
listen = 127.0.0.1
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_master_user_separator = *
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
mail_uid = {uid}
mail_gid = {gid}
mail_home = {mail}/%d/%n
mail_location = maildir:~/Maildir
mail_fsync = never
mail_max_userip_connections = 1000
login_trusted_networks = 127.0.0.0/8
{tls}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/masters
  master = yes
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {root}/users
  override_fields = uid={uid} gid={gid} home={mail}/%d/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service anvil {{
  chroot =
  # no growing wait after wrong passwords
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
"""

# ManageSieve, and rights of others (IMAP ACL), as a legacy platform has them. Without acl_user the master user would
# have only the rights that he was given himself.
_MORE = """
protocols = imap pop3 lmtp sieve
mail_plugins = acl
protocol imap {{
  mail_plugins = $mail_plugins imap_acl
}}
protocol lmtp {{
  mail_plugins = $mail_plugins sieve
}}
plugin {{
  acl = vfile
  acl_user = %u
  acl_shared_dict = file:{mail}/shared-mailboxes
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
namespace shared {{
  type = shared
  separator = /
  prefix = shared/%%u/
  location = maildir:%%h/Maildir
  subscriptions = no
  list = children
}}
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {managesieve}
  }}
  inet_listener sieve_deprecated {{
    port = 0
  }}
}}
"""


class Dovecot:
    """`users` are (address, password); `master` is (name, password) of one who logs in as "user*name". `tls` is
    (certificate, key): with it there is STARTTLS and STLS, and `imaps_port` and `pop3s_port` listen. `settings` are
    more lines of configuration. `beside`: with ManageSieve at `managesieve_port`, and with ACLs. Skips the test where
    Dovecot, or what is asked of it, is not installed."""

    def __init__(
        self,
        tmp: Path,
        users: Sequence[tuple[str, str]],
        master: tuple[str, str] | None = None,
        *,
        tls: tuple[Path, Path] | None = None,
        settings: str = "",
        beside: bool = False,
    ) -> None:
        for name in ("imap", "pop3", "lmtp", *(["managesieve"] if beside else [])):
            if not os.access(PROGRAM, os.X_OK) or not (LIBRARY / name).exists():
                pytest.skip(f"Dovecot with {name} is not installed (Debian: dovecot-{name}d)")
        self.root = tmp
        self.mail = tmp / "mail"
        self.imap_port, self.pop3_port, self.lmtp_port, self.imaps_port, self.pop3s_port = free_ports(5)
        self.managesieve_port = free_ports(1)[0] if beside else 0
        # Paths of Unix sockets have at most 107 octets, and pytest's folders are deep.
        self._run = Path(tempfile.mkdtemp(prefix="dovecot."))
        self._write(users, master, tls, settings)
        self.start()

    def start(self) -> None:
        """Until every door answers. Again after `kill`, on the same ports."""
        with open(self.root / "start.log", "ab") as output:
            self._process = subprocess.Popen(
                [PROGRAM, "-F", "-c", str(self.root / "dovecot.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            for port in (self.imap_port, self.pop3_port, self.lmtp_port, self.managesieve_port):
                if port:
                    self._await_answer(port)
        except BaseException:
            self.stop()
            raise

    def signal(self, number: int) -> None:
        """To every process of this server: SIGSTOP makes one that takes connections and does not answer."""
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL for every process; `start` starts it again. Lock files of the dead are removed, as when the machine
        starts: Dovecot waits for minutes until it takes one for stale."""
        self.signal(signal.SIGKILL)
        self._process.wait()
        for lock in self.mail.rglob("dovecot-uidlist.lock"):
            lock.unlink(missing_ok=True)

    def kick(self, user: str) -> None:
        """Cut every session of one address."""
        subprocess.run(
            ["doveadm", "-c", str(self.root / "dovecot.conf"), "kick", user],
            check=False,
            capture_output=True,
            timeout=STOP_TIMEOUT_S,
        )

    @property
    def pid(self) -> int:
        """Of the master process: SIGSTOP and SIGCONT it to make a server that does not accept."""
        return self._process.pid

    def maildir(self, user: str) -> Path:
        """Where the mail of an address is."""
        local, _, domain = user.partition("@")
        return self.mail / domain / local / "Maildir"

    def log(self) -> str:
        return "".join(
            path.read_text(errors="replace")
            for path in (self.root / "start.log", self.root / "dovecot.log")
            if path.exists()
        )

    def stop(self) -> None:
        """Idempotent. Every process of this server is gone when it returns."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        shutil.rmtree(self._run, ignore_errors=True)

    def _write(
        self,
        users: Sequence[tuple[str, str]],
        master: tuple[str, str] | None,
        tls: tuple[Path, Path] | None,
        settings: str,
    ) -> None:
        owner = pwd.getpwnam("nobody" if os.geteuid() == 0 else getpass.getuser())
        self.mail.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.mail, owner.pw_uid, owner.pw_gid)
            self._run.chmod(0o755)
            _open_the_way(self.root)
        (self.root / "users").write_text(
            "".join(f"{name}:{{PLAIN}}{password}::::::\n" for name, password in users)
        )
        (self.root / "masters").write_text(f"{master[0]}:{{PLAIN}}{master[1]}::::::\n" if master else "")
        config = _CONFIG.format(
            root=self.root,
            run=self._run,
            mail=self.mail,
            user=owner.pw_name,
            group=grp.getgrgid(owner.pw_gid).gr_name,
            uid=owner.pw_uid,
            gid=owner.pw_gid,
            imap=self.imap_port,
            pop3=self.pop3_port,
            lmtp=self.lmtp_port,
            imaps=self.imaps_port if tls else 0,
            pop3s=self.pop3s_port if tls else 0,
            tls=f"ssl = yes\nssl_cert = <{tls[0]}\nssl_key = <{tls[1]}" if tls else "ssl = no",
        )
        more = (
            _MORE.format(managesieve=self.managesieve_port, mail=self.mail) if self.managesieve_port else ""
        )
        (self.root / "dovecot.conf").write_text(config + more + settings)

    def _await_answer(self, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
                    if sock.recv(1):
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Dovecot did not start: {self.log()[-2000:]}")
            time.sleep(0.02)


def _open_the_way(folder: Path) -> None:
    """Let the mail user pass through the temporary folders that are ours alone."""
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
