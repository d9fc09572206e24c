"""Relaying to real servers of the operating system's packages: Dovecot's LMTP and Postfix's SMTP."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.core.envelope import Envelope
from mailplat.core.executors import Executors
from mailplat.core.outcome import Result
from mailplat.core.spool import Body
from mailplat.delivery import RelayTransport
from tests.postfix import Postfix
from tests.rig import free_ports
from tests.until import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.geteuid() != 0, reason="these servers change to users of their own: needs root"),
]

START_TIMEOUT_S = 20.0

SENDER = Envelope(Address("anna", "example.org"), "8BITMIME")
BERT, NOBODY = Address("bert", "example.net"), Address("no-such-user", "example.net")
MESSAGE = "Subject: schöner Gruß\r\n\r\n.dot\r\n..two\r\nzoë\r\n".encode() + b"x" * 900 + b"\r\n"

DOVECOT = """
protocols = lmtp
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
ssl = no
listen = 127.0.0.1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
service lmtp {{
  inet_listener lmtp {{
    port = {port}
  }}
}}
"""


@contextlib.contextmanager
def dovecot(root: Path) -> Iterator[str]:
    """A next hop. Mail for bert is in root/bert/Maildir."""
    program = shutil.which("dovecot")
    if program is None or not Path("/usr/lib/dovecot/lmtp").exists():
        pytest.skip("Dovecot with LMTP is not installed (dovecot-lmtpd)")
    [port] = free_ports(1)
    owner = pwd.getpwnam("nobody")
    (root / "bert").mkdir()
    os.chown(root / "bert", owner.pw_uid, owner.pw_gid)
    for folder in (root, *root.parents):  # pytest's folders are their owner's alone
        if folder.stat().st_uid == 0 and "pytest" in str(folder):
            folder.chmod(0o755)
    users = f"bert@example.net:{{PLAIN}}x:{owner.pw_uid}:{owner.pw_gid}::{root}/bert::\n"
    (root / "users").write_text(users)
    config = root / "dovecot.conf"
    config.write_text(DOVECOT.format(root=root, port=port))
    with subprocess.Popen([program, "-F", "-c", str(config)], stderr=subprocess.DEVNULL) as server:
        try:
            _await_answer(port)
            yield f"lmtp:127.0.0.1:{port}"
        finally:
            server.terminate()


POSTFIX_TAKES = """
virtual_mailbox_domains = example.net
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = inline:{{ bert@example.net=bert/ }}
virtual_uid_maps = static:UID
virtual_gid_maps = static:GID
virtual_minimum_uid = 1
"""


@contextlib.contextmanager
def postfix(root: Path) -> Iterator[str]:
    """A next hop. Mail for bert is in root/mail/bert."""
    if reason := Postfix.reason_to_skip():
        pytest.skip(reason)
    owner = pwd.getpwnam("nobody")
    (root / "mail").mkdir()
    os.chown(root / "mail", owner.pw_uid, owner.pw_gid)
    takes = POSTFIX_TAKES.replace("UID", str(owner.pw_uid)).replace("GID", str(owner.pw_gid))
    server = Postfix(root, takes)
    try:
        yield f"smtp:127.0.0.1:{server.port}"
    finally:
        server.stop()


def _await_answer(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)


Server = Callable[[Path], contextlib.AbstractContextManager[str]]


@pytest.mark.parametrize(("server", "maildir"), [(dovecot, "bert/Maildir/new"), (postfix, "mail/bert/new")])
async def test_a_message_arrives_unchanged_and_an_unknown_recipient_is_told(
    tmp_path: Path, server: Server, maildir: str
) -> None:
    executors = Executors()
    relay = RelayTransport("mx.example.org", executors)
    with server(tmp_path) as next_hop:
        for _ in range(3):  # over one kept connection
            good, bad = await relay.deliver(
                next_hop, SENDER, [BERT, NOBODY], Body.of(MESSAGE), prefix=b"X-Mailplat-Relay: mx; old\r\n"
            )
            assert good.result is Result.DELIVERED, good
            assert (bad.result, bad.reply.status) == (Result.FAILED, "5.1.1"), bad
        new = tmp_path / maildir
        await until(lambda: new.exists() and len(list(new.iterdir())) == 3)
        for path in new.iterdir():
            octets = path.read_bytes().replace(b"\r\n", b"\n")  # both keep LF line ends
            assert octets.endswith(b"X-Mailplat-Relay: mx; old\n" + MESSAGE.replace(b"\r\n", b"\n"))
            assert b"Return-Path: <anna@example.org>" in octets
        await relay.close()
    executors.close()
