"""QRESYNC (RFC 7162 3.2): a client that was away comes back."""

import random
import re
from dataclasses import dataclass, field, replace

import pytest

from mailplat.store.tombstones import forget_tombstones
from tests.access.imap.client import Client
from tests.access.imap.conftest import Rig, message


async def remembering(rig: Rig, count: int) -> Client:
    """A client with QRESYNC in a mailbox of `count` messages."""
    await rig.deliver(*(message(str(number)) for number in range(1, count + 1)))
    client = await rig.login()
    assert await client.ok("ENABLE QRESYNC") == [b"* ENABLED QRESYNC"]
    await client.ok("SELECT INBOX")
    return client


def forget(rig: Rig, tombstones: int) -> None:
    rig.shard.site.limits = replace(rig.shard.site.limits, tombstones=tombstones)
    forget_tombstones(rig.shard.site)


def numbers(rig: Rig) -> tuple[int, int]:
    """UIDVALIDITY and HIGHESTMODSEQ."""
    mailbox = rig.shard.mailbox(rig.residence, "INBOX")
    return mailbox.uidvalidity, mailbox.modseq


async def test_away_and_back(rig: Rig) -> None:
    client = await remembering(rig, 5)
    validity, modseq = numbers(rig)
    other = await rig.login("INBOX")
    await other.ok("STORE 1,3 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    await other.ok("UID STORE 4 +FLAGS (\\Seen)")
    await rig.deliver(message("6"))
    await client.talk(
        f"""
        C: a UNSELECT
        S: a OK ...
        C: b SELECT INBOX (QRESYNC ({validity} {modseq}))
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 4 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY {validity}] ...
        S: * OK [UIDNEXT 7] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: * VANISHED (EARLIER) 1,3
        S: * 2 FETCH (UID 4 MODSEQ (...) FLAGS (\\Seen))
        S: * 4 FETCH (UID 6 MODSEQ (...) FLAGS ())
        S: b OK [READ-WRITE] ...
        C: c EXAMINE INBOX (CONDSTORE QRESYNC ({validity} {modseq} 3:5))
        S: * OK [CLOSED] ...
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 4 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY {validity}] ...
        S: * OK [UIDNEXT 7] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: * VANISHED (EARLIER) 3
        S: * 2 FETCH (UID 4 MODSEQ (...) FLAGS (\\Seen))
        S: c OK [READ-ONLY] ...
        C: d UID FETCH 2:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)
        S: * VANISHED (EARLIER) 3
        S: * 2 FETCH (UID 4 FLAGS (\\Seen) MODSEQ (...))
        S: * 4 FETCH (UID 6 FLAGS () MODSEQ (...))
        S: d OK ...
        C: e UID FETCH 1 (FLAGS) (CHANGEDSINCE {modseq} VANISHED)
        S: * VANISHED (EARLIER) 1
        S: e OK ...
        """
    )
    # Another UIDVALIDITY: what the client knows is of another mailbox, and nothing of it is answered.
    lines = await client.ok(f"SELECT INBOX (QRESYNC ({validity + 1} {modseq} 1:5))")
    assert not [line for line in lines if b"VANISHED" in line or b"FETCH" in line]


async def test_vanished_instead_of_expunge(rig: Rig) -> None:
    client = await remembering(rig, 4)
    other = await rig.login("INBOX")
    assert await client.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)")
    answer = await client.command("UID EXPUNGE 1:2")
    assert answer.lines == [b"* VANISHED 1:2"]
    assert answer.tagged == b"OK [HIGHESTMODSEQ %d] UID EXPUNGE completed" % numbers(rig)[1]
    assert await other.ok("NOOP") == [
        b"* 2 EXPUNGE",
        b"* 1 EXPUNGE",
        b"* 1 FETCH (UID 3 FLAGS (\\Deleted))",
    ]
    answer = await client.command("EXPUNGE")
    assert answer.lines == [b"* VANISHED 3"]
    assert answer.tagged == b"OK [HIGHESTMODSEQ %d] EXPUNGE completed" % numbers(rig)[1]
    assert (await client.command("EXPUNGE")).tagged == b"OK EXPUNGE completed"
    await client.ok("CREATE Other")
    answer = await client.command("MOVE 1 Other")
    assert answer.lines[-1] == b"* VANISHED 4"
    assert answer.tagged == b"OK [HIGHESTMODSEQ %d] MOVE completed" % numbers(rig)[1]


async def test_vanished_while_idle_and_never_while_numbers_are_in_use(rig: Rig) -> None:
    client = await remembering(rig, 3)
    other = await rig.login("INBOX")
    await other.ok("STORE 1 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    assert await client.ok("SEARCH ALL") == [b"* SEARCH 1 2 3"]
    assert await client.ok("NOOP") == [b"* VANISHED 1"]
    client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await other.ok("MOVE 2 INBOX")
    assert await client.line() == b"* VANISHED 3"
    assert await client.line() == b"* 2 EXISTS"
    client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"


async def test_what_was_forgotten_is_told_as_the_complement(rig: Rig) -> None:
    """RFC 7162 3.2.5.1, and 3.2.5.2: the pairs of numbers and UIDs make it shorter."""
    client = await remembering(rig, 8)
    validity, modseq = numbers(rig)
    other = await rig.login("INBOX")
    for uid in (5, 7):
        await other.ok(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)")
        await other.ok("EXPUNGE")
    forget(rig, 1)

    async def said(known: str) -> list[bytes]:
        lines = await client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}{known}))")
        return [line.removeprefix(b"* VANISHED (EARLIER) ") for line in lines if b"VANISHED" in line]

    assert await said("") == [b"5,7"]
    assert await said(" 1:4,8:4000000000") == []
    assert await said(" 7:4000000000") == [b"7"]
    assert await said(" 1:20 (1:3,6 1:3,6)") == [b"5,7"]  # the client had forgotten 4 and 5 itself
    assert await said(" 1:20 (5,6 6,8)") == []  # it knew already
    # Billions of pairs, of which none but the first is looked at.
    assert await said(" 1:20 (1:4000000000 2:4000000001)") == [b"5,7"]
    lines = await client.ok(f"UID FETCH 6:* (UID) (CHANGEDSINCE {modseq} VANISHED)")
    assert lines == [b"* VANISHED (EARLIER) 7"]


async def test_many_gaps_make_several_lines(rig: Rig) -> None:
    client = await remembering(rig, 1001)
    validity, modseq = numbers(rig)
    uids = [(uid, uid) for uid in range(2, 1001, 2)]
    rig.shard.expunge_uids(rig.residence, rig.shard.mailbox(rig.residence, "INBOX").id, uids)
    lines = await client.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
    vanished = [line.rpartition(b" ")[2].split(b",") for line in lines if b"VANISHED" in line]
    assert [len(ranges) for ranges in vanished] == [400, 100]
    assert [int(uid) for ranges in vanished for uid in ranges] == [low for low, _ in uids]


async def test_bad_input(rig: Rig) -> None:
    client = await rig.login()
    assert (await client.command("SELECT INBOX (QRESYNC (1 1))")).status == b"BAD"
    await client.ok("SELECT INBOX")
    assert (await client.command("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")).status == b"BAD"
    lines = await client.ok("ENABLE QRESYNC")
    assert re.fullmatch(rb"\* OK \[HIGHESTMODSEQ \d+\] Highest", lines[1])
    assert (await client.command("FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")).status == b"BAD"
    assert (await client.command("UID FETCH 1:* (FLAGS) (VANISHED)")).status == b"BAD"
    for parameter in (
        "QRESYNC", "QRESYNC ()", "QRESYNC (0 1)", "QRESYNC (1 0)", "QRESYNC (1)", "QRESYNC (1 1 1:*)",
        "QRESYNC (1 1 $)", "QRESYNC (1 1 (1 1:2))", "QRESYNC (1 1 1 (1))", "QRESYNC (1 1 1 (* 1))",
        "QRESYNC (1 1) QRESYNC (1 1)", "QRESYNC (1 9223372036854775808)", "QRESYNC (1 1",
    ):  # fmt: skip
        assert (await client.command(f"SELECT INBOX ({parameter})")).status == b"BAD", parameter
    assert (await client.command("NOOP")).status == b"OK"
    await client.ok("SELECT INBOX (QRESYNC (1 9223372036854775807))")


@dataclass
class Copy:
    """What a client keeps on its disk of one mailbox: nothing but what it was told."""

    validity: int = 0
    modseq: int = 0
    flags: dict[int, frozenset[bytes]] = field(default_factory=dict)

    def hear(self, lines: list[bytes]) -> None:
        for line in lines:
            if found := re.match(rb"\* VANISHED (?:\(EARLIER\) )?(\S+)$", line):
                for item in found[1].split(b","):
                    low, _, high = item.partition(b":")
                    for uid in range(int(low), int(high or low) + 1):
                        self.flags.pop(uid, None)
            elif found := re.match(rb"\* \d+ FETCH \(UID (\d+) MODSEQ \(\d+\) FLAGS \((.*)\)\)$", line):
                self.flags[int(found[1])] = frozenset(found[2].split())
            elif found := re.match(rb"\* OK \[HIGHESTMODSEQ (\d+)\]", line):
                self.modseq = int(found[1])
            elif found := re.match(rb"\* OK \[UIDVALIDITY (\d+)\]", line):
                self.validity = int(found[1])

    def parameters(self, dice: random.Random) -> str:
        known = sorted(self.flags)
        said = f"{self.validity} {self.modseq}"
        if known and dice.random() < 0.5:
            # RFC 7162 3.2.5.2: the client's own numbers, some of them, in rising order.
            places = sorted(dice.sample(range(len(known)), dice.randrange(1, len(known) + 1)))
            pairs = (",".join(str(p + 1) for p in places), ",".join(str(known[p]) for p in places))
            said += f" 1:4000000000 ({pairs[0]} {pairs[1]})"
        return said


@pytest.mark.parametrize("seed", range(10))
async def test_whoever_comes_back_has_all_and_nothing_else(rig: Rig, seed: int) -> None:
    dice = random.Random(seed)
    mailbox_id = rig.shard.mailbox(rig.residence, "INBOX").id
    await rig.deliver(*(message(str(number)) for number in range(12)))
    client = await rig.login()
    await client.ok("ENABLE QRESYNC")
    copy = Copy()
    copy.hear(await client.ok("SELECT INBOX"))
    copy.hear(await client.ok("UID FETCH 1:* (FLAGS MODSEQ)"))
    copy.flags = {uid: frozenset() for uid in range(1, 13)}
    for _ in range(12):
        await client.ok("UNSELECT")
        for _ in range(dice.randrange(4)):
            uids = rig.shard.snapshot(rig.residence, mailbox_id).uids
            some = [(uid, uid) for uid in uids if dice.random() < 0.2]
            match dice.randrange(4):
                case 0:
                    await rig.deliver(*(message("more") for _ in range(dice.randrange(1, 4))))
                case 1 if some:
                    rig.shard.expunge_uids(rig.residence, mailbox_id, some)
                case 2 if some:
                    flags = ["\\Seen", dice.choice(["\\Flagged", "$Work"])]
                    rig.shard.store_flags(rig.residence, mailbox_id, some, "set", flags)
                case 3:
                    forget(rig, dice.randrange(1, 6))
        copy.hear(await client.ok(f"SELECT INBOX (QRESYNC ({copy.parameters(dice)}))"))
        truth = rig.shard.snapshot(rig.residence, mailbox_id)
        assert copy.modseq == truth.modseq
        assert copy.flags == {
            uid: frozenset(flag.encode() for flag in truth.flagsets[number])
            for uid, number in zip(truth.uids, truth.flags, strict=True)
        }
