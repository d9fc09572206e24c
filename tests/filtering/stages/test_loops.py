import pytest

from mailplat.core.executors import Executors
from mailplat.core.reply import LOOP
from mailplat.filtering.stage import Context, Phase
from mailplat.filtering.stages.loops import Check, Settings
from mailplat.filtering.verdict import Action
from mailplat.filtering.zone import Zone
from tests.filtering.mail import HOST, MESSAGE, transaction


@pytest.fixture
def check(executors: Executors) -> Check:
    return Check(Settings(), Context(HOST, Zone(""), executors))


async def ask(check: Check, received: list[bytes]) -> Action:
    message = b"".join(b"Received: " + value + b"\r\n" for value in received) + MESSAGE
    verdict = await check.check(Phase.MESSAGE, transaction(message))
    assert verdict.reply == (LOOP if verdict.action is Action.REFUSE else None)
    return verdict.action


def hop(by: bytes) -> bytes:
    return (
        b"from a.example (a.example [192.0.2.1])\r\n\tby "
        + by
        + b" with ESMTP id 1;\r\n\tMon, 1 Jan 2024 00:00:00 +0000"
    )


async def test_a_hundred_hops_are_well(check: Check) -> None:
    assert await ask(check, [hop(b"relay.example")] * 100) is Action.ACCEPT
    assert await ask(check, [hop(b"relay.example")] * 101) is Action.REFUSE


@pytest.mark.parametrize(
    "by", [HOST.encode(), HOST.upper().encode(), HOST.encode() + b".", b"\r\n " + HOST.encode()]
)
async def test_a_message_that_keeps_coming_back_is_refused(check: Check, by: bytes) -> None:
    assert await ask(check, [hop(by)] * 7) is Action.ACCEPT
    assert await ask(check, [hop(by)] * 8) is Action.REFUSE


@pytest.mark.parametrize(
    "by",
    [
        b"not-" + HOST.encode(),
        HOST.encode() + b".evil.example",
        b"mx-example-net",
        b"relay.example (for mx.example.net)",
    ],
)
async def test_other_hosts_are_not_us(check: Check, by: bytes) -> None:
    assert await ask(check, [hop(by)] * 50) is Action.ACCEPT


async def test_our_name_behind_from_is_no_visit(check: Check) -> None:
    assert await ask(check, [b"from mx.example.net by relay.example; x"] * 50) is Action.ACCEPT
