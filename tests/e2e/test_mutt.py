"""neomutt, or mutt, as its users have it: an IMAP mailbox opened and changed by keys, and mail that goes out by SMTP
with a copy in Sent."""

import os
import pty
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.account import ODD, PASSWORD, connect, fill, picture
from tests.rig import Rig, running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

USER = "mutt@example.test"

# Seconds for all that one start has to do, on a busy machine.
PATIENCE_S = 120


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("platform")) as rig:
        rig.call("domain", "add", "example.test")
        rig.add_account(USER, PASSWORD, "--home", "shard:s1")
        fill(rig, USER)
        yield rig


class Mutt:
    def __init__(self, rig: Rig, folder: Path) -> None:
        path = shutil.which("neomutt") or shutil.which("mutt")
        if path is None:
            pytest.skip("neither neomutt nor mutt is installed (Debian: neomutt)")
        self._command = [path, "-n", "-F", str(folder / "rc")]
        self._environment = {**os.environ, "HOME": str(folder), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        far = f"imap://127.0.0.1:{rig.ports['imap']}/"
        (folder / "rc").write_text(
            f'set imap_user="{USER}"\nset imap_pass="{PASSWORD}"\nset folder="{far}"\nset spoolfile="{far}INBOX"\n'
            f'set record="{far}Sent"\nset from="{USER}"\nset smtp_url="smtp://127.0.0.1:{rig.ports["smtp"]}"\n'
            "set ssl_starttls=no\nset ssl_force_tls=no\nset imap_authenticators=plain:login\nset copy=yes\n"
            "set delete=yes\nset quit=yes\nset confirmappend=no\nset confirmcreate=no\nset mark_old=no\n"
            # in the prompt for a mailbox a space is a key of its own
            "bind editor <space> noop\n"
            "set sort=mailbox-order\nset postponed=''\nset wait_key=no\nset header_cache=''\n"
            "set send_charset=utf-8\nset abort_unmodified=no\nset abort_noattach=no\n"
        )

    def press(self, keys: str, mailbox: str, *commands: str) -> None:
        """Opens it, does what the keys say, and ends."""
        arguments = [each for command in (*commands, f'push "{keys}"') for each in ("-e", command)]
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*self._command, "-f", mailbox, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self._environment,
            start_new_session=True,
        )
        os.close(theirs)
        shown = bytearray()
        too_late = threading.Timer(PATIENCE_S, process.kill)
        too_late.start()
        try:
            while piece := _read(ours):
                shown += piece
            assert process.wait() == 0, bytes(shown[-3000:])
        finally:
            too_late.cancel()
            process.kill()
            process.wait()
            os.close(ours)


def _read(terminal: int) -> bytes:
    """What it draws; nothing at its end, which Linux calls an error of the terminal (EIO)."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_keys(platform: Rig, tmp_path: Path) -> None:
    before = picture(platform, USER)
    first, _, third, fourth = before["INBOX"]
    mutt = Mutt(platform, tmp_path)
    mutt.press(
        "<first-entry><clear-flag>N"
        "<jump>3<enter><flag-message>"
        f"<jump>4<enter><copy-message>={ODD[0]}<enter>"
        "<jump>2<enter><delete-message><sync-mailbox><quit>",
        "=INBOX",
    )
    after = picture(platform, USER)
    assert set(after["INBOX"]) == {first, third, fourth}
    assert "\\Flagged" in after["INBOX"][third]
    assert set(after[ODD[0]]) == {*before[ODD[0]], fourth}
    # a mailbox whose name is in UTF-8, and a message saved from it to INBOX: copied, then deleted
    moved = next(iter(after[ODD[1]]))
    mutt.press("<first-entry><save-message>=INBOX<enter><sync-mailbox><quit>", f"={ODD[1]}")
    last = picture(platform, USER)
    assert moved in last["INBOX"]
    assert moved not in last[ODD[1]]
    # opened again, nothing is changed
    mutt.press("<quit>", "=INBOX")
    assert picture(platform, USER) == last


def test_what_is_sent_is_kept_in_sent(platform: Rig, tmp_path: Path) -> None:
    with connect(platform, USER) as client:
        client.create_folder("Sent")
    text = tmp_path / "text"
    text.write_text("zoë\n.\n..dots\n")
    # the editor: what was composed is put where it looks for it
    Mutt(platform, tmp_path).press(
        f"<mail>{USER}<enter>from mutt<enter><send-message><quit>", "=INBOX", f'set editor="cp {text}"'
    )
    with connect(platform, USER) as client:
        for name in ("Sent", "INBOX"):
            client.select_folder(name, readonly=True)
            [uid] = client.search(["SUBJECT", "from mutt"])
            [row] = client.fetch([uid], ["BODY[TEXT]", "FLAGS"]).values()
            assert row[b"BODY[TEXT]"].decode().split() == ["zoë", ".", "..dots"]
            assert (b"\\Seen" in row[b"FLAGS"]) == (name == "Sent")
