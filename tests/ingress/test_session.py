"""The dialogue of RFC 5321, command by command, over a real socket."""

import re

import pytest

from mailplat.core.errors import DiskFull, OverQuota, StaleEpoch, Unavailable
from tests.ingress.house import House
from tests.ingress.wire import Wire

GREETED = ("EHLO client.example", "MAIL FROM:<a@remote.example>")
GREETINGS = ("250 mx.example.org", "250-mx.example.org")
LETTER = b"Subject: hello\r\n\r\nbody\r\n"

# What is said before, the command, the reply.
DIALOGUE = [
    ((), "MAIL FROM:<a@remote.example>", "503 5.5.1 "),
    ((), "RCPT TO:<anna@example.org>", "503 5.5.1 "),
    ((), "DATA", "503 5.5.1 "),
    ((), "NOOP", "250 2.0.0 "),
    ((), "NOOP with words", "250 2.0.0 "),
    ((), "noop", "250 2.0.0 "),
    ((), "HELP", "214 2.0.0 "),
    ((), "HELP MAIL", "214 2.0.0 "),
    ((), "VRFY anna", "252 2.5.0 "),
    ((), "VRFY", "501 5.5.4 "),
    ((), "EXPN list", "502 5.5.1 "),
    ((), "RSET", "250 2.0.0 "),
    ((), "RSET now", "501 5.5.4 "),
    ((), "QUIT", "221 2.0.0 "),
    ((), "QUIT now", "501 5.5.4 "),
    ((), "STARTTLS", "502 5.5.1 "),
    ((), "AUTH PLAIN AGEAYg==", "500 5.5.2 "),
    ((), "LHLO client.example", "500 5.5.2 "),
    ((), "BDAT 0 LAST", "503 5.5.1 "),
    ((), "BDAT ten", "501 5.5.4 "),
    ((), "XCLIENT ADDR=192.0.2.1", "550 5.7.0 "),
    ((), "", "500 5.5.2 "),
    ((), " NOOP", "500 5.5.2 "),
    ((), "HELO", "501 5.5.4 "),
    ((), "EHLO", "501 5.5.4 "),
    ((), "HELO client.example", "250 mx.example.org"),
    ((), "EHLO [192.0.2.1]", "250-mx.example.org"),
    (("HELO c",), "MAIL FROM:<a@remote.example>", "250 2.1.0 "),
    (("HELO c",), "MAIL FROM:<a@remote.example> SIZE=5", "555 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example>", "250 2.1.0 "),
    (("EHLO c",), "mail from:<a@remote.example>", "250 2.1.0 "),
    (("EHLO c",), "MAIL FROM: <a@remote.example>", "250 2.1.0 "),
    (("EHLO c",), "MAIL FROM:<>", "250 2.1.0 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> SIZE=500 BODY=8BITMIME SMTPUTF8", "250 2.1.0 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> body=7bit", "250 2.1.0 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> BODY=BINARYMIME", "250 2.1.0 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> BODY=9BIT", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> REQUIRETLS", "530 5.7.10 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> REQUIRETLS=1", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> BODY", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> SIZE=x", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> SIZE=1 SIZE=1", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> SMTPUTF8=1", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> RET=full ENVID=QQ+2B314159", "250 2.1.0 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> RET=ALL", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> ENVID=a+0Ab", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> ENVID=" + "x" * 101, "501 5.5.4 "),
    (("HELO c",), "MAIL FROM:<a@remote.example> RET=FULL", "555 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> MT-PRIORITY=3", "555 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example> SIZE=3221225472", "552 5.3.4 "),
    (("EHLO c",), "MAIL FROM:<a@remote.example>X", "501 5.1.7 "),
    (("EHLO c",), "MAIL FROM:a@remote.example", "501 5.1.7 "),
    (("EHLO c",), "MAIL FROM:<a@remote..example>", "501 5.1.7 "),
    (("EHLO c",), "MAIL TO:<a@remote.example>", "501 5.5.4 "),
    (("EHLO c",), "MAIL", "501 5.5.4 "),
    (("EHLO c",), "MAIL FROM:<ü@remote.example>", "553 5.6.7 "),
    (("EHLO c",), "MAIL FROM:<a@bücher.example>", "553 5.6.7 "),
    (("EHLO c",), "MAIL FROM:<ü@remote.example> SMTPUTF8", "250 2.1.0 "),
    (GREETED, "MAIL FROM:<a@remote.example>", "503 5.5.1 "),
    (GREETED, "DATA", "503 5.5.1 "),
    (GREETED, "RCPT TO:<anna@example.org>", "250 2.1.5 "),
    (GREETED, "RCPT TO:<ANNA@Example.ORG>", "250 2.1.5 "),
    (GREETED, "RCPT TO:<postmaster>", "250 2.1.5 "),
    (GREETED, "RCPT TO:<@relay.example:anna@example.org>", "250 2.1.5 "),
    (GREETED, "RCPT TO:<nobody@example.org>", "550 5.1.1 "),
    (GREETED, "RCPT TO:<anna@elsewhere.example>", "550 5.7.1 "),
    (GREETED, "RCPT TO:<anna%elsewhere.example@elsewhere.example>", "550 5.7.1 "),
    (GREETED, "RCPT TO:<@example.org:anna@elsewhere.example>", "550 5.7.1 "),
    (GREETED, 'RCPT TO:<"anna@elsewhere.example"@example.org>', "550 5.1.1 "),
    (GREETED, "RCPT TO:<anna@[127.0.0.1]>", "550 5.7.1 "),
    (GREETED, "RCPT TO:<full@example.org>", "452 4.2.2 "),
    (GREETED, "RCPT TO:<>", "501 5.1.3 "),
    (GREETED, "RCPT TO:<anna@example.org", "501 5.1.3 "),
    (GREETED, "RCPT TO:<anna@example.org> NOTIFY=NEVER", "250 2.1.5 "),
    (GREETED, "RCPT TO:<anna@example.org> notify=success,DELAY ORCPT=rfc822;A+2Bb@x.y", "250 2.1.5 "),
    (GREETED, "RCPT TO:<anna@example.org> NOTIFY=NEVER,SUCCESS", "501 5.5.4 "),
    (GREETED, "RCPT TO:<anna@example.org> NOTIFY=SUCCESS,SUCCESS", "501 5.5.4 "),
    (GREETED, "RCPT TO:<anna@example.org> NOTIFY", "501 5.5.4 "),
    (GREETED, "RCPT TO:<anna@example.org> ORCPT=rfc822", "501 5.5.4 "),
    (GREETED, "RCPT TO:<anna@example.org> ORCPT=rfc822;a+0D+0Ab", "501 5.5.4 "),
    (GREETED, "RCPT TO:<anna@example.org> ORCPT=rfc822;" + "x" * 500, "501 5.5.4 "),
    (GREETED, "RCPT TO:<anna@example.org> SIZE=1", "555 5.5.4 "),
    (GREETED, "RCPT FROM:<anna@example.org>", "501 5.5.4 "),
    (GREETED, "RCPT TO:<用户@例え.テスト>", "553 5.6.7 "),
    ((*GREETED, "RCPT TO:<nobody@example.org>"), "DATA", "503 5.5.1 "),
    ((*GREETED, "RCPT TO:<anna@example.org>"), "DATA now", "501 5.5.4 "),
    ((*GREETED, "RCPT TO:<anna@example.org>"), "DATA", "354 "),
    ((*GREETED, "RSET"), "MAIL FROM:<b@remote.example>", "250 2.1.0 "),
    ((*GREETED, "EHLO again"), "RCPT TO:<anna@example.org>", "503 5.5.1 "),
    ((*GREETED, "HELO again"), "RCPT TO:<anna@example.org>", "503 5.5.1 "),
    ((*GREETED, "RCPT TO:<anna@example.org>", "RSET"), "DATA", "503 5.5.1 "),
]


async def test_dialogue(house: House) -> None:
    """Each line on a connection of its own; and RFC 2034 4: every 2xx, 4xx and 5xx has an enhanced status code,
    but for those to the greetings."""
    await house.fill("full")
    address = await house.listen()
    wrong, bare = [], []
    for before, command, expected in DIALOGUE:
        wire = await Wire.open(address)
        await wire.say(*before)
        reply = await wire.ask(command)
        if not reply.startswith(expected):
            wrong.append((before, command, reply))
        if expected not in GREETINGS and not re.match(r"354 |([245])\d\d \1\.\d\.\d{1,2} ", reply):
            bare.append((before, command, reply))
        await wire.close()
    assert wrong == []
    assert bare == []


async def test_the_extensions_that_we_say_we_have(house: House) -> None:
    wire = await Wire.open(await house.listen(message_size=12345))
    assert (await wire.ask("EHLO c")).splitlines() == [
        "250-mx.example.org",
        "250-PIPELINING",
        "250-SIZE 12345",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-ENHANCEDSTATUSCODES",
        "250-CHUNKING",
        "250-BINARYMIME",
        "250-DSN",
        "250-LIMITS RCPTMAX=1000",
        "250 HELP",
    ]
    assert await wire.ask("HELO c") == "250 mx.example.org"


async def test_a_message_comes_in_octet_for_octet(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.ask("EHLO client.example")
    sent = b"Subject: x\r\n\r\n.dot\r\n..\r\n\xff\x00\r\n" + b"l" * 5000 + b"\r\n"
    assert (await wire.mail(sent.replace(b"\r\n.", b"\r\n.."))).startswith("250 2.0.0 ")
    [kept] = house.kept("anna")
    assert kept.endswith(b"\r\n" + sent)
    received = kept[: -len(sent)].decode()
    assert re.search(
        r"Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.org with ESMTP\r\n"
        r"\tid [0-9a-f]{27}\r\n\tfor <anna@example\.org>;\r\n\t\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\r\n$",
        received,
    )


async def test_many_messages_in_one_session_and_no_state_between_them(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.ask("EHLO client.example")
    for number in range(20):
        assert (await wire.mail(b"Subject: %d\r\n\r\n" % number)).startswith("250 ")
        assert (await wire.ask("DATA")).startswith("503 ")
    kept = [octets.partition(b"Subject: ")[2] for octets in house.kept("anna")]
    assert kept == [b"%d\r\n\r\n" % number for number in range(20)]


async def test_one_copy_each_however_many_recipients_lead_there(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.ask("EHLO client.example")
    names = ("anna@example.org", "both@example.org", "ANNA@example.org", "bert@example.org")
    assert (await wire.mail(LETTER, names)).startswith("250 ")
    assert len(house.kept("anna")) == len(house.kept("bert")) == 1
    assert b"\tfor <" not in house.kept("anna")[0]


async def test_pipelined_commands_are_answered_in_order(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.send(
        b"EHLO c\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<nobody@example.org>\r\n"
        b"RCPT TO:<anna@example.org>\r\nDATA\r\n"
    )
    replies = [await wire.reply() for _ in range(5)]
    assert [reply[:3] for reply in replies] == ["250", "250", "550", "250", "354"]
    await wire.send(LETTER + b".\r\nMAIL FROM:<b@remote.example>\r\nQUIT\r\n")
    assert [(await wire.reply())[:3] for _ in range(3)] == ["250", "250", "221"]
    assert await wire.closed()
    assert len(house.kept("anna")) == 1


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Unavailable("database is locked: /secret/path"), "451 4.3.0 "),
        (DiskFull("no space on /secret/path"), "452 4.3.1 "),
        (StaleEpoch("epoch 3 at /secret/path"), "451 4.3.2 "),
        (OverQuota("account 7 /secret/path"), "452 4.2.2 "),
        (RuntimeError("a bug with /secret/path"), "451 4.3.0 "),
    ],
)
async def test_failures_behind_the_door(house: House, failure: Exception, expected: str) -> None:
    wire = await Wire.open(await house.listen())
    await wire.ask("EHLO c")
    house.delivery.failure = failure
    reply = await wire.mail(LETTER)
    assert reply.startswith(expected)
    assert "secret" not in reply
    house.delivery.failure = None
    assert (await wire.mail(LETTER)).startswith("250 ")
    house.directory.failure = failure
    reply = await wire.mail(LETTER)
    assert reply.startswith(expected)
    assert "secret" not in reply
