"""The load: mail in over SMTP and LMTP, IMAP sessions that read, change, move and expunge, POP3 polls that delete,
clients that IDLE all the time, and visitors that come and go, some without a word.

Mailboxes are kept at `scene.enough` messages.
"""

import random
import socket
import threading

from tests.crash import letters
from tests.crash.clients import (
    ARCHIVE,
    INBOX,
    PASSWORD,
    WORK,
    Client,
    Mailbox,
    Postman,
    Reader,
    Scene,
    Sender,
    Writer,
    look,
)
from tests.crash.imap import TIMEOUT_S
from tests.crash.ledger import Box, Key

# Messages that a Keeper takes note of at a time.
_MET = 50

# Messages that a Herald leaves in its mailbox before it expunges them.
_KEPT = 10


class Herald(Client):
    """Two sessions of one account of its own: one in IDLE for good, told of each message that the other appends."""

    def session(self) -> None:
        account = f"idle{self.number}@example.test"
        hears, writes = Mailbox(self.scene, account), Mailbox(self.scene, account)
        try:
            hears.select(INBOX)
            box = writes.select(INBOX)
            while True:
                hears.imap.idle()
                for _ in range(_KEPT):
                    self.rest()
                    if self.stop.is_set():
                        hears.imap.done()
                        return
                    token = self.ledger.token()
                    octets = letters.letter(token, self.rng)
                    with self.clocked("IDLE, told of it"):
                        writes.append(box, [octets], [token], frozenset())
                        hears.imap.hear(b" EXISTS")
                hears.imap.done()
                writes.must(b"NOOP")
                writes.expunge(box, list(box.live))
        finally:
            hears.imap.close()
            writes.imap.close()


class Keeper(Writer):
    """Before each change it brings a mailbox back to its size: as much goes as comes."""

    def __init__(self, scene: Scene, number: int, rng: random.Random, stop: threading.Event) -> None:
        super().__init__(scene, number, rng, stop)
        self.known: dict[Key, int] = {}  # up to this UID all that was delivered is in the ledger

    def meet(self, mailbox: Mailbox, box: Box) -> None:
        known = self.known.get(box.key, 0)
        answer = mailbox.must(b"UID SEARCH UID %d:*" % (known + 1))
        found = next(text for text, _ in answer.lines if text.startswith(b"* SEARCH")).split()[2:]
        uids = sorted(uid for uid in map(int, found) if uid > known)[:_MET]
        tokens = look(mailbox, box, uids)
        for uid in uids:
            if uid in tokens and not self.ledger.met(box, uid, tokens[uid]):
                return
            self.known[box.key] = uid

    def work(self, mailbox: Mailbox) -> None:
        box = mailbox.select(self.rng.choice((INBOX, WORK, ARCHIVE)))
        self.meet(mailbox, box)
        excess = len(box.live) - self.scene.enough
        uids = self.ledger.reserve(box, excess) if excess > 0 else []
        if uids:
            mailbox.must(b"NOOP")
            mailbox.expunge(box, uids)
        super().work(mailbox)


class Poller(Client):
    """POP3: fetches one message and deletes it. Two sessions of one account would refuse each other, so that of two
    pollers, numbered one behind the other, each has half of the accounts."""

    def session(self) -> None:
        account = self.rng.choice(self.scene.accounts[self.number % 2 :: 2])
        self.rest()
        with self.clocked("POP3 session"):
            self.poll(account)

    def poll(self, account: str) -> None:
        box = self.ledger.box(account, INBOX)
        uids = self.ledger.reserve(box, 1)
        pop3 = Pop3(self.scene.ports["pop3"])
        try:
            pop3.say(f"USER {account}")
            pop3.say(f"PASS {PASSWORD}")
            pop3.say("UIDL")
            numbers = {}
            for line in pop3.lines():
                number, _, uidl = line.decode().partition(" ")
                numbers[int(uidl.partition(".")[2])] = number
            for uid in uids:
                pop3.say(f"RETR {numbers[uid]}")
                token, whole = letters.read(b"\r\n".join([*pop3.lines(), b""]))
                if not whole:
                    self.ledger.violated("torn", f"{box.key}: UID {uid} over POP3 is not what was sent")
                self.ledger.shown(box, uid, token)
                pop3.say(f"DELE {numbers[uid]}")
            self.ledger.expunging(box, uids)
            pop3.say("QUIT")
            self.ledger.expunged(box, uids)
        finally:
            pop3.close()


class Pop3:
    """Every answer is +OK, or the session is over (ConnectionError)."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._file = self._socket.makefile("rb")
        self._ok("greeting")

    def say(self, command: str) -> None:
        self._socket.sendall(command.encode() + b"\r\n")
        self._ok(command)

    def lines(self) -> list[bytes]:
        found = []
        while (line := self._file.readline().rstrip(b"\r\n")) != b".":
            found.append(line[1:] if line.startswith(b".") else line)
        return found

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _ok(self, command: str) -> None:
        line = self._file.readline()
        if not line.startswith(b"+OK"):
            raise ConnectionError(f"{command}: {line!r}")


class Visitor(Client):
    """Comes, looks at all mailboxes, and goes: politely, in the middle of a command, or before it logged in."""

    def session(self) -> None:
        self.rest()
        way = self.rng.randrange(4)
        if way == 0:
            with socket.create_connection(("127.0.0.1", self.scene.ports["imap"]), timeout=TIMEOUT_S) as cut:
                cut.sendall(b"a LOGIN somebody@example.test {5")
            return
        mailbox = Mailbox(self.scene, self.rng.choice(self.scene.accounts))
        try:
            mailbox.must(b'LIST "" *')
            mailbox.must(b"STATUS INBOX (MESSAGES UNSEEN UIDNEXT SIZE)")
            mailbox.select(INBOX)
            mailbox.must(b"SEARCH UNSEEN SUBJECT t")
            if way > 1:
                mailbox.imap.log_out()
        finally:
            mailbox.imap.close()


CLIENTS: tuple[type[Client], ...] = (
    *[Sender] * 3,
    *[Postman] * 3,
    *[Keeper] * 8,
    *[Reader] * 3,
    *[Herald] * 8,
    *[Poller] * 2,
    *[Visitor] * 2,
)
HERALDS = [number for number, kind in enumerate(CLIENTS) if kind is Herald]
