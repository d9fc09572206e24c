"""Programs that fetch mail: fetchmail and getmail over POP3 and IMAP, curl over IMAP, IMAPS and POP3, poplib. Each
keeps what it is told to keep, deletes what it is told to delete, and fetches nothing twice."""

import mailbox
import os
import poplib
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.account import ODD, PASSWORD, connect, fill, picture
from tests.rig import Rig, running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

USERS = [f"fetch{number}@example.test" for number in range(6)]
FETCHMAIL_POP3, FETCHMAIL_IMAP, GETMAIL_POP3, GETMAIL_IMAP, CURL, POPLIB = USERS


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("platform")) as rig:
        rig.call("domain", "add", "example.test")
        for user in USERS:
            rig.add_account(user, PASSWORD, "--home", "shard:s2")
        yield rig


def execute(home: Path, *command: str, statuses: Sequence[int] = (0,)) -> bytes:
    """Standard output; with `statuses` that count as success."""
    path = shutil.which(command[0])
    if path is None:
        packages = {"getmail": "getmail6"}
        pytest.skip(f"{command[0]} is not installed (Debian: {packages.get(command[0], command[0])})")
    done = subprocess.run(
        [path, *command[1:]],
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode in statuses, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def message_ids(path: Path) -> list[str]:
    """Of an mbox file."""
    return (
        sorted(str(message["Message-ID"]).strip() for message in mailbox.mbox(path, create=False))
        if path.exists()
        else []
    )


def inbox(rig: Rig, user: str) -> list[str]:
    return sorted(picture(rig, user)["INBOX"])


# fetchmail: 0 is success, 1 is "no new mail"


@pytest.mark.parametrize(("protocol", "user"), [("POP3", FETCHMAIL_POP3), ("IMAP", FETCHMAIL_IMAP)])
def test_fetchmail(platform: Rig, tmp_path: Path, protocol: str, user: str) -> None:
    fill(platform, user)
    there = inbox(platform, user)
    config, got = tmp_path / "rc", tmp_path / "got"
    folders = "" if protocol == "POP3" else f'folder "INBOX", "{ODD[0].replace("&", "&-")}"'

    def fetch(keep: str, status: int) -> list[str]:
        config.write_text(
            f"set no bouncemail\nset idfile {tmp_path}/ids\n"
            f"poll 127.0.0.1 protocol {protocol} service {platform.ports[protocol.lower()]}"
            f" {'uidl' if protocol == 'POP3' else ''} auth password\n"
            f'  username "{user}" password "{PASSWORD}" is root here\n'
            f"  {keep} fetchall no rewrite sslproto '' {folders}\n"
            f"  mda \"(echo 'From x Thu Jan  1 00:00:00 1970'; cat; echo) >> {got}\"\n"
        )
        config.chmod(0o600)
        got.unlink(missing_ok=True)
        execute(
            tmp_path,
            "fetchmail",
            "-f",
            str(config),
            "--nodetach",
            "--pidfile",
            str(tmp_path / "pid"),
            statuses=[status],
        )
        return message_ids(got)

    first = fetch("keep", 0)
    wanted = there if protocol == "POP3" else sorted([*there, *picture(platform, user)[ODD[0]]])
    assert first == wanted
    assert inbox(platform, user) == there
    assert fetch("no keep", 0) == wanted
    assert inbox(platform, user) == []
    assert fetch("no keep", 1) == []


def test_fetchmail_fetches_nothing_twice(platform: Rig, tmp_path: Path) -> None:
    """`uidl` and `keep`: by UIDL it knows what it has."""
    user = FETCHMAIL_POP3
    with connect(platform, user) as client:
        client.append("INBOX", b"Message-ID: <kept@a.test>\r\nSubject: kept\r\n\r\ntext\r\n")
    config, got = tmp_path / "rc", tmp_path / "got"
    config.write_text(
        f"set idfile {tmp_path}/ids\npoll 127.0.0.1 protocol POP3 service {platform.ports['pop3']} uidl"
        " auth password\n"
        f'  username "{user}" password "{PASSWORD}" is root here keep no rewrite sslproto \'\' mda "cat >> {got}"\n'
    )
    config.chmod(0o600)
    command = ("fetchmail", "-f", str(config), "--nodetach", "--pidfile", str(tmp_path / "pid"))
    execute(tmp_path, *command)
    assert got.read_bytes().count(b"<kept@a.test>") == 1
    execute(tmp_path, *command, statuses=[1])
    with connect(platform, user) as client:
        client.append("INBOX", b"Message-ID: <new@a.test>\r\nSubject: new\r\n\r\ntext\r\n")
    execute(tmp_path, *command)
    assert got.read_bytes().count(b"<kept@a.test>") == got.read_bytes().count(b"<new@a.test>") == 1


@pytest.mark.parametrize(("kind", "user"), [("POP3", GETMAIL_POP3), ("IMAP", GETMAIL_IMAP)])
def test_getmail(platform: Rig, tmp_path: Path, kind: str, user: str) -> None:
    fill(platform, user)
    there = inbox(platform, user)
    got = tmp_path / "got"
    boxes = "" if kind == "POP3" else f"mailboxes = ('INBOX', '{ODD[0]}', '{ODD[1]}')\n"
    retriever = (
        f"[retriever]\ntype = Simple{kind}Retriever\nserver = 127.0.0.1\nport = {platform.ports[kind.lower()]}\n"
        f"username = {user}\npassword = {PASSWORD}\n{boxes}"
        # not to a Maildir: getmail does not deliver there for root
        f"[destination]\ntype = MDA_external\npath = /bin/sh\narguments = ('-c', '(cat; echo) >> {got}')\n"
        "unixfrom = true\nallow_root_commands = true\n"
    )

    def fetch(options: str) -> list[str]:
        (tmp_path / "rc").write_text(
            f"{retriever}[options]\nread_all = false\ndelivered_to = false\n{options}"
        )
        execute(tmp_path, "getmail", "--getmaildir", str(tmp_path), "--rcfile", "rc", "--quiet")
        return message_ids(got)

    wanted = (
        there if kind == "POP3" else sorted(key for box in picture(platform, user).values() for key in box)
    )
    assert fetch("delete = false\n") == wanted
    assert inbox(platform, user) == there
    assert fetch("delete = false\n") == wanted  # nothing twice
    with connect(platform, user) as client:
        client.append("INBOX", b"Message-ID: <new@a.test>\r\nSubject: new\r\n\r\ntext\r\n")
    assert fetch("delete = true\n") == sorted([*wanted, "<new@a.test>"])
    assert "<new@a.test>" not in inbox(platform, user)


def test_curl(platform: Rig, tmp_path: Path) -> None:
    letters = fill(platform, CURL)
    authority = platform.root / "tls/ca.pem"

    def curl(url: str, *options: str) -> bytes:
        login = ("-sS", "--cacert", str(authority), "--user", f"{CURL}:{PASSWORD}")
        return execute(tmp_path, "curl", *login, *options, url)

    imap, imaps = (
        f"imap://127.0.0.1:{platform.ports['imap']}",
        f"imaps://localhost:{platform.ports['imaps']}",
    )
    pop3, pop3s = (
        f"pop3://127.0.0.1:{platform.ports['pop3']}",
        f"pop3s://localhost:{platform.ports['pop3s']}",
    )
    for url in (f"{imap}/INBOX;UID=2", f"{imaps}/INBOX;UID=2", f"{pop3}/2", f"{pop3s}/2"):
        assert curl(url).endswith(letters[1]), url
    odd = quote(ODD[0].replace("&", "&-"), safe="")
    assert b"* SEARCH 1 2 3 4" in curl(f"{imaps}/{odd}?ALL")
    assert b"* SEARCH 2" in curl(f"{imaps}/{odd}?FLAGGED")
    (tmp_path / "up").write_bytes(letters[0])
    curl(f"{imaps}/{odd}", "-T", str(tmp_path / "up"))
    assert curl(f"{imaps}/{odd};MAILINDEX=5") == letters[0]
    assert curl(pop3s).splitlines() == [b"%d %d" % (n, len(each)) for n, each in enumerate(letters, 1)]
    curl(f"{pop3s}/1", "--request", "DELE", "--list-only")
    assert len(inbox(platform, CURL)) == len(letters) - 1


def test_poplib_keeps_and_deletes(platform: Rig) -> None:
    """As a program does that leaves mail on the server for some days."""
    letters = fill(platform, POPLIB)
    context = ssl.create_default_context(cafile=str(platform.root / "tls/ca.pem"))
    seen: dict[bytes, bytes] = {}
    for round_ in range(3):
        pop = poplib.POP3_SSL("localhost", platform.ports["pop3s"], context=context, timeout=30)
        pop.utf8()
        pop.user(POPLIB)
        pop.pass_(PASSWORD)
        uidls = dict(line.split() for line in pop.uidl()[1])
        for number, uidl in uidls.items():
            if uidl not in seen:
                assert round_ == 0, "something is new that was there"
                seen[uidl] = b"\r\n".join(pop.retr(int(number))[1]) + b"\r\n"
            elif round_ == 1 and number == b"2":
                pop.dele(2)
        pop.quit()
    assert list(seen.values()) == letters
    assert len(inbox(platform, POPLIB)) == len(letters) - 1
