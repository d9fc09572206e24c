"""Cyrus: users in sasldb, an administrator who may be anybody, LMTP without a password on loopback."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from imapclient import IMAPClient

from tests.drill.legacy.courier import answers
from tests.drill.legacy.tree import Tree, await_true
from tests.rig import free_ports

PACKAGES = (
    "cyrus-imapd",
    "cyrus-pop3d",
    "cyrus-admin",
    "sasl2-bin",
    "libsasl2-modules",
    "libsasl2-modules-db",
)

_IMAPD = """
configdirectory: /var/lib/cyrus
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: /var/spool/cyrus/mail
admins: {master}
proxyservers: {master}
virtdomains: userid
defaultdomain: {domain}
servername: {domain}
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
delete_mode: immediate
expunge_mode: immediate
popminpoll: 0
allowplaintext: yes
sasl_mech_list: PLAIN LOGIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
lmtpsocket: /run/cyrus/socket/lmtp
idlesocket: /run/cyrus/socket/idle
syslog_prefix: cyrus
"""
_CYRUS = """
START {{
 recover cmd="/usr/sbin/cyrus ctl_cyrusdb -r"
}}
SERVICES {{
 imap cmd="imapd" listen="127.0.0.1:{imap}" prefork=1 maxchild=300
 pop3 cmd="pop3d" listen="127.0.0.1:{pop3}" prefork=1 maxchild=100
 lmtp cmd="lmtpd -a" listen="127.0.0.1:{lmtp}" prefork=1 maxchild=50
}}
"""
_STATE = ("var/lib/cyrus", "var/spool/cyrus/mail", "run/cyrus")


class Cyrus:
    name = "cyrus"
    master_style = "plain"
    separator = "/"

    def __init__(self, trees: Path, users: Sequence[tuple[str, str]], master: tuple[str, str]) -> None:
        self.tree = Tree(trees, self.name, PACKAGES)
        self.imap_port, self.pop3_port, self.lmtp_port = free_ports(3)
        root = self.tree.root
        domain = users[0][0].partition("@")[2]
        for folder in _STATE:
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir(parents=True)
        self.tree.run("chown", "-R", "cyrus:mail", *(f"/{folder}" for folder in _STATE))
        (root / "etc/imapd.conf").write_text(_IMAPD.format(master=master[0], domain=domain))
        ports = {"imap": self.imap_port, "pop3": self.pop3_port, "lmtp": self.lmtp_port}
        (root / "etc/cyrus.conf").write_text(_CYRUS.format(**ports))
        self.tree.run("su", "cyrus", "-c", "/usr/lib/cyrus/bin/makedirs")
        (root / "etc/sasldb2").unlink(missing_ok=True)
        for name, secret in (*users, (f"{master[0]}@{domain}", master[1])):
            user, _, realm = name.partition("@")
            self.tree.run("saslpasswd2", "-p", "-c", "-u", realm, user, stdin=secret)
        self.tree.run("chown", "cyrus:sasl", "/etc/sasldb2")
        self._process = self.tree.spawn(
            "/usr/sbin/cyrmaster", "-C", "/etc/imapd.conf", "-M", "/etc/cyrus.conf"
        )
        try:
            await_true(
                lambda: all(map(answers, (self.imap_port, self.pop3_port, self.lmtp_port))), "Cyrus's answer"
            )
            with IMAPClient("127.0.0.1", self.imap_port, ssl=False) as admin:
                admin.login(*master)
                for address, _ in users:
                    admin.create_folder(f"user/{address}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
