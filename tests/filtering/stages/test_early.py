"""Stages that look before there is a message: each against a zone of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.bus import MemoryBus
from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput
from mailplat.core.executors import Executors
from mailplat.filtering.pipeline import SUSPICIOUS, build
from mailplat.filtering.stage import Context, Phase
from mailplat.filtering.stages import dnslists, greylist, helo, iprev, rates, senders
from mailplat.filtering.verdict import ACCEPTED, Action, Verdict
from mailplat.filtering.zone import Zone
from tests.filtering.mail import HOST, transaction

ZONE = """
1.2.0.192.bad.example.    60 A 127.0.0.2
1.2.0.192.other.example.  60 A 127.0.0.10
1.2.0.192.good.example.   60 A 127.0.9.1
1.2.0.192.parked.example. 60 A 192.0.2.99
1.2.0.192.busy.example.   60 A 127.255.255.254
;!servfail 1.2.0.192.dead.example
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bad.example. 60 A 127.0.0.4
1.2.0.192.in-addr.arpa.   60 PTR mail.sender.example.
2.2.0.192.in-addr.arpa.   60 PTR elsewhere.example.
;!servfail 4.2.0.192.in-addr.arpa
5.2.0.192.in-addr.arpa.   60 PTR lost.example.
;!servfail lost.example
mail.sender.example.      60 A 192.0.2.1
elsewhere.example.        60 A 192.0.2.77
sender.example.           60 MX 10 mail.sender.example.
null.example.             60 MX 0 .
plain.example.            60 A 192.0.2.1
plain6.example.           60 AAAA 2001:db8::1
bare.example.             60 TXT "nothing else"
;!servfail broken.example
;!servfail half.example A
half.example.             60 TXT "its address cannot be asked for"
"""


@pytest.fixture
def context(executors: Executors) -> Context:
    return Context(HOST, Zone(ZONE), executors, MemoryBus(ManualClock()))


class TestDnsLists:
    async def ask(
        self, context: Context, *lists: str, address: str = "192.0.2.1", refuse_at: float = 0.0
    ) -> Verdict:
        check = dnslists.Check(dnslists.Settings(lists=lists, refuse_at=refuse_at), context)
        return await check.check(Phase.CONNECT, transaction(address=address))

    @pytest.mark.parametrize(
        ("text", "points"),
        [
            ("bad.example 4", 4.0),
            ("good.example -2.5", -2.5),
            ("none.example 4", 0.0),
            ("parked.example 4", 0.0),
            ("busy.example 4", 0.0),
            ("dead.example 4", 0.0),
            ("bad.example 4 127.0.0.2", 4.0),
            ("bad.example 4 127.0.0.4/30 127.0.0.0/30", 4.0),
            ("bad.example 4 127.0.0.4/30", 0.0),
        ],
    )
    async def test_points(self, context: Context, text: str, points: float) -> None:
        verdict = await self.ask(context, text)
        assert (verdict.action, verdict.score) == (Action.ACCEPT, points)

    async def test_all_together(self, context: Context) -> None:
        verdict = await self.ask(
            context, "bad.example 4", "good.example -1", "dead.example 9", "other.example 2"
        )
        assert verdict.score == 5.0
        assert verdict.reasons == (
            "bad.example +4", "good.example -1", "dead.example does not answer us: no answer", "other.example +2",
        )  # fmt: skip

    async def test_ipv6(self, context: Context) -> None:
        assert (await self.ask(context, "bad.example 4", address="2001:db8::1")).score == 4.0

    async def test_no_address(self, context: Context) -> None:
        assert await self.ask(context, "bad.example 4", address="") == ACCEPTED

    @pytest.mark.parametrize(
        ("refuse_at", "action"), [(0.0, Action.ACCEPT), (6.1, Action.ACCEPT), (6.0, Action.REFUSE)]
    )
    async def test_refused_at_once(self, context: Context, refuse_at: float, action: Action) -> None:
        verdict = await self.ask(context, "other.example 2", "bad.example 4", refuse_at=refuse_at)
        assert verdict.action is action
        assert verdict.reply is None or str(verdict.reply).endswith("bad.example")

    @pytest.mark.parametrize(
        "text", ["", "bad.example", "bad.example four", "bad.example 4 here", "bad.example 4 ::1"]
    )
    def test_what_is_no_list(self, text: str) -> None:
        with pytest.raises(InvalidInput, match=r"write .ZONE POINTS"):
            dnslists.Settings(lists=(text,))


@pytest.mark.parametrize(
    ("address", "score"),
    [
        ("192.0.2.1", 0.0),
        ("192.0.2.2", 1.0),
        ("192.0.2.3", 2.0),
        ("192.0.2.4", 0.0),
        ("192.0.2.5", 0.0),
        ("", 0.0),
    ],
    ids=["both ways", "elsewhere", "no name", "cannot be asked", "its name cannot", "none"],
)
async def test_iprev(context: Context, address: str, score: float) -> None:
    check = iprev.Check(iprev.Settings(), context)
    verdict = await check.check(Phase.CONNECT, transaction(address=address))
    assert (verdict.action, verdict.score) == (Action.ACCEPT, score)


class TestHelo:
    async def ask(self, context: Context, said: str) -> Verdict:
        check = helo.Check(helo.Settings(), context)
        return await check.check(Phase.HELO, transaction(helo=said))

    @pytest.mark.parametrize(
        ("said", "score"),
        [
            ("mail.sender.example", 0.0),
            ("mail.sender.example.", 0.0),
            ("mail_1.sender.example", 0.0),
            ("[192.0.2.1]", 0.0),
            ("[192.0.2.2]", 2.0),
            ("[IPv6:2001:db8::1]", 2.0),
            ("192.0.2.1", 2.0),
            ("localhost", 1.0),
            ("-a.example", 2.0),
            ("a..example", 2.0),
            ("a?b.example", 2.0),
        ],
    )
    async def test_points(self, context: Context, said: str, score: float) -> None:
        verdict = await self.ask(context, said)
        assert (verdict.action, verdict.score) == (Action.ACCEPT, score)

    @pytest.mark.parametrize("said", [HOST, HOST.upper(), HOST + "."])
    async def test_nobody_else_is_us(self, context: Context, said: str) -> None:
        assert (await self.ask(context, said)).reply == helo.OURS


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("joe@sender.example", None),
        ("joe@plain.example", None),
        ("joe@plain6.example", None),
        ("", None),
        ("joe@[192.0.2.1]", None),
        ("joe@null.example", senders.NULL_MX),
        ("joe@nowhere.example", senders.NO_DOMAIN),
        ("joe@bare.example", senders.NO_DOMAIN),
        ("joe@broken.example", senders.NOT_NOW),
        ("joe@half.example", senders.NOT_NOW),
    ],
)
async def test_senders(context: Context, sender: str, reply: object) -> None:
    said = transaction(sender=sender)
    assert (await senders.Check(senders.Settings(), context).check(Phase.MAIL, said)).reply == reply
    lenient = await senders.Check(senders.Settings(defer=False), context).check(Phase.MAIL, said)
    assert lenient.reply == (None if reply is senders.NOT_NOW else reply)


class TestRates:
    async def test_an_address_and_its_network(self, context: Context) -> None:
        check = rates.Check(rates.Settings(messages=3, network=2.0), context)
        said = [
            (await check.check(Phase.MAIL, transaction(address=address))).reply
            for address in (
                *["192.0.2.1"] * 4,
                "192.0.2.2",
                "192.0.2.3",
                "192.0.2.4",
                "192.0.2.5",
                "198.51.100.1",
            )
        ]
        assert said == [*[None] * 3, rates.MESSAGES, *[None] * 3, rates.MESSAGES, None]

    async def test_recipients_are_counted_for_themselves(self, context: Context) -> None:
        check = rates.Check(rates.Settings(messages=1, recipients=2), context)
        replies = [(await check.check(Phase.RCPT, transaction())).reply for _ in range(3)]
        assert replies == [None, None, rates.RECIPIENTS]
        assert (await check.check(Phase.MAIL, transaction())).reply is None

    async def test_no_limit(self, context: Context) -> None:
        check = rates.Check(rates.Settings(), context)
        assert all([await check.check(Phase.MAIL, transaction()) == ACCEPTED for _ in range(100)])


class TestGreylist:
    async def test_who_comes_again_is_let_in_and_need_not_again(self, executors: Executors) -> None:
        clock = ManualClock(0.0)
        check = greylist.Check(
            greylist.Settings(delay=60.0), Context(HOST, Zone(""), executors, MemoryBus(clock))
        )

        async def ask(sender: str = "joe@sender.example", address: str = "192.0.2.1") -> object:
            return (await check.check(Phase.RCPT, transaction(sender=sender, address=address))).reply

        assert await ask() == greylist.COME_AGAIN
        clock.advance(10.0)
        assert await ask() == greylist.COME_AGAIN, "too early"
        clock.advance(130.0)
        assert await ask(address="192.0.2.9") is None, "another server of the same sender"
        assert await ask(sender="ann@sender.example") is None, "the domain is known now"
        assert await ask(address="198.51.100.1") == greylist.COME_AGAIN, "elsewhere it is not"
        assert await ask(sender="joe@other.example") == greylist.COME_AGAIN
        clock.advance(90 * 86_400.0)
        assert await ask() == greylist.COME_AGAIN, "that was long ago"

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_keys_of_any_text(self, one: str, two: str) -> None:
        assert (greylist._key(one) == greylist._key(two)) == (one == two)


async def test_points_of_all_phases_decide(executors: Executors) -> None:
    table = {"stages": ["iprev", "loops"], "refuse_score": 2.0}
    pipeline = build(table, Zone(ZONE), executors, HOST)
    before = await pipeline.run(Phase.CONNECT, transaction(address="192.0.2.3"))
    verdict = await pipeline.message(transaction(), before)
    assert (verdict.action, verdict.reply, verdict.score) == (Action.REFUSE, SUSPICIOUS, 2.0)
    assert (await pipeline.message(transaction())).action is Action.ACCEPT


@pytest.mark.parametrize("score", [-1, "many", True])
def test_a_score_that_is_none(executors: Executors, score: object) -> None:
    with pytest.raises(InvalidInput, match="refuse_score"):
        build({"refuse_score": score}, Zone(""), executors, HOST)
