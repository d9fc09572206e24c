"""Clients at full load. Each is a thread that works until it is told to stop, connects again when it is cut, and
notes every answer in the ledger. What it was doing when it was cut stays open there."""

import itertools
import random
import smtplib
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.crash import letters
from tests.crash.imap import Answer, Imap, LoginRefused, Timed, numbers, uid_set
from tests.crash.ledger import Batch, Box, Flags, Key, Ledger

PASSWORD = "correct horse"
INBOX, WORK, ARCHIVE = "INBOX", "Work", "Archive"
# Messages wander from left to right only, so that none is twice in a mailbox.
TARGETS = {INBOX: (WORK, ARCHIVE), WORK: (ARCHIVE,)}

FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$Forwarded", "urgent", "later")

# Messages in a mailbox beyond which clients rather expunge: inspections stay quick.
ENOUGH = 120
# From 16 messages on an append is made durable by one syncfs (store/door.py).
MANY = 18


class Refused(ConnectionError):
    """A tagged NO or BAD: for a client under load the same as a cut."""

    def __init__(self, command: bytes | tuple[bytes], answer: Answer) -> None:
        super().__init__(f"{command!r}: {answer.status} {answer.text!r}")
        self.answer = answer


@dataclass
class Scene:
    """What all clients share."""

    ledger: Ledger
    ports: dict[str, int]
    accounts: Sequence[str]
    guests: list[str] = field(
        default_factory=list
    )  # accounts that never got a message: the first one makes them
    exists: dict[Key, bool | None] = field(
        default_factory=dict
    )  # mailboxes made and deleted; None: unanswered
    unmade: set[Key] = field(
        default_factory=set
    )  # not there after a CREATE without answer: a rebuild may find it
    validity: dict[Key, int] = field(default_factory=dict)  # last UIDVALIDITY of a name that was deleted
    told: dict[Key, set[int]] = field(
        default_factory=dict
    )  # every UIDVALIDITY of a name that anybody was shown
    made: dict[Key, float] = field(default_factory=dict)  # Unix time of CREATE
    # Whether a mailbox may have another UIDVALIDITY now, once.
    renumbers: Callable[[Key], bool] = lambda key: False
    # Domains on their way back to the legacy platform: sessions of our own doors end then.
    going_back: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)  # of the harness itself
    refusals: list[tuple[str, str]] = field(default_factory=list)  # account, reply
    locked_out: list[tuple[str, str]] = field(default_factory=list)  # account, what its LOGIN was told
    cuts: deque[str] = field(default_factory=lambda: deque(maxlen=100))  # the last ones
    timed: Timed = lambda verb, ms: None
    dark: threading.Event = field(
        default_factory=threading.Event
    )  # set: the power is out, nobody hears an answer
    pause: float = 0.0  # seconds from one thing of a client to its next, on average; 0: full load
    enough: int = ENOUGH


# What a client is late by it makes up for, but no more than this: after a stall there is no storm.
LATE_S = 1.0


class Client(threading.Thread, ABC):
    def __init__(self, scene: Scene, number: int, rng: random.Random, stop: threading.Event) -> None:
        super().__init__(name=f"{type(self).__name__} {number}", daemon=True)
        self.scene, self.ledger = scene, scene.ledger
        self.number = number
        self.rng = rng
        self.stop = stop
        self.due = time.monotonic()  # when the next thing is

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self.session()
            except (OSError, smtplib.SMTPException) as error:
                self.ledger.counts["connections cut"] += 1
                self.scene.cuts.append(f"{self.name}: {type(error).__name__}: {error}")
                self.stop.wait(0.03)
            except Exception as error:  # noqa: BLE001 - a fault of this program: told, and the drill fails
                self.scene.errors.append(f"{self.name}: {type(error).__name__}: {error}")
                return

    @abstractmethod
    def session(self) -> None: ...

    def rest(self) -> None:
        """Until the next thing is due, however long the last one took: the load does not depend on the answers'
        times, so that a faster machine has no more of it."""
        if self.scene.pause:
            now = time.monotonic()
            self.due = max(self.due, now - LATE_S) + self.rng.expovariate(1 / self.scene.pause)
            if self.due > now:
                self.stop.wait(self.due - now)

    @contextmanager
    def clocked(self, verb: str) -> Iterator[None]:
        """Only what succeeds is timed."""
        began = time.perf_counter()
        yield
        self.scene.timed(verb, (time.perf_counter() - began) * 1000)

    def refused(self, recipients: Mapping[str, tuple[int, bytes]]) -> None:
        """At RCPT, with these replies."""
        self.ledger.counts["refused"] += len(recipients)
        self.scene.refusals += [(to, f"{code} {text.decode()}") for to, (code, text) in recipients.items()]

    def some_accounts(self) -> list[str]:
        accounts = self.scene.accounts
        return self.rng.sample(accounts, self.rng.randint(1, min(3, len(accounts))))


class Smtp(smtplib.SMTP):
    door = "smtp"

    def __init__(self, scene: Scene) -> None:
        self._dark = scene.dark
        super().__init__("127.0.0.1", scene.ports[self.door], local_hostname="drill.test", timeout=30)

    def getreply(self) -> tuple[int, bytes]:
        reply = super().getreply()
        if self._dark.is_set():
            raise smtplib.SMTPServerDisconnected("the power is out")
        return reply


class Lmtp(Smtp, smtplib.LMTP):
    door = "lmtp"


class Sender(Client):
    """SMTP: one 250 for all recipients, in both shards."""

    def session(self) -> None:
        with Smtp(self.scene) as smtp:
            for _ in range(20):
                self.rest()
                if self.stop.is_set():
                    return
                recipients = self.some_accounts()
                token = self.ledger.token()
                boxes = [self.ledger.box(account, INBOX) for account in recipients]
                self.ledger.offer(boxes, token)
                try:
                    with self.clocked("SMTP message"):
                        refused = smtp.sendmail("a@drill.test", recipients, letters.letter(token, self.rng))
                except smtplib.SMTPRecipientsRefused as error:
                    self.refused(error.recipients)
                    raise
                except smtplib.SMTPDataError as error:  # which of them is at fault is not said
                    text = error.smtp_error
                    said = text.decode() if isinstance(text, bytes) else text
                    self.scene.refusals.append((" ".join(recipients), f"{error.smtp_code} {said}"))
                    raise
                self.refused(refused)
                for account, box in zip(recipients, boxes, strict=True):
                    if account not in refused:
                        self.ledger.accepted(box, token)


class Postman(Client):
    """LMTP: a reply for each recipient (RFC 2033 4.2). Now and then the first message of an account."""

    def session(self) -> None:
        with Lmtp(self.scene) as lmtp:
            for _ in range(20):
                self.rest()
                if self.stop.is_set():
                    return
                with self.clocked("LMTP message"):
                    self.deliver(lmtp)

    def deliver(self, lmtp: smtplib.LMTP) -> None:
        recipients = self.some_accounts()
        if self.scene.guests and self.rng.random() < 0.02:
            recipients.append(self.scene.guests.pop())
        token = self.ledger.token()
        boxes = [self.ledger.box(account, INBOX) for account in recipients]
        lmtp.ehlo_or_helo_if_needed()
        if lmtp.mail("a@drill.test")[0] != 250:
            raise smtplib.SMTPServerDisconnected("MAIL was refused")
        said = {account: lmtp.rcpt(account) for account in recipients}
        self.refused({account: reply for account, reply in said.items() if reply[0] != 250})
        taken = [box for box in boxes if said[box.key[0]][0] == 250]
        if not taken:
            raise smtplib.SMTPServerDisconnected("every RCPT was refused")
        self.ledger.offer(taken, token)
        reply = lmtp.data(letters.letter(token, self.rng))
        for box in taken:
            if reply[0] == 250:
                self.ledger.accepted(box, token)
            else:
                self.ledger.counts["refused"] += 1
                self.scene.refusals.append((box.key[0], f"{reply[0]} {reply[1].decode()}"))
            if box is not taken[-1]:
                reply = lmtp.getreply()


class Mailbox:
    """One IMAP session of one account, and what the ledger must hear of it."""

    def __init__(self, scene: Scene, account: str) -> None:
        self.ledger = scene.ledger
        self.scene = scene
        self.account = account
        try:
            self.imap = Imap(scene.ports["imap"], account, PASSWORD, timed=scene.timed, dark=scene.dark)
        except LoginRefused as error:
            scene.locked_out.append((account, str(error)))
            raise
        self.selected: Box | None = None

    def select(self, name: str) -> Box:
        box = self.ledger.box(self.account, name)
        if self.selected is not box:
            least = box.modseq
            answer = self.must(b"SELECT " + name.encode())
            self.check_numbers(box, least, answer)
            self.selected = box
        return box

    def check_numbers(self, box: Box, least: int, answer: Answer) -> None:
        modseq = int(answer.code(b"HIGHESTMODSEQ") or 0)
        if modseq < least:
            self.ledger.violated("modseq", f"{box.key}: HIGHESTMODSEQ {modseq} after {least} was shown")
        self.ledger.shown_modseq(box, modseq)
        self.check_validity(box, int(answer.code(b"UIDVALIDITY") or 0))

    def check_validity(self, box: Box, uidvalidity: int) -> None:
        if not box.uidvalidity and uidvalidity > self.scene.validity.get(box.key, 0):
            box.uidvalidity = uidvalidity
            self.scene.told.setdefault(box.key, set()).add(uidvalidity)
        if box.uidvalidity != uidvalidity and self.scene.renumbers(box.key):
            box.uidvalidity = uidvalidity
        if box.uidvalidity != uidvalidity:
            self.ledger.violated("uidvalidity", f"{box.key}: {uidvalidity}, was {box.uidvalidity}")

    def must(self, *parts: bytes | tuple[bytes]) -> Answer:
        """OK, or the session is over: what was asked for stays unanswered."""
        answer = self.imap.command(*parts)
        if not answer.ok:
            self.ledger.counts["refused"] += 1
            self.scene.refusals.append((self.account, f"{answer.status} {answer.text.decode()}"))
            raise Refused(parts[0], answer)
        return answer

    def append(self, box: Box, octets: Sequence[bytes], tokens: list[str], flags: Flags) -> None:
        batch = Batch(box, tokens)
        self.ledger.begin(batch)
        parts: list[bytes | tuple[bytes]] = [b"APPEND " + box.key[1].encode()]
        for each in octets:
            parts += [f" ({' '.join(sorted(flags))}) ".encode(), (each,)]
        code = self.must(*parts).code(b"APPENDUID")
        assert code is not None, "APPENDUID"
        validity, _, uids = code.partition(b" ")
        self.check_validity(box, int(validity))
        self.ledger.stored(batch, numbers(uids), [flags] * len(tokens))

    def copy(self, source: Box, target: Box, uids: list[int], verb: bytes) -> None:
        """COPY or MOVE."""
        tokens = [source.names[uid] for uid in uids]
        flags = self.ledger.flags_of(source, uids)
        batch = Batch(target, tokens, *((source, uids) if verb == b"MOVE" else ()))
        self.ledger.begin(batch)
        code = self.must(b"UID %s %s %s" % (verb, uid_set(uids), target.key[1].encode())).code(b"COPYUID")
        validity, from_, to = (code or b"0  ").split(b" ")
        self.check_validity(target, int(validity))
        order = dict(zip(numbers(from_), zip(numbers(to), flags, strict=False), strict=False))
        self.ledger.stored(batch, [order[uid][0] for uid in uids], flags)
        if verb == b"COPY":
            self.ledger.release(source, uids)

    def store(self, box: Box, uids: list[int], sign: bytes, flags: Flags) -> None:
        before = self.ledger.flagging(box, uids)
        self.must(b"UID STORE %s %sFLAGS.SILENT (%s)" % (uid_set(uids), sign, " ".join(flags).encode()))
        self.ledger.flagged(box, uids, [old | flags if sign == b"+" else old - flags for old in before])

    def expunge(self, box: Box, uids: list[int]) -> None:
        self.store(box, uids, b"+", frozenset({"\\Deleted"}))
        self.ledger.expunging(box, uids)
        self.must(b"UID EXPUNGE " + uid_set(uids))
        self.ledger.expunged(box, uids)


class Writer(Client):
    """IMAP: every verb that changes something."""

    def session(self) -> None:
        mailbox = Mailbox(self.scene, self.rng.choice(self.scene.accounts))
        try:
            for _ in range(30):
                self.rest()
                if self.stop.is_set():
                    return
                self.work(mailbox)
        finally:
            mailbox.imap.close()

    def work(self, mailbox: Mailbox) -> None:
        box = mailbox.select(self.rng.choice((INBOX, INBOX, WORK, ARCHIVE)))
        if len(box.live) > self.scene.enough:
            self.expunge(mailbox, box, 30)
            return
        verbs: list[tuple[int, Callable[[Mailbox, Box], None]]] = [
            (5, self.append),
            (1, self.append_many),
            (4, self.store),
            (2, self.copy),
            (2, self.move),
            (2, self.expunge),
            (1, self.scratch),
        ]
        verb = self.rng.choices([each for _, each in verbs], [weight for weight, _ in verbs])[0]
        verb(mailbox, box)

    def append(self, mailbox: Mailbox, box: Box, count: int = 1) -> None:
        tokens = [self.ledger.token() for _ in range(count)]
        flags = frozenset(self.rng.sample(FLAGS, self.rng.randint(0, 2)))
        mailbox.append(box, [letters.letter(token, self.rng) for token in tokens], tokens, flags)

    def append_many(self, mailbox: Mailbox, box: Box) -> None:
        self.append(mailbox, box, MANY)

    def reserve(self, mailbox: Mailbox, box: Box, most: int, unknown_to: Box | None = None) -> list[int]:
        uids = self.ledger.reserve(box, self.rng.randint(1, most), unknown_to=unknown_to)
        if uids:
            mailbox.must(b"NOOP")  # the session's view has them all from here on
        return uids

    def store(self, mailbox: Mailbox, box: Box) -> None:
        uids = self.reserve(mailbox, box, 8)
        if uids:
            flags = frozenset(self.rng.sample(FLAGS, self.rng.randint(1, 3)))
            mailbox.store(box, uids, self.rng.choice((b"+", b"+", b"-")), flags)
            self.ledger.release(box, uids)

    def copy(self, mailbox: Mailbox, box: Box, verb: bytes = b"COPY") -> None:
        if box.key[1] in TARGETS:
            target = self.ledger.box(mailbox.account, self.rng.choice(TARGETS[box.key[1]]))
            uids = self.reserve(mailbox, box, 5, unknown_to=target)
            if uids:
                mailbox.copy(box, target, uids, verb)

    def move(self, mailbox: Mailbox, box: Box) -> None:
        self.copy(mailbox, box, b"MOVE")

    def expunge(self, mailbox: Mailbox, box: Box, most: int = 4) -> None:
        uids = self.reserve(mailbox, box, most)
        if uids:
            mailbox.expunge(box, uids)

    def scratch_name(self) -> str:
        return f"Scratch{self.number}"

    def scratch(self, mailbox: Mailbox, _box: Box) -> None:
        """A mailbox of this client alone: made, filled, deleted, and the same name again later."""
        name = self.scratch_name()
        key = (mailbox.account, name)
        if not self.scene.exists.get(key):
            self.scene.exists[key] = None
            mailbox.must(b"CREATE " + name.encode())
            self.scene.exists[key] = True
            self.scene.made[key] = time.time()
            self.ledger.counts["mailboxes made"] += 1
        box = self.ledger.box(*key)
        self.append(mailbox, box)
        if self.rng.random() < 0.7:
            self.scene.exists[key] = None
            mailbox.must(b"DELETE " + name.encode())
            self.scene.exists[key] = False
            self.scene.validity[key] = box.uidvalidity
            with self.ledger.lock:
                self.ledger.boxes.pop(key, None)
            self.ledger.counts["mailboxes deleted"] += 1


class Reader(Client):
    """IMAP: what anybody was shown once must be so for ever."""

    def session(self) -> None:
        mailbox = Mailbox(self.scene, self.rng.choice(self.scene.accounts))
        try:
            for name in itertools.islice(itertools.cycle((INBOX, WORK, ARCHIVE)), 9):
                self.rest()
                if self.stop.is_set():
                    return
                box = mailbox.select(name)
                newest = max(box.names, default=0)
                some = [*self.rng.sample(list(box.live), min(3, len(box.live))), newest + 1]
                look(mailbox, box, some)
        finally:
            mailbox.imap.close()


def look(mailbox: Mailbox, box: Box, uids: Sequence[int]) -> dict[int, str]:
    """Fetch whole messages: each must be whole, and the one that its UID always named. Returns UID -> token."""
    if not uids:
        return {}
    seen: dict[int, str] = {}
    answer = mailbox.must(b"UID FETCH %s (UID BODY.PEEK[])" % uid_set(list(uids)))
    for text, literals in answer.lines:
        if b" FETCH (" in text and literals:
            uid = int(text.split(b"UID ", 1)[1].split(b" ", 1)[0].rstrip(b")"))
            token, whole = letters.read(literals[0])
            if not whole:
                mailbox.ledger.violated(
                    "torn", f"{box.key}: UID {uid} is not what was sent ({token or 'no token'})"
                )
            mailbox.ledger.shown(box, uid, token)
            mailbox.ledger.read(box, uid, literals[0])
            mailbox.ledger.counts["messages read"] += 1
            seen[uid] = token
    return seen
