"""Clients that remember: what they have once downloaded they must never have to download again.

Cacher knows UIDs, flags and MODSEQs and asks for the differences alone (QRESYNC, RFC 7162 3.2.5); Popper knows
messages by their UIDL (RFC 1939 7); Idler holds IDLE (RFC 2177) and minds when it is cut; Waiter measures how long
somebody who uses the account waits for an answer.
"""

import hashlib
import itertools
import poplib
import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.crash import letters
from tests.crash.clients import ARCHIVE, INBOX, PASSWORD, WORK, Client, Mailbox, Scene, Writer, look
from tests.crash.imap import Answer, numbers, uid_set
from tests.crash.inspection import forget
from tests.crash.ledger import Box, Flags

BOXES = (INBOX, WORK, ARCHIVE)

_ROW = re.compile(rb"FETCH \((.*)\)\Z", re.DOTALL)
_UID = re.compile(rb"\bUID (\d+)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_VANISHED = re.compile(rb"\* VANISHED (?:\(EARLIER\) )?(\S+)\Z")
_TOKEN = re.compile(rb"X-Crash-Token: (\S+)")

# Seconds of an Idler in IDLE before it looks around by itself, and of a Waiter between two answers.
IDLE_S = 20.0
PULSE_S = 0.1


class Mover(Writer):
    """A Writer that uses the name of a mailbox which it deleted never again: whether another one has taken its place
    is what the engine asks a person (migration/delta.py). Who expunges much at a time meets its brake."""

    _serial = itertools.count()
    _scratch = ""

    def __init__(self, scene: Scene, number: int, rng: random.Random, stop: threading.Event) -> None:
        super().__init__(scene, number, rng, stop)
        self._unanswered: list[tuple[str, str]] = []  # mailboxes whose CREATE or DELETE got no answer

    def session(self) -> None:
        while self._unanswered:
            self._delete_again(*self._unanswered[-1])
            self._unanswered.pop()
        super().session()

    def _delete_again(self, account: str, name: str) -> None:
        """As somebody does who still sees it. A Dovecot that was killed half-way through a DELETE has the mailbox in
        its list, and says of it "was deleted under us", until it is asked to delete it once more."""
        mailbox = Mailbox(self.scene, account)
        try:
            mailbox.imap.command(b"DELETE " + name.encode())
            answer = mailbox.must(b'LIST "" ' + name.encode())
        finally:
            mailbox.imap.close()
        if not any(b" LIST " in line for line, _ in answer.lines):
            self.scene.exists[account, name] = False
            forget(self.scene, (account, name))

    def append_many(self, mailbox: Mailbox, box: Box) -> None:
        self.append(mailbox, box, 4)

    def expunge(self, mailbox: Mailbox, box: Box, most: int = 2) -> None:
        super().expunge(mailbox, box, most)

    def scratch_name(self) -> str:
        if not self._scratch or self.rng.random() < 0.5:
            self._scratch = f"Scratch{next(self._serial)}"
        return self._scratch

    def scratch(self, mailbox: Mailbox, box: Box) -> None:
        before = self.ledger.counts["mailboxes deleted"]
        try:
            super().scratch(mailbox, box)
        except OSError:
            key = mailbox.account, self._scratch
            if self.scene.exists.get(key, False) is None:
                self._unanswered.append(key)
                self._scratch = ""
            raise
        if self.ledger.counts["mailboxes deleted"] != before:
            self._scratch = ""


@dataclass
class Cache:
    """One mailbox as a client keeps it between its sessions."""

    validity: int = 0
    modseq: int = 0
    flags: dict[int, Flags] = field(default_factory=dict)
    tokens: dict[int, str] = field(default_factory=dict)

    def absorb(self, answer: Answer) -> None:
        """What the server tells by itself, and what was asked for."""
        for text, _ in answer.lines:
            if found := _VANISHED.match(text):
                for gone in numbers(found[1]):
                    self.flags.pop(gone, None)
                    self.tokens.pop(gone, None)
            elif (
                (row := _ROW.search(text))
                and (uid := _UID.search(row[1]))
                and (words := _FLAGS.search(row[1]))
            ):
                self.flags[int(uid[1])] = frozenset(words[1].decode().split()) - {"\\Recent"}


class Caches:
    """Of all accounts; each account has one client that uses them at a time."""

    def __init__(self) -> None:
        self.boxes: dict[tuple[str, str], Cache] = {}
        self._using: set[str] = set()
        self._lock = threading.Lock()

    def box(self, account: str, name: str) -> Cache:
        return self.boxes.setdefault((account, name), Cache())

    def take(self, among: Sequence[str], rng: random.Random) -> str | None:
        with self._lock:
            free = [each for each in among if each not in self._using]
            if not free:
                return None
            account = rng.choice(free)
            self._using.add(account)
            return account

    def give_back(self, account: str) -> None:
        with self._lock:
            self._using.discard(account)


class Cacher(Client):
    def __init__(self, scene: Scene, number: int, rng: random.Random, stop: threading.Event, caches: Caches):
        super().__init__(scene, number, rng, stop)
        self.caches = caches

    def session(self) -> None:
        account = self.caches.take(self.scene.accounts, self.rng)
        if account is None:
            self.stop.wait(0.05)
            return
        try:
            mailbox = Mailbox(self.scene, account)
            try:
                mailbox.must(b"ENABLE QRESYNC")
                left: Cache | None = None
                for name in BOXES:
                    self.rest()
                    cache = self.caches.box(account, name)
                    resynchronise(mailbox, name, cache, left)
                    left = cache
            finally:
                mailbox.imap.close()
        finally:
            self.caches.give_back(account)


def resynchronise(mailbox: Mailbox, name: str, cache: Cache, left: Cache | None = None) -> None:
    """As a client does that was here before; `left`: of the mailbox that is selected until now. Raises as Mailbox."""
    ledger, box = mailbox.ledger, mailbox.ledger.box(mailbox.account, name)
    known = b" (QRESYNC (%d %d))" % (cache.validity, cache.modseq) if cache.validity else b""
    least = box.modseq
    answer = mailbox.must(b"SELECT " + name.encode() + known)
    mailbox.selected = None
    mailbox.check_numbers(box, least, answer)
    before, answer = answer.split_at_closed()
    if left is not None:
        left.absorb(before)
    validity, modseq = int(answer.code(b"UIDVALIDITY") or 0), int(answer.code(b"HIGHESTMODSEQ") or 0)
    if cache.validity and validity != cache.validity:
        ledger.violated(
            "downloaded again", f"{box.key}: UIDVALIDITY {validity} ends a cache of {cache.validity}"
        )
        cache.flags.clear()
        cache.tokens.clear()
    if not known or validity != cache.validity:
        cache.absorb(mailbox.must(b"UID FETCH 1:* (UID FLAGS)"))
    else:
        cache.absorb(answer)
        ledger.counts["resynchronised"] += 1
    cache.validity, cache.modseq = validity, modseq
    if wanted := sorted(cache.flags.keys() - cache.tokens.keys()):
        download(mailbox, box.key, cache, wanted)


def download(mailbox: Mailbox, key: tuple[str, str], cache: Cache, wanted: list[int]) -> None:
    """Messages that the cache does not have: none of them may be one that it has under another UID."""
    have = {token: uid for uid, token in cache.tokens.items()}
    question = b"UID FETCH %s (UID BODY.PEEK[HEADER.FIELDS (X-Crash-Token)])" % uid_set(wanted)
    answer = mailbox.must(question)
    for text, literals in answer.lines:
        uid, token = _UID.search(text), _TOKEN.search(literals[0]) if literals else None
        if uid is None or token is None:
            continue
        name = token[1].decode()
        if have.get(name, int(uid[1])) != int(uid[1]):
            box, twins = mailbox.ledger.box(*key), [have[name], int(uid[1])]
            look(mailbox, box, twins)
            twice = mailbox.ledger.twins(box, *twins) == "delivered twice"
            kind = "delivered twice" if twice else "renumbered"
            mailbox.ledger.violated(kind, f"{key}: {name} was UID {twins[0]} and is UID {twins[1]}")
        cache.tokens[int(uid[1])] = name
        mailbox.ledger.counts["downloaded by caching clients"] += 1
    cache.absorb(answer)


def compare_caches(scene: Scene, caches: Caches, accounts: Sequence[str]) -> None:
    """With all clients still: after one more resynchronisation a cache must be what the mailbox is. Raises as
    Mailbox."""
    for account in accounts:
        mailbox = Mailbox(scene, account)
        try:
            mailbox.must(b"ENABLE QRESYNC")
            left: Cache | None = None
            for name in BOXES:
                cache = caches.box(account, name)
                resynchronise(mailbox, name, cache, left)
                left = cache
                fresh = Cache()
                fresh.absorb(mailbox.must(b"UID FETCH 1:* (UID FLAGS)"))
                for uid in sorted(cache.flags.keys() ^ fresh.flags.keys()):
                    here = "is not known to" if uid in fresh.flags else "is still in"
                    scene.ledger.violated("cache", f"{account} {name}: UID {uid} {here} a client's cache")
                for uid in sorted(cache.flags.keys() & fresh.flags.keys()):
                    if cache.flags[uid] != fresh.flags[uid]:
                        old, new = sorted(cache.flags[uid]), sorted(fresh.flags[uid])
                        text = f"{account} {name}: UID {uid} has {new}, a client's cache says {old}"
                        scene.ledger.violated("cache", text)
                scene.ledger.counts["caches compared"] += 1
        finally:
            mailbox.imap.close()


class Poppers:
    """UIDL -> token of each account, in the server's order."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, str]] = {}
        self.digests: dict[tuple[str, str], bytes] = {}  # account, UIDL


class Popper(Client):
    """Leaves mail on the server."""

    def __init__(
        self, scene: Scene, number: int, rng: random.Random, stop: threading.Event, poppers: Poppers
    ):
        super().__init__(scene, number, rng, stop)
        self.poppers = poppers

    def session(self) -> None:
        self.rest()
        accounts = self.scene.accounts
        poll(self.scene, self.rng.choice(accounts[self.number % 2 :: 2] or accounts), self.poppers)


def poll(scene: Scene, account: str, poppers: Poppers) -> None:
    """Raises ConnectionError, OSError."""
    pop = poplib.POP3("127.0.0.1", scene.ports["pop3"], timeout=60)
    try:
        pop.user(account)
        try:
            pop.pass_(PASSWORD)
        except poplib.error_proto as error:
            if error.args[0] != b"-ERR EOF":
                scene.locked_out.append((account, f"POP3 {error}"))
            raise
        listing = [line.decode().split(" ", 1) for line in pop.uidl()[1]]
        _check_listing(scene, account, [uidl for _, uidl in listing], poppers)
        known = poppers.known.setdefault(account, {})
        tokens = {token: uidl for uidl, token in known.items()}
        for number, uidl in listing:
            if uidl in known:
                continue
            octets = b"\r\n".join(pop.retr(int(number))[1]) + b"\r\n"
            poppers.digests[account, uidl] = hashlib.sha256(octets).digest()
            token, whole = letters.read(octets)
            if not whole:
                scene.ledger.violated("torn", f"{account}: UIDL {uidl} is not what was sent ({token})")
            if token in tokens:
                text = f"{account}: {token} was UIDL {tokens[token]} and is UIDL {uidl}"
                same = poppers.digests[account, uidl] == poppers.digests[account, tokens[token]]
                scene.ledger.violated("downloaded again" if same else "delivered twice", text)
            known[uidl] = token
            scene.ledger.counts["downloaded over POP3"] += 1
        pop.quit()
        scene.ledger.counts["POP3 polls"] += 1
    except poplib.error_proto as error:
        raise ConnectionError(f"POP3: {error}") from error
    finally:
        pop.close()


def _check_listing(scene: Scene, account: str, listing: Sequence[str], poppers: Poppers) -> None:
    """Messages that were there before stand in the same order; one that is not listed any more is gone for ever."""
    known = poppers.known.setdefault(account, {})
    place = {uidl: at for at, uidl in enumerate(known)}
    old = [place[uidl] for uidl in listing if uidl in place]
    if old != sorted(old):
        scene.ledger.violated("order", f"{account}: POP3 lists in another order than before")
    if len(set(listing)) != len(listing):
        scene.ledger.violated("order", f"{account}: a UIDL is listed twice")
    for uidl in known.keys() - set(listing):
        del known[uidl]


class Idler(Client):
    """In IDLE on one account's inbox."""

    def __init__(self, scene: Scene, number: int, rng: random.Random, stop: threading.Event, account: str):
        super().__init__(scene, number, rng, stop)
        self.account = account

    def session(self) -> None:
        mailbox = Mailbox(self.scene, self.account)
        try:
            mailbox.select(INBOX)
            self.ledger.counts["IDLE connections"] += 1
            while not self.stop.is_set():
                mailbox.imap.idle()
                if not self.listen(mailbox):
                    back = self.account.partition("@")[2] in self.scene.going_back
                    self.ledger.counts[
                        f"IDLE connections {'ended by the way back' if back else 'dropped'}"
                    ] += 1
                    return
                mailbox.imap.done()
                self.ledger.counts["IDLE rounds"] += 1
        finally:
            mailbox.imap.close()

    def listen(self, mailbox: Mailbox) -> bool:
        """False when the server ended it. Every two seconds somebody looks whether it is time to stop."""
        until = time.monotonic() + IDLE_S
        while time.monotonic() < until and not self.stop.is_set():
            if mailbox.imap.readable(0.5):
                try:
                    if mailbox.imap.heard().startswith(b"* BYE"):
                        return False
                except ConnectionError:
                    return False
        return True


class Waiter(Client):
    """Somebody who looks at one account all the time: `longest`, ms, that an answer took to come, a new connection
    and its login included where the old one was ended."""

    def __init__(self, scene: Scene, number: int, rng: random.Random, stop: threading.Event, account: str):
        super().__init__(scene, number, rng, stop)
        self.account = account
        self.longest = 0.0
        self._asked = 0.0
        self.ready = threading.Event()  # it is connected

    def session(self) -> None:
        self._asked = self._asked or time.perf_counter()
        mailbox = Mailbox(self.scene, self.account)
        try:
            mailbox.must(b"EXAMINE INBOX")
            while not self.stop.is_set():
                mailbox.must(b"NOOP")
                now = time.perf_counter()
                if self.ready.is_set():
                    self.longest = max(self.longest, (now - self._asked) * 1000)
                self.ready.set()
                self.stop.wait(PULSE_S)
                self._asked = time.perf_counter()
        finally:
            mailbox.imap.close()


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and max; of nothing nothing."""
    if not values:
        return {}
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"p50": at(0.50), "p99": at(0.99), "max": ordered[-1]}
