import asyncio
from dataclasses import dataclass
from typing import ClassVar

import pytest

from mailplat.core.errors import InvalidInput
from mailplat.core.executors import Executors
from mailplat.core.reply import UNAVAILABLE, Reply
from mailplat.filtering.pipeline import UNCHECKED, Pipeline, build, known_stages
from mailplat.filtering.stage import Phase, Rule, Stage
from mailplat.filtering.verdict import Action, Transaction, Verdict
from mailplat.filtering.zone import Zone
from tests.filtering.mail import HOST, transaction


@dataclass(frozen=True)
class Settings:
    timeout: float = 5.0
    on_failure: Rule = Rule.SKIP


class Says:
    """A stage that says what it was told to."""

    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MESSAGE})

    def __init__(self, verdict: Verdict) -> None:
        self.settings = Settings()
        self.asked = 0
        self._verdict = verdict

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        self.asked += 1
        return self._verdict


class Raises:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MESSAGE})

    def __init__(self, rule: Rule) -> None:
        self.settings = Settings(on_failure=rule)

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        raise RuntimeError("secret text")


class Sleeps:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MESSAGE})

    def __init__(self, rule: Rule) -> None:
        self.settings = Settings(timeout=0.01, on_failure=rule)

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError


class AtConnect(Says):
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.CONNECT, Phase.MESSAGE})


async def test_scores_fields_and_reasons_add_up_in_order() -> None:
    first = Says(Verdict(score=1.5, headers=(b"A: 1\r\n",), reasons=("one",)))
    second = Says(Verdict(score=2.0, headers=(b"B: 2\r\n",)))
    verdict = await Pipeline([first, second]).message(transaction())
    assert verdict.action is Action.ACCEPT
    assert verdict.score == 3.5
    assert verdict.headers == (b"A: 1\r\n", b"B: 2\r\n")
    assert verdict.reasons == ("test_pipeline: one",)


@pytest.mark.parametrize("action", [Action.DEFER, Action.REFUSE])
async def test_the_first_refusal_ends_it(action: Action) -> None:
    reply = Reply(554, "5.7.1", "No")
    refusing, behind = Says(Verdict(action, reply, 1.0)), Says(Verdict(score=1.0))
    verdict = await Pipeline([Says(Verdict(score=1.0)), refusing, behind]).message(transaction())
    assert (verdict.action, verdict.reply, verdict.score) == (action, reply, 2.0)
    assert behind.asked == 0


@pytest.mark.parametrize("kind", [Raises, Sleeps])
@pytest.mark.parametrize(
    ("rule", "action", "reply"),
    [
        (Rule.SKIP, Action.ACCEPT, None),
        (Rule.DEFER, Action.DEFER, UNAVAILABLE),
        (Rule.REFUSE, Action.REFUSE, UNCHECKED),
    ],
)
async def test_a_stage_that_fails_follows_its_rule(
    kind: type[Raises] | type[Sleeps], rule: Rule, action: Action, reply: Reply | None
) -> None:
    behind = Says(Verdict(score=1.0))
    stages: list[Stage] = [kind(rule), behind]
    verdict = await Pipeline(stages).message(transaction())
    assert (verdict.action, verdict.reply) == (action, reply)
    assert behind.asked == (1 if rule is Rule.SKIP else 0)
    assert len(verdict.reasons) == 1
    assert "secret" not in str(verdict)


async def test_cancellation_passes_through() -> None:
    class Waits(Sleeps):
        def __init__(self) -> None:
            self.settings = Settings(timeout=60.0)

    task = asyncio.create_task(Pipeline([Waits()]).message(transaction()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_stages_are_asked_in_their_phases_only() -> None:
    early, late = AtConnect(Verdict()), Says(Verdict())
    pipeline = Pipeline([early, late])
    await pipeline.run(Phase.CONNECT, transaction())
    assert (early.asked, late.asked) == (1, 0)
    await pipeline.message(transaction())
    assert (early.asked, late.asked) == (2, 1)


def test_the_directory_is_the_registry() -> None:
    assert set(known_stages()) >= {"loops", "limits", "mailauth"}


def test_order_and_settings_come_from_the_configuration(executors: Executors) -> None:
    table = {
        "stages": ["limits", "loops"],
        "dns": "",
        "loops": {"own_hops": 3, "on_failure": "skip", "timeout": 2},
    }
    pipeline = build(table, Zone(""), executors, HOST)
    assert [named.name for named in pipeline.stages] == ["limits", "loops"]
    settings = pipeline.stages[1].stage.settings
    assert (settings.timeout, settings.on_failure) == (2.0, Rule.SKIP)
    assert [named.name for named in build({}, Zone(""), executors, HOST).stages] == [
        "loops",
        "limits",
        "mailauth",
    ]
    assert build({"stages": []}, Zone(""), executors, HOST).stages == ()


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"stages": ["lops"]}, "'lops' is no stage; did you mean 'loops'"),
        ({"stages": ["loops", "loops"]}, "twice"),
        ({"stages": "loops"}, "list of stage names"),
        ({"stages": ["../app/settings"]}, "is no stage"),
        ({"mailaut": {}}, "did you mean 'mailauth'"),
        ({"loops": {"hopps": 200}}, "filter.loops.hopps is no setting; did you mean 'hops'"),
        ({"loops": {"hops": "200"}}, "filter.loops.hops = '200' is wrong; write a int"),
        ({"loops": {"hops": True}}, "filter.loops.hops = True is wrong"),
        ({"loops": {"hops": 99}}, "RFC 5321 6.3"),
        ({"loops": {"on_failure": "skipp"}}, "did you mean 'skip'"),
        ({"loops": 5}, r"write a table \[filter.loops\]"),
        ({"mailauth": {"dmarc": "enforced"}}, "did you mean 'enforce'"),
        ({"mailauth": {"trusted_networks": ["10.0.0.1/8"]}}, "no network"),
        ({"mailauth": {"trusted_networks": "10.0.0.0/8"}}, "list of strings"),
    ],
)
def test_a_wrong_configuration_names_what_was_meant(
    table: dict[str, object], complaint: str, executors: Executors
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        build(table, Zone(""), executors, HOST)
