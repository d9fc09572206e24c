"""A domain with 4,030 real messages moves from a real Dovecot: what clients saw before is what they see after."""

import imaplib
import itertools
import os
import poplib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dovecot import Dovecot
from tests.e2e import corpus
from tests.rig import Rig, running

PASSWORD = "correct horse"
USERS = [f"user{number}@moving.test" for number in range(1, 5)]
# Everything together on a busy machine; each wait below ends as soon as its condition holds.
PATIENCE_S = 100.0

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    # Not below pytest's folder: Dovecot's processes run as another user, who could not enter it.
    with tempfile.TemporaryDirectory(prefix="dovecot-") as root:
        os.chmod(root, 0o755)
        users = [(user, PASSWORD) for user in USERS]
        server = Dovecot(Path(root), users=users, master=("master", "master-secret"))
        yield server
        server.stop()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, dovecot: Dovecot) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("platform")) as rig:
        rig.run("domain", "add", "moving.test")
        rig.run(
            "migrate", "backend", "add", "old",
            "--imap", f"127.0.0.1:{dovecot.imap_port}", "--imap-tls", "none",
            "--pop3", f"127.0.0.1:{dovecot.pop3_port}", "--pop3-tls", "none",
            "--relay", f"lmtp:127.0.0.1:{dovecot.lmtp_port}",
            "--master-user", "master", "--master-password-stdin",
            stdin="master-secret\n",
        )  # fmt: skip
        for user in USERS:
            rig.add_account(user, PASSWORD, "--home", "backend:old")
        yield rig


def state(port: int, user: str) -> dict[str, Any]:
    """{mailbox: (UIDVALIDITY, {UID: (flags, INTERNALDATE, octets)})} and the subscriptions, as a client sees them."""
    found: dict[str, Any] = {}
    with imaplib.IMAP4("127.0.0.1", port, timeout=60) as imap:
        imap.login(user, PASSWORD)
        found["subscriptions"] = sorted(
            line.rpartition(b" ")[2].strip(b'"') for line in imap.lsub()[1] if line
        )
        for line in imap.list()[1]:
            name = line.decode().rpartition(' "/" ')[2].strip('"')
            assert imap.select(f'"{name}"', readonly=True)[0] == "OK"
            uidvalidity = imap.response("UIDVALIDITY")[1][0]
            rows = {}
            _, answer = imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
            for item in answer:
                if isinstance(item, tuple):
                    uid = int(item[0].split(b"UID ")[1].split()[0])
                    flags = frozenset(imaplib.ParseFlags(item[0])) - {b"\\Recent"}
                    # RFC 3501 9, date-day-fixed: " 1" and "01" are the same day
                    date = item[0].split(b'INTERNALDATE "')[1].split(b'"')[0].strip().rjust(26, b"0")
                    rows[uid] = (flags, date, item[1])
            found[name] = (uidvalidity, rows)
    return found


def fill(dovecot: Dovecot, letters: list[corpus.Letter]) -> None:
    """Mail with a past: dates, flags, keywords, folders, gaps in the UIDs, subscriptions."""
    for number, user in enumerate(USERS):
        mine = letters[number :: len(USERS)]
        with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=60) as imap:
            imap.login(user, PASSWORD)
            for folder in ("Archive", "Archive/2002", "Sent"):
                imap.create(folder)
            imap.subscribe("Archive/2002")
            targets = itertools.cycle(["INBOX", "INBOX", "INBOX", "Archive/2002"])
            for day, (letter, target) in enumerate(zip(mine, targets, strict=False)):
                date = imaplib.Time2Internaldate(1_030_000_000 + day * 3601)
                assert imap.append(target, None, date, letter.octets)[0] == "OK"
            imap.select("INBOX")
            imap.store("1:40", "+FLAGS", r"(\Seen)")
            imap.store("5:9", "+FLAGS", r"(\Flagged $Important Project-X)")
            imap.store("11,13", "+FLAGS", r"(\Deleted)")
            imap.store("20:22", "+FLAGS", r"(\Deleted)")
            imap.uid("EXPUNGE", "20:22")
            imap.uid("COPY", "5:9", "Sent")


def same(after: dict[str, Any], before: dict[str, Any]) -> None:
    """Compare by what differs first: two dictionaries of a thousand messages say nothing when printed."""
    assert after["subscriptions"] == before["subscriptions"]
    assert after.keys() == before.keys()
    for mailbox in before.keys() - {"subscriptions"}:
        assert after[mailbox][0] == before[mailbox][0], f"UIDVALIDITY of {mailbox}"
        new, old = after[mailbox][1], before[mailbox][1]
        assert new.keys() == old.keys(), mailbox
        for uid in old:
            assert new[uid][:2] == old[uid][:2], (mailbox, uid)
            assert new[uid][2] == old[uid][2], (mailbox, uid)


def wait_for(rig: Rig, state: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while {move["state"] for move in rig.query("migrate", "status", "moving.test")} != {state}:
        if time.monotonic() > deadline:
            pytest.fail(
                f"not {state} in time: {rig.query('migrate', 'status', 'moving.test')}\n{rig.log()[-3000:]}"
            )
        time.sleep(0.2)


def test_a_domain_moves_from_dovecot(platform: Rig, dovecot: Dovecot, tmp_path: Path) -> None:
    letters = corpus.unpack(tmp_path)
    fill(dovecot, letters)
    uidls = {user: uidl_list(dovecot.pop3_port, user) for user in USERS}
    retrieved = {user: corpus.read_pop3(dovecot.pop3_port, user, PASSWORD) for user in USERS[:1]}
    before = {user: state(dovecot.imap_port, user) for user in USERS}  # after RETR, which sets \Seen there

    same(state(platform.ports["imap"], USERS[0]), before[USERS[0]])  # through the proxy, before the move
    assert corpus.read_pop3(platform.ports["pop3"], USERS[0], PASSWORD) == retrieved[USERS[0]]

    platform.run("migrate", "plan", "moving.test")
    platform.run("migrate", "start", "moving.test")
    wait_for(platform, "ready")
    platform.run("migrate", "cutover", "moving.test")
    wait_for(platform, "new")
    homes = {row["address"]: row["home"] for row in platform.query("account", "list", "moving.test")}
    assert set(homes) == set(USERS)
    assert all(home.startswith("shard:") for home in homes.values())

    dovecot.stop()  # whatever is answered from now on is ours
    for user in USERS:
        same(state(platform.ports["imap"], user), before[user])
        assert uidl_list(platform.ports["pop3"], user) == uidls[user]
    assert corpus.read_pop3(platform.ports["pop3"], USERS[0], PASSWORD) == retrieved[USERS[0]]
    report = platform.query("migrate", "report", "moving.test")
    assert report["accounts"] == len(USERS)


def uidl_list(port: int, user: str) -> list[bytes]:
    pop = poplib.POP3("127.0.0.1", port, timeout=60)
    pop.user(user)
    pop.pass_(PASSWORD)
    found = [line.split(b" ", 1)[1] for line in pop.uidl()[1]]
    pop.quit()
    return found
