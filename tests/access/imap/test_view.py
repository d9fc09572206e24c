"""Three clients on one mailbox at once: each must be able to follow by what it is told alone.

RFC 3501 5.5 and 7.4.1: sequence numbers are right for each client at every moment, and no EXPUNGE comes while FETCH,
STORE or SEARCH is answered. Each client has enabled something else: nothing, CONDSTORE, QRESYNC (RFC 7162 3.2.10:
VANISHED instead of EXPUNGE), UIDONLY (RFC 9586: no sequence numbers at all).
"""

import asyncio
import random
import re

import pytest

from tests.access.imap.client import Answer, Client
from tests.access.imap.conftest import Rig, message

_COUNTED = re.compile(rb"\* (\d+) (EXISTS|EXPUNGE|(?:UID)?FETCH \((.*)\))\Z", re.DOTALL)
_VANISHED = re.compile(rb"\* VANISHED ([0-9:,]+)\Z")
_KINDS = ["", "", "CONDSTORE", "QRESYNC", "QRESYNC", "UIDONLY", "UIDONLY QRESYNC"]
_FLAGS = ["\\Seen", "\\Flagged", "\\Deleted", "\\Deleted", "$Work", "$Home"]


class Reader:
    """A client with a memory: which UID it believes behind each number, and with which flags."""

    def __init__(self, client: Client, kind: str = "") -> None:
        self.client = client
        self.kind = kind  # what it has enabled
        self.uids: list[int | None] = []  # None: not told yet
        self.flags: dict[int, frozenset[bytes]] = {}

    async def run(self, command: str) -> Answer:
        tag = self.client.start(command.encode())
        answer = await self.client.answer(tag)
        if ".SILENT" in command:
            self.assume(command)
        renumbers = not command.startswith(("FETCH", "STORE", "SEARCH")) or "UIDONLY" in self.kind
        for line in answer.lines:
            self.hear(line, renumbers=renumbers)
        assert answer.status == b"OK" or b"EXPUNGEISSUED" in answer.tagged, (command, answer)
        return answer

    def assume(self, command: str) -> None:
        """.SILENT: the client works out for itself what its STORE did."""
        found = re.fullmatch(r"(UID )?STORE (\S+) (.?)FLAGS.SILENT \((.*)\)", command)
        assert found is not None
        flag = frozenset((found[4].encode(),))
        for place in self.places(found[2], by_uid=bool(found[1])):
            uid = self.uids[place]
            if uid in self.flags:
                known = self.flags[uid]
                self.flags[uid] = {"+": known | flag, "-": known - flag}.get(found[3], flag)

    def places(self, numbers: str, *, by_uid: bool) -> set[int]:
        """Positions that a set names, as far as we know."""
        known = [
            (uid if by_uid else place + 1, place) for place, uid in enumerate(self.uids) if uid is not None
        ]
        # The last UID may be one that we were not told of yet; it is larger than all that we know.
        largest = (self.uids[-1] or 10**9) if by_uid else len(self.uids)
        if "UIDONLY" in self.kind:
            largest = 10**9 if None in self.uids else max(filter(None, self.uids))
        found = set()
        for item in numbers.split(","):
            ends = [largest if end == "*" else int(end) for end in item.split(":")]
            found |= {place for number, place in known if min(ends) <= number <= max(ends)}
        return found

    def hear(self, line: bytes, *, renumbers: bool) -> None:
        if vanished := _VANISHED.match(line):
            assert renumbers, "VANISHED while numbers are in use"
            assert "QRESYNC" in self.kind or "UIDONLY" in self.kind
            for item in vanished[1].split(b","):
                low, _, high = item.partition(b":")
                for uid in range(int(low), int(high or low) + 1):
                    del self.uids[self.place(uid)]
            return
        found = _COUNTED.match(line)
        if found is None:
            return
        number = int(found[1])
        if found[2] == b"EXISTS":
            assert number >= len(self.uids), "EXISTS never takes messages away"
            self.uids += [None] * (number - len(self.uids))
        elif found[2] == b"EXPUNGE":
            assert renumbers, "EXPUNGE while numbers are in use"
            assert self.kind in ("", "CONDSTORE")
            del self.uids[number - 1]  # IndexError: a message that we were never told of
        elif found[2].startswith(b"UID"):
            assert "UIDONLY" in self.kind
            place = self.place(number)
            self.uids[place] = number
            self.hear_fetch(place + 1, found[3])
        else:
            assert "UIDONLY" not in self.kind
            self.hear_fetch(number, found[3])

    def place(self, uid: int) -> int:
        """Where a UID is; of one that we do not know, where it may be: some place between those that we do. With
        UIDONLY places have no meaning, and `uids` no order."""
        if uid in self.uids:
            return self.uids.index(uid)
        if "UIDONLY" in self.kind:
            return self.uids.index(None)  # ValueError: a message that we were never told of
        above = [place for place, known in enumerate(self.uids) if known and known > uid]
        place = (above[0] if above else len(self.uids)) - 1
        assert self.uids[place] is None, "a UID of a message that we were never told of"
        return place

    def hear_fetch(self, number: int, items: bytes) -> None:
        uid_found = re.search(rb"UID (\d+)", items)
        if uid_found is not None:
            uid = int(uid_found[1])
            assert self.uids[number - 1] in (None, uid), "a number means another message than we were told"
            self.uids[number - 1] = uid
        uid_known = self.uids[number - 1]
        flags = re.search(rb"FLAGS \(([^)]*)\)", items)
        if flags is not None and uid_known is not None:
            self.flags[uid_known] = frozenset(flags[1].split())


class Chaos:
    """Random commands, each fit for what its client knows."""

    def __init__(self, rig: Rig, dice: random.Random) -> None:
        self.rig = rig
        self.dice = dice
        self.delivered = 0

    async def deliver(self) -> None:
        for _ in range(self.dice.randrange(1, 4)):
            self.delivered += 1
            await self.rig.deliver(message(str(self.delivered)))

    def numbers(self, count: int) -> str:
        low, high = sorted(self.dice.randrange(1, count + 1) for _ in range(2))
        return self.dice.choice([f"{low}", f"{low}:{high}", f"{high}:{low},{low}", f"{low}:*"])

    def command(self, reader: Reader) -> str:
        count = len(reader.uids)
        choices = ["NOOP", "EXPUNGE", "SEARCH NOT DELETED", "UID SEARCH SUBJECT 1", "UID FETCH 1:* (FLAGS)"]
        if count:
            numbers = self.numbers(count)
            uids = self.numbers(self.delivered + 5)
            flag = self.dice.choice(_FLAGS)
            sign, silent = self.dice.choice(["", "+", "-"]), self.dice.choice(["", ".SILENT"])
            choices += [
                f"FETCH {numbers} (UID FLAGS)",
                f"FETCH {numbers} (UID RFC822.SIZE)",
                f"FETCH {numbers} (UID BODY[HEADER])",
                f"STORE {numbers} {sign}FLAGS{silent} ({flag})",
                f"STORE {numbers} {sign}FLAGS{silent} ({flag})",
                f"UID STORE {uids} {sign}FLAGS{silent} ({flag})",
                f"UID EXPUNGE {uids}",
                f"COPY {numbers} INBOX",
                f"MOVE {numbers} Other",
                f"UID MOVE {uids} Other",
                f"UID COPY {uids} INBOX",
            ]
        if "UIDONLY" in reader.kind:
            choices = [each for each in choices if each.startswith(("UID", "NOOP", "EXPUNGE"))]
        return self.dice.choice(choices)


@pytest.mark.parametrize("seed", range(14))
async def test_three_clients(rig: Rig, seed: int) -> None:
    dice = random.Random(seed)
    chaos = Chaos(rig, dice)
    setup = await rig.login()
    await setup.ok("CREATE Other")
    await chaos.deliver()
    readers = []
    for _ in range(3):
        reader = Reader(await rig.login(), dice.choice(_KINDS))
        if reader.kind:
            await reader.client.ok(f"ENABLE {reader.kind}")
        await reader.run("SELECT INBOX")
        readers.append(reader)
    for _ in range(25):
        chosen = dice.sample(readers, dice.randrange(1, 4))
        work = [reader.run(chaos.command(reader)) for reader in chosen]
        if dice.random() < 0.4:
            work.append(chaos.deliver())  # type: ignore[arg-type]
        await asyncio.gather(*work)
    truth = rig.shard.snapshot(rig.residence, rig.shard.mailbox(rig.residence, "INBOX").id)
    flags = {
        uid: frozenset(flag.encode() for flag in truth.flagsets[number])
        for uid, number in zip(truth.uids, truth.flags, strict=True)
    }
    for reader in readers:
        await reader.run("NOOP")
        believed = {uid: reader.flags.get(uid) for uid in reader.uids if uid is not None}
        assert len(reader.uids) == len(truth.uids)
        for uid, known in believed.items():
            assert known is None or known == flags[uid], "flags changed and the client was not told"
        await reader.run("UID FETCH 1:* (UID FLAGS)" if reader.uids else "NOOP")
        assert (sorted(filter(None, reader.uids)) if "UIDONLY" in reader.kind else reader.uids) == list(
            truth.uids
        )


async def test_came_and_went_unheard(rig: Rig) -> None:
    """A message that was delivered and expunged between two commands leaves no trace."""
    await rig.deliver(message("one"))
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    await rig.deliver(message("two"))
    await other.ok("NOOP")
    await other.ok("STORE 2 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    await rig.deliver(message("three"))
    assert await client.ok("NOOP") == [b"* 2 EXISTS"]
    assert await client.ok("FETCH 2 UID") == [b"* 2 FETCH (UID 3)"]


async def test_mod_sequences_are_told_once_asked_for(rig: Rig) -> None:
    """RFC 7162 3.1: after a CONDSTORE-enabling command every FETCH of flags has MODSEQ."""
    await rig.deliver(message("one"))
    client, other = await rig.login(), await rig.login("INBOX")
    await client.ok("SELECT INBOX (CONDSTORE)")
    await other.ok("STORE 1 +FLAGS (\\Seen)")
    [line] = await client.ok("NOOP")
    assert re.fullmatch(rb"\* 1 FETCH \(UID 1 MODSEQ \(\d+\) FLAGS \(\\Seen\)\)", line)
    [line] = await client.ok("STORE 1 +FLAGS.SILENT (\\Flagged)")
    assert re.fullmatch(rb"\* 1 FETCH \(UID 1 MODSEQ \(\d+\) FLAGS \(\\Flagged \\Seen\)\)", line)
