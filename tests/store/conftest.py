"""A real shard in a temporary folder, with the doors' way of calling it."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailplat.core.clock import Clock
from mailplat.core.executors import Executors
from mailplat.core.hint import Hint
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store import Appended, Mailbox, NewMessage, Report, Shard, Store, StoreLimits
from mailplat.store.repair import rebuild

HOME = Residence(1, "s1", 1)


class Hints:
    """A bus that remembers what was published."""

    def __init__(self) -> None:
        self.sent: list[Hint] = []

    def publish(self, hint: Hint) -> None:
        self.sent.append(hint)


def letter(subject: str = "Hello", text: str = "Text\r\n", extra: str = "") -> bytes:
    head = f"From: Ann <ann@example.test>\r\nTo: bob@example.test\r\nSubject: {subject}\r\n{extra}"
    return (head + "\r\n" + text).encode()


def new(octets: bytes | None = None, **more: object) -> NewMessage:
    return NewMessage(Body.of(letter() if octets is None else octets), **more)  # type: ignore[arg-type]


def allowed(quota: int | Quota) -> Quota:
    """Octets of an account alone, or all of it."""
    return quota if isinstance(quota, Quota) else Quota(quota)


class Rig:
    """Names of files change only when a test says so (`shard.settle_names()`), unless `upkeep`."""

    def __init__(
        self,
        path: Path,
        limits: StoreLimits | None = None,
        *,
        upkeep: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.path = path
        self.hints = Hints()
        self.executors = Executors()
        self.limits = limits or StoreLimits()
        self.clock = clock
        self.store = Store({"s1": path}, self.executors, self.hints, clock, self.limits, upkeep=upkeep)  # type: ignore[arg-type]
        self.shard: Shard = self.store.shard("s1")
        self.shard.grant(HOME.account_id, HOME.epoch)

    @property
    def inbox(self) -> Mailbox:
        return self.shard.mailbox(HOME, "INBOX")

    def append(
        self, *messages: NewMessage, mailbox: str = "INBOX", home: Residence = HOME, quota: int | Quota = 0
    ) -> list[Appended]:
        return asyncio.run(self.store.append(home, mailbox, list(messages), quota=allowed(quota)))

    def deliver(
        self, copies: Sequence[tuple[Residence, str, int | Quota]], message: NewMessage
    ) -> list[Appended]:
        allowed_copies = [(home, mailbox, allowed(quota)) for home, mailbox, quota in copies]
        return asyncio.run(self.store.deliver(allowed_copies, message))

    def fill(self, count: int, mailbox: str = "INBOX") -> list[int]:
        done = self.append(*(new(letter(f"Number {n}")) for n in range(count)), mailbox=mailbox)
        return [each.uid for each in done]

    def files(self, account_id: int = 1) -> list[Path]:
        """Every message file of the account."""
        found = [
            path
            for place in ("cur", "new")
            for path in self.shard.site.account_folder(account_id).rglob(f"{place}/*")
            if path.is_file()
        ]
        return sorted(found)

    def reopen(self) -> None:
        """As a new process would."""
        self.store.close()
        self.store = Store(
            {"s1": self.path}, self.executors, self.hints, self.clock, self.limits, upkeep=False
        )  # type: ignore[arg-type]
        self.shard = self.store.shard("s1")

    def rebuild(self) -> Report:
        """As `mailplat shard rebuild` does, also where the shard is refused."""
        self.store.close()
        with self.store.mending("s1") as shard:
            report = rebuild(shard)
        self.reopen()
        return report

    def close(self) -> None:
        self.store.close()
        self.executors.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "s1")
    yield rig
    rig.close()
