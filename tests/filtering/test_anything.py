"""The whole pipeline on what real people send, and on what nobody should."""

import tarfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.core.executors import Executors
from mailplat.filtering.mailauth.results import strip
from mailplat.filtering.pipeline import build
from mailplat.filtering.verdict import Action
from mailplat.filtering.zone import Zone
from tests.filtering.mail import HOST, MESSAGE, crlf, key_record, sign, transaction
from tests.shared import shared

PIECES = [
    b"From", b"DKIM-Signature", b"Received", b"Authentication-Results", b"Subject", b":", b": ", b"\r\n", b"\r\n ",
    b"\r\n\r\n", b"a@sender.example", b"<", b">", b"(", b")", b'"', b",", b";", b"\\", b"\0", b"\xff", b"=", b" ",
    b"v=1; ", b"a=rsa-sha256; ", b"a=ed25519-sha256; ", b"d=sender.example; ", b"s=s1; ", b"h=from:to; ", b"b=AAAA; ",
    b"bh=AAAA; ", b"c=relaxed/relaxed; ", b"i=", b"@", b"l=", b"x=", b"t=", b"9" * 30,
    b"mx.example.net", b"dkim=pass",
]  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    start=st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
    rest=st.sampled_from([b"", MESSAGE, sign(MESSAGE)]),
    sender=st.sampled_from(["joe@sender.example", "", "a b\r\nc@sender.example", "%{l}@sender.example"]),
    helo=st.sampled_from(["mail.sender.example", "", "[192.0.2.1]", "a\0b", "x" * 300]),
)
async def test_no_message_makes_a_stage_fail(
    start: bytes, rest: bytes, sender: str, helo: str, executors: Executors
) -> None:
    zone = key_record("s1", "sender.example") + 'sender.example. 60 IN TXT "v=spf1 a:%{l}.%{o} ptr -all"\n'
    pipeline = build({"mailauth": {"dmarc": "mark"}}, Zone(zone), executors, HOST)
    verdict = await pipeline.message(transaction(start + rest, sender=sender, helo=helo))
    assert not [reason for reason in verdict.reasons if "failed:" in reason or "timed out" in reason]
    (field,) = verdict.headers
    assert field.endswith(b"\r\n")
    assert b"\r\n\r\n" not in field
    assert b"\0" not in field


async def test_real_mail_is_never_refused(executors: Executors) -> None:
    pipeline = build({}, Zone(""), executors, HOST)
    seen = 0
    with tarfile.open(shared("corpus/real-mail.tar.xz")) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or not member.name.endswith(".eml"):
                continue
            message = transaction(crlf(content.read()))
            verdict = await pipeline.message(message)
            assert verdict.action is Action.ACCEPT, (member.name, verdict)
            assert strip(message.header.block, HOST) == message.header.block
            seen += 1
    assert seen == 4030
