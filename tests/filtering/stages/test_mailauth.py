"""The stage as a whole: what it decides, what it writes, and attacks composed of parts that are each legal."""

import pytest

from mailplat.core.executors import Executors
from mailplat.core.spool import Body
from mailplat.filtering.mailauth.results import strip
from mailplat.filtering.stage import Context, Phase
from mailplat.filtering.stages.mailauth import REFUSED, UNDECIDED, Check, Settings
from mailplat.filtering.verdict import Action, Verdict
from mailplat.filtering.zone import Zone
from tests.filtering.mail import HOST, MESSAGE, key_record, sign, transaction

ZONE = (
    "$TTL 60\n"
    'sender.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"\n'
    '_dmarc.sender.example. IN TXT "v=DMARC1; p=reject"\n'
    'bank.example. IN TXT "v=spf1 ip4:203.0.113.1 -all"\n'
    '_dmarc.bank.example. IN TXT "v=DMARC1; p=reject"\n'
    'evil.example. IN TXT "v=spf1 +all"\n'
    '_dmarc.evil.example. IN TXT "v=DMARC1; p=none"\n'
    "soft.example. IN A 192.0.2.7\n"
    '_dmarc.soft.example. IN TXT "v=DMARC1; p=quarantine"\n'
    ";!servfail broken._domainkey.sender.example\n"
    + key_record("s1", "sender.example")
    + key_record("s1", "evil.example")
    + key_record("s1", "com")
)


class Bench:
    def __init__(self, executors: Executors, **settings: object) -> None:
        self.check = Check(Settings(**settings), Context(HOST, Zone(ZONE), executors))  # type: ignore[arg-type]

    async def judge(self, message: bytes | Body = MESSAGE, **peer: str) -> Verdict:
        return await self.check.check(Phase.MESSAGE, transaction(message, **peer))  # type: ignore[arg-type]


@pytest.fixture
def bench(executors: Executors) -> Bench:
    return Bench(executors)


async def test_an_authentic_message(bench: Bench) -> None:
    verdict = await bench.judge(sign(MESSAGE))
    assert verdict.action is Action.ACCEPT
    assert verdict.reasons == ()
    (field,) = verdict.headers
    for part in (
        b"spf=pass smtp.mailfrom=joe@sender.example",
        b"dkim=pass header.d=sender.example",
        b"dmarc=pass",
    ):
        assert part in field
    assert field.startswith(b"Authentication-Results: mx.example.net;")


async def test_a_forwarded_message_passes_by_its_signature(bench: Bench) -> None:
    verdict = await bench.judge(sign(MESSAGE), address="198.51.100.9")
    assert verdict.action is Action.ACCEPT
    assert b"spf=fail" in verdict.headers[0]
    assert b"dmarc=pass" in verdict.headers[0]


async def test_a_forgery_is_refused_where_its_owner_asks_for_that(bench: Bench) -> None:
    verdict = await bench.judge(address="198.51.100.9")
    assert (verdict.action, verdict.reply) == (Action.REFUSE, REFUSED)
    assert (REFUSED.code, REFUSED.status) == (550, "5.7.26")
    assert "dmarc=fail sender.example" in verdict.reasons


async def test_a_forgery_is_only_marked_in_mode_mark(executors: Executors) -> None:
    verdict = await Bench(executors, dmarc="mark").judge(address="198.51.100.9")
    assert verdict.action is Action.ACCEPT
    assert b"dmarc=fail (p=reject dis=reject)" in verdict.headers[0]


async def test_quarantine_is_only_marked(bench: Bench) -> None:
    message = MESSAGE.replace(b"sender.example", b"soft.example")
    verdict = await bench.judge(message, address="198.51.100.9")
    assert verdict.action is Action.ACCEPT
    assert b"dmarc=fail (p=quarantine dis=quarantine)" in verdict.headers[0]


async def test_a_failed_lookup_defers_instead_of_refusing(bench: Bench) -> None:
    verdict = await bench.judge(sign(MESSAGE, selector="broken"), address="198.51.100.9")
    assert (verdict.action, verdict.reply) == (Action.DEFER, UNDECIDED)
    assert UNDECIDED.temporary


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::25"])
async def test_trusted_peers_relay_for_others(executors: Executors, address: str) -> None:
    trusting = Bench(executors, trusted_networks=("10.0.0.0/8", "2001:db8::/32"))
    verdict = await trusting.judge(address=address)
    assert verdict.action is Action.ACCEPT
    assert b"spf=" not in verdict.headers[0]
    assert b"dmarc=fail" in verdict.headers[0]
    assert (await trusting.judge(address="198.51.100.9")).action is Action.REFUSE


async def test_who_logged_in_is_no_stranger(bench: Bench) -> None:
    verdict = await bench.judge(address="198.51.100.9", account="joe@sender.example")
    assert verdict.action is Action.ACCEPT
    assert b"spf=" not in verdict.headers[0]


VICTIM = b"From: Bank <service@bank.example>\r\n"
EVIL = b"From: Mallory <m@evil.example>\r\n"
REST = b"To: jane@example.net\r\nSubject: account\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nPay!\r\n"


def signed_by_evil(message: bytes) -> bytes:
    return sign(message, domain="evil.example", headers=(b"from", b"subject"))


COMPOSITIONS = {
    "plain": VICTIM + REST,
    "signed by somebody else": signed_by_evil(VICTIM + REST),
    "second From on top of a good signature": VICTIM + signed_by_evil(EVIL + REST),
    "second From below": signed_by_evil(EVIL + VICTIM + REST),
    "From with a space before the colon": b"From : s@bank.example\r\n" + signed_by_evil(EVIL + REST),
    "two addresses": signed_by_evil(b"From: m@evil.example, service@bank.example\r\n" + REST),
    "two brackets": signed_by_evil(b"From: <m@evil.example> <service@bank.example>\r\n" + REST),
    "nested brackets": signed_by_evil(b"From: <<service@bank.example>@evil.example>\r\n" + REST),
    "unclosed bracket": signed_by_evil(b"From: service@bank.example <m@evil.example\r\n" + REST),
    "unclosed quote": signed_by_evil(b'From: "service@bank.example <m@evil.example>\r\n' + REST),
    "unclosed comment": signed_by_evil(b"From: (service@bank.example <m@evil.example>\r\n" + REST),
    "NUL in the domain": signed_by_evil(b"From: <service@bank.example\0.evil.example>\r\n" + REST),
    "NUL before another @": signed_by_evil(b"From: service@bank.example\0@evil.example\r\n" + REST),
    "bare address and bracket behind": signed_by_evil(
        b"From: <service@bank.example> m@evil.example\r\n" + REST
    ),
    "subdomain of the victim": b"From: s@mail.bank.example\r\n" + REST,
    "subdomain that does not exist": b"From: s@no.such.bank.example\r\n" + REST,
    "final dot": b"From: s@bank.example.\r\n" + REST,
    "upper case": b"From: S@BANK.EXAMPLE\r\n" + REST,
    "folded": b"From:\r\n\tBank\r\n <service@bank.example>\r\n" + REST,
    "route": signed_by_evil(b"From: <@evil.example:service@bank.example>\r\n" + REST),
    "own Authentication-Results": b"Authentication-Results: mx.example.net; dmarc=pass\r\n" + VICTIM + REST,
    "d= with NUL": signed_by_evil(VICTIM + REST).replace(b"d=evil.example", b"d=bank.example\0.evil.example"),
    "d= of the parent": signed_by_evil(VICTIM + REST).replace(b"d=evil.example", b"d=example"),
    "d= with escape": signed_by_evil(VICTIM + REST).replace(b"d=evil.example", b"d=bank\\.example"),
    "d= twice": signed_by_evil(VICTIM + REST).replace(b"d=evil.example;", b"d=evil.example; d=bank.example;"),
    "s= that ends the name": signed_by_evil(VICTIM + REST)
    .replace(b"d=evil.example", b"d=bank.example")
    .replace(b"s=s1", b"s=s1._domainkey.evil.example.#"),
    "i= of the victim": signed_by_evil(VICTIM + REST).replace(b"i=@evil.example", b"i=@bank.example"),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize(
    "sender",
    ["m@evil.example", '"service@bank.example; dmarc=pass"@evil.example', "bank.example@evil.example", ""],
)
async def test_no_composition_speaks_for_the_bank(name: str, sender: str, bench: Bench) -> None:
    """evil.example passes SPF, and signs what it likes; bank.example says p=reject."""
    verdict = await bench.judge(
        COMPOSITIONS[name], sender=sender, address="198.51.100.9", helo="evil.example"
    )
    assert (verdict.action, verdict.reply) == (Action.REFUSE, REFUSED)
    (field,) = verdict.headers
    assert b"dmarc=pass" not in field
    assert field.count(b"dmarc=") == 1


async def test_a_forged_result_is_removed_and_a_true_one_is_on_top(bench: Bench) -> None:
    forged = b"Authentication-Results: mx.example.net; dmarc=pass header.from=bank.example\r\n"
    message = sign(forged + MESSAGE)
    verdict = await bench.judge(message)
    assert verdict.action is Action.ACCEPT, "the signature is checked over the message as it came"
    block, _, _ = message.partition(b"\r\n\r\n")
    kept = verdict.headers[0] + strip(block + b"\r\n\r\n", HOST)
    assert kept.lower().count(b"authentication-results") == 1


async def test_a_name_server_that_never_answers_is_marked_and_refuses_nothing(executors: Executors) -> None:
    """All of DNS is gone: mail goes on, and says what could not be checked."""
    silence = "".join(
        f";!timeout {name}\n"
        for name in (
            "sender.example",
            "s1._domainkey.sender.example",
            "_dmarc.sender.example",
            "_dmarc.example",
        )
    )
    check = Check(Settings(), Context(HOST, Zone(silence, deadline=0.01), executors))
    verdict = await check.check(Phase.MESSAGE, transaction(sign(MESSAGE)))
    assert verdict.action is Action.ACCEPT
    for part in (b"spf=temperror", b"dkim=temperror", b"dmarc=temperror"):
        assert part in verdict.headers[0]


async def test_where_nothing_is_to_verify_no_thread_is_used() -> None:
    pools = Executors()
    pools.close()
    message = MESSAGE.replace(b"sender.example", b"plain.example")
    verdict = await Bench(pools).judge(message, sender="joe@plain.example")
    assert b"spf=none" in verdict.headers[0]
    assert b"dkim=none" in verdict.headers[0]
    with pytest.raises(ExceptionGroup, match="unhandled"):
        await Bench(pools).judge(sign(message), sender="joe@plain.example")
