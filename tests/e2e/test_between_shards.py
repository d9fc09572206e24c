"""Accounts move between the shards of a running platform, and a shard is drained, while mail comes in, clients wait
in IDLE and flags change. What a client saw under a UID it sees there for ever; what got a 250 is there once."""

import contextlib
import re
import smtplib
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from tests.rig import Rig, running

PASSWORD = "correct horse"
MOVING = "mia@move.test"
DRAINED = [f"user{number}@drain.test" for number in range(6)]

# Everything together on a busy machine; each wait below ends as soon as its condition holds.
PATIENCE_S = 120.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("platform")) as rig:
        for domain in ("move.test", "drain.test"):
            rig.call("domain", "add", domain)
        for account in (MOVING, *DRAINED):
            rig.add_account(account, PASSWORD, "--home", "shard:s1")
        yield rig


def until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def login(rig: Rig, user: str) -> IMAPClient:
    client = IMAPClient("127.0.0.1", rig.ports["imap"], ssl=False, timeout=60)
    client.login(user, PASSWORD)
    return client


class Worker:
    """A thread that does one thing again and again until it is told to stop; its failure is the test's."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._step()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self._failure = error

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it hangs"
        if self._failure is not None:
            raise self._failure


class Sender:
    """Mail over SMTP; what got a 250, by recipient."""

    def __init__(self, rig: Rig, *recipients: str) -> None:
        self._rig = rig
        self._recipients = recipients
        self._number = 0
        self.accepted: dict[str, list[str]] = {each: [] for each in recipients}

    def __call__(self) -> None:
        recipient = self._recipients[self._number % len(self._recipients)]
        token = f"token-{self._number}-{recipient.partition('@')[0]}."
        self._number += 1
        text = f"From: a@outside.test\r\nTo: {recipient}\r\nSubject: {token}\r\n\r\nHello\r\n"
        refused = contextlib.suppress(smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)
        with smtplib.SMTP("127.0.0.1", self._rig.ports["smtp"], timeout=60) as smtp, refused:
            smtp.sendmail("a@outside.test", [recipient], text)
            self.accepted[recipient].append(token)
        time.sleep(0.02)

    @property
    def total(self) -> int:
        return sum(map(len, self.accepted.values()))


class Reader:
    """A client that waits in IDLE and remembers: a UID means one message, always, and is downloaded once."""

    def __init__(self, rig: Rig, user: str) -> None:
        self._rig, self._user = rig, user
        self._client: IMAPClient | None = None
        self.uidvalidity = 0
        self.known: dict[int, str] = {}
        self.reconnects = -1

    def __call__(self) -> None:
        try:
            self._look()
        except (IMAPClientError, OSError) as error:
            text = str(error)
            assert "authentication" not in text.casefold(), text
            self._client = None

    def _look(self) -> None:
        if self._client is None:
            self._client = login(self._rig, self._user)
            self.reconnects += 1
        opened = self._client.select_folder("INBOX", readonly=True)
        assert self.uidvalidity in (0, opened[b"UIDVALIDITY"])
        self.uidvalidity = opened[b"UIDVALIDITY"]
        uids = self._client.search()
        assert not self.known.keys() - set(uids), "messages have gone"
        fresh = [uid for uid in uids if uid not in self.known]
        assert all(uid > max(self.known, default=0) for uid in fresh), "a UID below those that were seen"
        for uid, row in self._client.fetch(fresh, ["ENVELOPE"]).items() if fresh else ():
            self.known[uid] = row[b"ENVELOPE"].subject.decode()
        self._client.idle()
        self._client.idle_check(timeout=0.3)
        self._client.idle_done()


class Flagger:
    """Sets a keyword of its own on each message, one command each; remembers what was answered with FETCH and OK."""

    def __init__(self, rig: Rig, user: str, reader: Reader) -> None:
        self._rig, self._user, self._reader = rig, user, reader
        self._client: IMAPClient | None = None
        self.flagged: set[int] = set()

    def __call__(self) -> None:
        left = sorted(self._reader.known.keys() - self.flagged)
        if not left:
            time.sleep(0.02)
            return
        try:
            if self._client is None:
                self._client = login(self._rig, self._user)
                self._client.select_folder("INBOX")
            if left[0] in self._client.add_flags([left[0]], ["$Mine"]):  # this session knows of the message
                self.flagged.add(left[0])
        except (IMAPClientError, OSError):
            self._client = None


def subjects(rig: Rig, user: str) -> dict[int, tuple[str, bool]]:
    """{UID: (subject, has $Mine)} as a new client sees them."""
    with login(rig, user) as client:
        client.select_folder("INBOX", readonly=True)
        uids = client.search()
        rows = client.fetch(uids, ["ENVELOPE", "FLAGS"]) if uids else {}
        return {
            uid: (row[b"ENVELOPE"].subject.decode(), b"$Mine" in row[b"FLAGS"]) for uid, row in rows.items()
        }


def home(rig: Rig, user: str) -> str:
    (row,) = rig.query("account", "show", user)
    return str(row["home"])


def test_there_and_back_while_it_is_used(platform: Rig) -> None:
    sender, reader = Sender(platform, MOVING), Reader(platform, MOVING)
    flagger = Flagger(platform, MOVING, reader)
    with Worker(sender), Worker(reader), Worker(flagger):
        until(lambda: len(reader.known) >= 20, lambda: reader.known)
        for shard in ("s2", "s1"):
            platform.run("migrate", "move", MOVING, "--to", shard, "--wait")
            assert home(platform, MOVING) == f"shard:{shard}"
            seen = len(reader.known)
            until(
                lambda seen=seen: len(reader.known) > seen + 5,  # type: ignore[misc]
                lambda: (len(reader.known), platform.log()[-2000:]),
            )
    until(
        lambda: len(subjects(platform, MOVING)) >= sender.total,
        lambda: (sender.total, platform.log()[-3000:]),
    )
    found = subjects(platform, MOVING)
    assert sorted(text for text, _ in found.values()) == sorted(sender.accepted[MOVING])
    assert {uid: found[uid][0] for uid in reader.known} == reader.known
    assert flagger.flagged, "no flag was set meanwhile"
    lost = {uid for uid in flagger.flagged if not found[uid][1]}
    assert not lost, "flags that were acknowledged are lost"
    assert reader.reconnects == 0, "who reads and idles stays connected"
    report = platform.run("migrate", "report", "move.test")
    assert re.search(r"1 of 1 accounts moved between shards; fence \d+ ms median", report)


def test_a_shard_is_drained_under_traffic(platform: Rig) -> None:
    sender = Sender(platform, *DRAINED)
    reader = Reader(platform, DRAINED[0])
    with Worker(sender), Worker(reader):
        until(lambda: sender.total >= 60, lambda: sender.total)
        gone = subjects(platform, DRAINED[1])
        with login(platform, DRAINED[1]) as client:  # something for the vault
            client.select_folder("INBOX")
            first = min(gone)
            client.delete_messages([first])
            client.expunge()
        platform.run("shard", "drain", "s1", "--wait")
        count = sender.total
        until(lambda: sender.total >= count + 12, lambda: sender.total)
    (row,) = [each for each in platform.query("shard", "list") if each["shard"] == "s1"]
    assert (row["accounts"], row["placement"]) == (0, "drained")
    assert {home(platform, user) for user in (MOVING, *DRAINED)} == {"shard:s2"}
    for user in DRAINED:
        wanted = sorted(sender.accepted[user])
        if user == DRAINED[1]:
            wanted.remove(gone[first][0])
        until(
            lambda user=user, wanted=wanted: len(subjects(platform, user)) >= len(wanted),  # type: ignore[misc]
            lambda: platform.log()[-3000:],
        )
        assert sorted(text for text, _ in subjects(platform, user).values()) == wanted
    found = platform.query("vault", "search", "--account", DRAINED[1])
    assert [(each["subject"], each["id"].partition("/")[0]) for each in found] == [(gone[first][0], "s2")]
    platform.add_account("late@drain.test", PASSWORD)
    assert home(platform, "late@drain.test") == "shard:s2", "nothing new is placed there"
    platform.run("shard", "drain", "s1", "--cancel")
    (row,) = [each for each in platform.query("shard", "list") if each["shard"] == "s1"]
    assert row["placement"] == "on"
