"""What an account has, as its client sees it over IMAP and POP3: made once, and looked at before and after."""

import contextlib
import hashlib
import poplib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

PASSWORD = "a password"
NAMES = ("Sent", "Entwürfe", "Projects", "Projects/2024", "Ablage & Co", "空 folder")
FLAGS = (b"\\Seen", b"\\Flagged", b"\\Answered", b"\\Draft", b"$Forwarded", b"Work")
BEGAN = datetime(2024, 2, 28, 23, 59, 1, tzinfo=UTC)
FETCHED = 200


@dataclass(frozen=True, slots=True)
class Letter:
    flags: frozenset[bytes]
    date: float
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Box:
    uidvalidity: int
    letters: dict[int, Letter]  # by UID


@dataclass(slots=True)
class Sight:
    """`uidls`: POP3's, with sizes, in its order."""

    boxes: dict[str, Box]
    subscribed: frozenset[str]
    namespace: tuple[str, str]
    uidls: list[tuple[str, int]] = field(default_factory=list)


@contextlib.contextmanager
def session(port: int, address: str) -> Iterator[IMAPClient]:
    with IMAPClient("127.0.0.1", port, ssl=False, timeout=60) as client:
        client.normalise_times = False
        client.login(address, PASSWORD)
        yield client


def furnish(port: int, address: str, letters: Sequence[bytes], rng: random.Random) -> int:
    """Mailboxes, flags, gaps, subscriptions; how many letters the server would not take."""
    refused = 0
    with session(port, address) as client:
        prefix, separator = client.namespace().personal[0]
        names = ["INBOX", *(prefix + name.replace("/", separator) for name in NAMES)]
        for name in names[1:]:
            client.create_folder(name)
        client.subscribe_folder(names[1])
        client.subscribe_folder(names[4])
        for number, octets in enumerate(letters):
            name = names[0] if number % 2 else names[number // 2 % len(names)]
            flags = rng.sample(FLAGS, rng.randrange(4))
            try:
                client.append(name, octets, flags, BEGAN + timedelta(hours=7 * number, seconds=number))
            except IMAPClientError:
                refused += 1
        for name in names:
            client.select_folder(name)
            uids = client.search()
            if len(uids) > 4:
                client.add_flags(uids[1:3], [b"\\Deleted"])
                client.expunge()
                client.add_flags(uids[3:4], [b"\\Deleted"])  # stays
            client.unselect_folder() if client.has_capability("UNSELECT") else client.select_folder(
                "INBOX", True
            )
    return refused


def work(port: int, address: str, letter: bytes, rng: random.Random) -> None:
    """A few things that people do."""
    with session(port, address) as client:
        prefix, _ = client.namespace().personal[0]
        client.append(f"{prefix}Sent", letter, [b"\\Seen"])
        client.select_folder("INBOX")
        uids = client.search()
        chosen = rng.sample(uids, min(3, len(uids)))
        client.add_flags(chosen, [b"\\Answered"])
        client.remove_flags(chosen[:1], [b"\\Seen"])
        if len(uids) > 6:
            client.copy(uids[4:6], f"{prefix}Projects")
            client.add_flags(uids[5:6], [b"\\Deleted"])
            client.expunge()


def look(imap: int, pop3: int, address: str) -> Sight:
    boxes: dict[str, Box] = {}
    with session(imap, address) as client:
        for flags, _, name in client.list_folders():
            if {b"\\noselect", b"\\nonexistent"} & {flag.lower() for flag in flags}:
                continue
            opened = client.select_folder(name, readonly=True)
            boxes[name] = Box(opened[b"UIDVALIDITY"], dict(_letters(client)))
        subscribed = frozenset(
            name
            for flags, _, name in client.list_sub_folders()
            if b"\\noselect" not in {f.lower() for f in flags}
        )
        namespace = client.namespace().personal[0]
    return Sight(boxes, subscribed, namespace, _uidls(pop3, address))


def _letters(client: IMAPClient) -> Iterator[tuple[int, Letter]]:
    uids = client.search()
    for at in range(0, len(uids), FETCHED):
        items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"]
        for uid, found in client.fetch(uids[at : at + FETCHED], items).items():
            flags = frozenset(flag for flag in found[b"FLAGS"] if flag != b"\\Recent")
            octets = found[b"BODY[]"]
            when = found[b"INTERNALDATE"].timestamp()
            yield uid, Letter(flags, when, found[b"RFC822.SIZE"], hashlib.sha256(octets).hexdigest())


def _uidls(port: int, address: str) -> list[tuple[str, int]]:
    client = poplib.POP3("127.0.0.1", port, timeout=60)
    try:
        client.user(address)
        client.pass_(PASSWORD)
        names = [line.decode().split(" ", 1)[1] for line in client.uidl()[1]]
        sizes = [int(line.split()[1]) for line in client.list()[1]]
        return list(zip(names, sizes, strict=True))
    finally:
        client.quit()


def compare(before: Sight, after: Sight, *, made: Sequence[str] = ()) -> list[str]:
    """What a client would notice. `made`: mailboxes that are numbered anew, whose letters are looked at alone."""
    found = []
    if before.namespace != after.namespace:
        found.append(f"namespace: {before.namespace} was, {after.namespace} is")
    if before.subscribed != after.subscribed:
        found.append(f"subscriptions: {sorted(before.subscribed ^ after.subscribed)}")
    for name in sorted(set(before.boxes) ^ set(after.boxes)):
        found.append(f"mailbox {name!r} is {'gone' if name in before.boxes else 'new'}")
    for name in sorted(set(before.boxes) & set(after.boxes)):
        was, now = before.boxes[name], after.boxes[name]
        if was.uidvalidity != now.uidvalidity and name not in made:
            found.append(f"{name}: UIDVALIDITY {was.uidvalidity} was, {now.uidvalidity} is")
        for uid in sorted(set(was.letters) ^ set(now.letters)):
            found.append(f"{name}: UID {uid} is {'lost' if uid in was.letters else 'new'}")
        for uid in sorted(set(was.letters) & set(now.letters)):
            one, other = was.letters[uid], now.letters[uid]
            for what in ("flags", "date", "size", "digest"):
                if getattr(one, what) != getattr(other, what):
                    found.append(
                        f"{name}: UID {uid}: {what} {getattr(one, what)} was, {getattr(other, what)} is"
                    )
    if before.uidls != after.uidls:
        kept = [each for each in before.uidls if each in after.uidls]
        found.append(
            f"POP3: {len(before.uidls)} were, {len(after.uidls)} are, {len(kept)} of them known; first"
            f" {before.uidls[:2]} was, {after.uidls[:2]} is"
        )
    return found
