import pytest

from mailplat.core.executors import Executors
from mailplat.filtering.stage import Context, Phase
from mailplat.filtering.stages.limits import Check, Settings
from mailplat.filtering.verdict import Action, Verdict
from mailplat.filtering.zone import Zone
from tests.filtering.mail import HOST, MESSAGE, transaction


@pytest.fixture
def check(executors: Executors) -> Check:
    settings = Settings(header_size=64 * 1024, header_fields=100, field_size=2048)
    return Check(settings, Context(HOST, Zone(""), executors))


async def ask(check: Check, message: bytes) -> Verdict:
    return await check.check(Phase.MESSAGE, transaction(message))


async def test_an_ordinary_message_has_nothing_said_about_it(check: Check) -> None:
    verdict = await ask(check, MESSAGE)
    assert (verdict.action, verdict.reasons) == (Action.ACCEPT, ())


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        (b"X: a\r\n" * 97, "more than 100 fields"),
        (b"X: " + b"a" * 2048 + b"\r\n", "field is larger than 2048"),
        (b"X:" + b"\r\n a" * 700 + b"\r\n", "field is larger than 2048"),
        ((b"X: " + b"a" * 1000 + b"\r\n") * 70, "larger than 65536 octets"),
        (b"X: a\r\n" * 200_000, "larger than 65536 octets"),
    ],
)
async def test_each_limit_refuses_with_its_figure(check: Check, extra: bytes, text: str) -> None:
    verdict = await ask(check, extra + MESSAGE)
    assert verdict.action is Action.REFUSE
    assert verdict.reply is not None
    assert (verdict.reply.code, verdict.reply.status) == (552, "5.3.4")
    assert text in verdict.reply.text


async def test_just_within_the_limits_is_well(check: Check) -> None:
    assert (await ask(check, b"X: a\r\n" * 96 + MESSAGE)).action is Action.ACCEPT
    assert (await ask(check, b"X: " + b"a" * 2043 + b"\r\n" + MESSAGE)).action is Action.ACCEPT


@pytest.mark.parametrize(
    ("message", "reasons"),
    [
        (b"Subject: x\r\n\r\n", ("no from field", "no date field")),
        (b"From: a@b.example\r\n" + MESSAGE, ("2 from fields",)),
        (b"Subject: a\r\nSubject: b\r\n" + MESSAGE, ("3 subject fields",)),
        (b"not a field\r\n" + MESSAGE, ("1 header lines that are no field",)),
        (b"\r\nonly a body", ("no from field", "no date field")),
    ],
)
async def test_oddities_are_noted_and_never_refused(
    check: Check, message: bytes, reasons: tuple[str, ...]
) -> None:
    verdict = await ask(check, message)
    assert (verdict.action, verdict.reasons) == (Action.ACCEPT, reasons)
