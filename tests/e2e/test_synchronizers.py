"""Programs that keep a local copy and the platform alike, both ways: mbsync, offlineimap. What one side has in the
end, the other has too: messages, flags, deletions, mailboxes with odd names; and one more run finds nothing to do."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from imapclient.imap_utf7 import decode as decode_utf7

from tests.e2e.account import ODD, PARENT, PASSWORD, connect, fill, message_id, picture
from tests.rig import Rig, running

USERS = {"mbsync": "sync1@example.test", "offlineimap": "sync2@example.test"}

LETTERS_OF_FLAGS = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered", "D": "\\Draft"}

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("platform")) as rig:
        rig.call("domain", "add", "example.test")
        for user in USERS.values():
            rig.add_account(user, PASSWORD, "--home", "shard:s1")
        yield rig


class Copy(Protocol):
    """A local copy in Maildirs below `root`."""

    user: str
    root: Path

    def sync(self) -> str:
        """One run; what the program said."""
        ...

    def name(self, folder: Path) -> str:
        """The mailbox that a Maildir is a copy of."""
        ...


class Mbsync:
    def __init__(self, rig: Rig, folder: Path) -> None:
        self.user = USERS["mbsync"]
        self.root = folder / "mail"
        self.root.mkdir()
        self._program = program("mbsync", "isync")
        self._config = folder / "mbsyncrc"
        help_text = subprocess.run(
            [self._program, "--version"], capture_output=True, text=True, check=True
        ).stdout
        tls = "TLSType" if tuple(map(int, help_text.split()[1].split(".")[:2])) >= (1, 5) else "SSLType"
        self._config.write_text(
            f'IMAPStore far\nHost 127.0.0.1\nPort {rig.ports["imap"]}\nUser {self.user}\nPass "{PASSWORD}"\n'
            f"{tls} None\nAuthMechs LOGIN\n\n"
            f"MaildirStore near\nPath {self.root}/\nInbox {self.root}/INBOX\nSubFolders Verbatim\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nSyncState *\n"
        )

    def sync(self) -> str:
        return execute(self.root.parent, self._program, "-V", "-c", str(self._config), "-a")

    def name(self, folder: Path) -> str:
        return decode_utf7(folder.relative_to(self.root).as_posix().encode())


class Offlineimap:
    def __init__(self, rig: Rig, folder: Path) -> None:
        self.user = USERS["offlineimap"]
        self.root = folder / "mail"
        self._program = program("offlineimap", "offlineimap3")
        self._config = folder / "offlineimaprc"
        self._config.write_text(
            f"[general]\naccounts = one\nmetadata = {folder}/state\nmaxsyncaccounts = 1\n\n"
            "[Account one]\nlocalrepository = near\nremoterepository = far\n\n"
            f"[Repository near]\ntype = Maildir\nlocalfolders = {self.root}\nsep = /\n\n"
            f"[Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {rig.ports['imap']}\n"
            f"remoteuser = {self.user}\nremotepass = {PASSWORD}\nssl = no\nstarttls = no\nmaxconnections = 2\n"
            "auth_mechanisms = PLAIN, LOGIN\n"
        )

    def sync(self) -> str:
        return execute(self.root.parent, self._program, "-o", "-c", str(self._config), "-u", "basic")

    def name(self, folder: Path) -> str:
        return decode_utf7(folder.relative_to(self.root).as_posix().encode())


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return path


def execute(home: Path, *command: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def local(copy: Copy) -> dict[str, dict[str, frozenset[str]]]:
    """The copy, as `picture` shows the platform."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for cur in copy.root.rglob("cur"):
        folder = cur.parent
        found[copy.name(folder)] = {
            message_id(path.read_bytes()): frozenset(
                LETTERS_OF_FLAGS[letter]
                for letter in path.name.partition(":2,")[2]
                if letter in LETTERS_OF_FLAGS
            )
            for path in (*cur.iterdir(), *(folder / "new").iterdir())
        }
    return found


def files(copy: Copy, mailbox: str) -> list[Path]:
    """Of one mailbox, by Message-ID."""
    [folder] = [cur.parent for cur in copy.root.rglob("cur") if copy.name(cur.parent) == mailbox]
    paths = [*(folder / "cur").iterdir(), *(folder / "new").iterdir()]
    return sorted(paths, key=lambda path: message_id(path.read_bytes()))


def mark(path: Path, flags: str) -> None:
    path.rename(path.parent.parent / "cur" / f"{path.name.partition(':')[0]}:2,{flags}")


@pytest.mark.parametrize("kind", [Mbsync, Offlineimap])
def test_both_sides_are_alike_in_the_end(platform: Rig, tmp_path: Path, kind: type) -> None:
    copy: Copy = kind(platform, tmp_path)
    fill(platform, copy.user)
    copy.sync()
    first = picture(platform, copy.user)
    assert {name: len(messages) for name, messages in first.items()} == {
        "INBOX": 4,
        ODD[0]: 4,
        ODD[1]: 4,
        PARENT: 0,
    }
    assert local(copy) == first

    # here: one is answered, one is deleted, one is new
    near = files(copy, "INBOX")
    answered, gone_here = message_id(near[0].read_bytes()), message_id(near[1].read_bytes())
    mark(near[0], "RS")
    near[1].unlink()
    odd = files(copy, ODD[0])
    (odd[0].parent.parent / "new" / "1700000000.M1P1.here").write_bytes(
        b"Subject: from here\nMessage-ID: <here@near.test>\n\nhello\n"
    )
    # there: one is flagged, one is expunged, one is new, in the mailbox with the longest name
    with connect(platform, copy.user) as client:
        client.select_folder(ODD[1])
        uids = client.search()
        client.add_flags([uids[2]], [b"\\Flagged", b"\\Seen"])
        client.delete_messages([uids[3]])
        client.expunge([uids[3]])
        client.append(ODD[1], b"Subject: from there\r\nMessage-ID: <there@far.test>\r\n\r\nhello\r\n")
    copy.sync()
    second = picture(platform, copy.user)
    assert local(copy) == second
    assert gone_here not in second["INBOX"]
    assert "\\Answered" in second["INBOX"][answered]
    assert "<here@near.test>" in second[ODD[0]]
    assert "<there@far.test>" in second[ODD[1]]
    assert [len(second[name]) for name in ("INBOX", *ODD)] == [3, 5, 4]

    # nothing is left to do: neither UIDs nor files are new
    before = (numbers(platform, copy.user), sorted(copy.root.rglob("cur/*")))
    copy.sync()
    assert (numbers(platform, copy.user), sorted(copy.root.rglob("cur/*"))) == before


def numbers(rig: Rig, user: str) -> dict[str, tuple[int, int, int]]:
    """UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ of each mailbox: any write changes one of them."""
    keys = ("UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ")
    with connect(rig, user) as client:
        found = {name: client.folder_status(name, keys) for name in ("INBOX", *ODD)}
    return {
        name: (status[b"UIDVALIDITY"], status[b"UIDNEXT"], status[b"HIGHESTMODSEQ"])
        for name, status in found.items()
    }
