"""Clients that never stop: a sender, a reader in IDLE, a POP3 poller. Each is a thread; what a person would call
an error goes to the ledger; a server that says BYE and takes the client back is a reconnect, not an error."""

import contextlib
import imaplib
import itertools
import poplib
import select
import smtplib
import socket
import threading
import time
from abc import ABC, abstractmethod

from tests.demo.ledger import Ledger, Reading
from tests.letters import letter, token

TIMEOUT_S = 45.0  # longer than any fence: a client waits, it does not fail


class Client(threading.Thread, ABC):
    def __init__(self, name: str, ledger: Ledger, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.ledger = ledger
        self.stop = stop
        self.rounds = 0

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self.round()
                self.rounds += 1
            except (OSError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto) as error:
                self.ledger.error(self.name, f"{type(error).__name__}: {error}")
                self.stop.wait(0.2)

    @abstractmethod
    def round(self) -> None: ...


class Sender(Client):
    """Sends letters to the accounts in turn, `pause` seconds apart, a new connection for every ten."""

    def __init__(
        self, port: int, accounts: list[str], seed: int, pause: float, ledger: Ledger, stop: threading.Event
    ):
        super().__init__("SMTP sender", ledger, stop)
        self.port, self.seed, self.pause = port, seed, pause
        self.numbers = itertools.count()
        self.turn = itertools.cycle(accounts)

    def round(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=TIMEOUT_S) as smtp:
            for _ in range(10):
                self.send_one(smtp)
                if self.stop.wait(self.pause):
                    return

    def send_one(self, smtp: smtplib.SMTP) -> None:
        number, recipient = next(self.numbers), next(self.turn)
        octets = letter(number, "friend@elsewhere.test", recipient, seed=self.seed)
        name = token(number, self.seed)
        self.ledger.offer(name, recipient, octets)
        with self.ledger.wait(self.name):
            smtp.sendmail("friend@elsewhere.test", [recipient], octets, mail_options=["BODY=8BITMIME"])
        self.ledger.accept(name)


class Poller(Client):
    """A POP3 client that leaves mail on the server and knows what it has by UIDL: it must never see an old
    message under a new name."""

    def __init__(self, port: int, account: str, password: str, ledger: Ledger, stop: threading.Event):
        super().__init__("POP3 poller", ledger, stop)
        self.port, self.account, self.password = port, account, password
        self.known: dict[str, None] = {}
        self.downloads: Reading = Reading()

    def round(self) -> None:
        with self.ledger.wait(self.name):
            pop = poplib.POP3("127.0.0.1", self.port, timeout=TIMEOUT_S)
            pop.user(self.account)
            pop.pass_(self.password)
            listing = [line.decode().split(" ", 1) for line in pop.uidl()[1]]
        for number, uidl in listing:
            if uidl not in self.known:
                octets = b"\r\n".join(pop.retr(int(number))[1]) + b"\r\n"
                self.downloads.add(octets, self.ledger)
                self.known[uidl] = None
        pop.quit()
        self.stop.wait(0.3)


class Reader(Client):
    """An IMAP client with a UID cache that holds a connection in IDLE. `UIDVALIDITY` must not change, a UID must
    never name another letter, and no UID below UIDNEXT may appear twice."""

    def __init__(self, port: int, account: str, password: str, ledger: Ledger, stop: threading.Event):
        super().__init__("IMAP reader", ledger, stop)
        self.port, self.account, self.password = port, account, password
        self.uidvalidity: int | None = None
        self.cache: dict[int, bytes] = {}
        self.downloads: Reading = Reading()

    def round(self) -> None:
        with self.ledger.wait(self.name):
            imap = imaplib.IMAP4("127.0.0.1", self.port, timeout=TIMEOUT_S)
            imap.login(self.account, self.password)
            imap.select("INBOX")
        uidvalidity = int(imap.response("UIDVALIDITY")[1][0] or 0)
        if self.uidvalidity not in (None, uidvalidity):
            self.ledger.error(self.name, f"UIDVALIDITY changed from {self.uidvalidity} to {uidvalidity}")
        self.uidvalidity = uidvalidity
        with contextlib.suppress(imaplib.IMAP4.abort):  # BYE: the mailbox is being moved
            while not self.stop.is_set():
                self.fetch_new(imap)
                self.idle(imap)
            imap.logout()
            return
        self.ledger.reconnect(self.name)

    def fetch_new(self, imap: imaplib.IMAP4) -> None:
        first = max(self.cache, default=0) + 1
        _, found = imap.uid("FETCH", f"{first}:*", "(UID FLAGS BODY.PEEK[])")
        for item in found:
            if isinstance(item, tuple):
                uid = int(item[0].split(b"UID ")[1].split()[0])
                if uid not in self.cache:
                    self.cache[uid] = item[1][-64:]
                    self.downloads.add(item[1], self.ledger)

    def idle(self, imap: imaplib.IMAP4) -> None:
        """RFC 2177, until the server says something or a second has passed."""
        tag = imap._new_tag()
        imap.send(tag + b" IDLE\r\n")
        if not imap.readline().startswith(b"+"):
            raise imaplib.IMAP4.abort("IDLE was not accepted")
        deadline = time.monotonic() + 1.0
        heard = False
        while not heard and not self.stop.is_set() and time.monotonic() < deadline:
            heard = bool(select.select([imap.sock], [], [], 0.1)[0])
        imap.send(b"DONE\r\n")
        while not (line := imap.readline()).startswith(tag):
            if line.startswith(b"* BYE") or not line:
                raise imaplib.IMAP4.abort("BYE")


def read_imap(port: int, account: str, password: str, ledger: Ledger) -> tuple[Reading, dict[str, object]]:
    """All of an account over IMAP: the reading, and {mailbox: [uidvalidity, {uid: (flags, date, size)}]}."""
    reading, state = Reading(), {}
    with imaplib.IMAP4("127.0.0.1", port, timeout=TIMEOUT_S) as imap:
        imap.login(account, password)
        for line in imap.list()[1]:
            name = line.decode().rpartition(' "/" ')[2].strip('"')
            imap.select(f'"{name}"', readonly=True)
            uidvalidity = imap.response("UIDVALIDITY")[1][0]
            rows = {}
            _, found = imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
            for item in found:
                if isinstance(item, tuple):
                    reading.add(item[1], ledger)
                    uid = int(item[0].split(b"UID ")[1].split()[0])
                    flags = frozenset(imaplib.ParseFlags(item[0])) - {b"\\Recent"}
                    rows[uid] = (flags, imaplib.Internaldate2tuple(item[0]), len(item[1]))
            state[name] = (uidvalidity, rows)
    return reading, state


def read_pop3(port: int, account: str, password: str, ledger: Ledger) -> tuple[Reading, list[str]]:
    """All of an account over POP3: the reading, and the UIDLs in order."""
    reading = Reading()
    pop = poplib.POP3("127.0.0.1", port, timeout=TIMEOUT_S)
    pop.user(account)
    pop.pass_(password)
    uidls = [line.decode().split(" ", 1)[1] for line in pop.uidl()[1]]
    for number in range(1, len(uidls) + 1):
        reading.add(b"\r\n".join(pop.retr(number)[1]) + b"\r\n", ledger)
    pop.quit()
    return reading, uidls


def wait_for_port(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
        pass
