"""Runs the stages in their order and adds up what they say."""

import asyncio
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from mailplat.bus import Bus, MemoryBus
from mailplat.core.errors import InvalidInput
from mailplat.core.executors import Executors
from mailplat.core.reply import UNAVAILABLE, Reply
from mailplat.filtering import settings as reading
from mailplat.filtering import stages as registry
from mailplat.filtering.dns import Dns
from mailplat.filtering.stage import Context, Phase, Rule, Stage
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction, Verdict

log = structlog.get_logger(__name__)

# Settings of the table that are no stage.
_OWN = ("stages", "dns", "refuse_score")
DEFAULT_STAGES = ("loops", "limits", "mailauth")

# Who must be reached by those who are refused (RFC 5321 4.5.1, RFC 2142 4).
ALWAYS = frozenset({"postmaster", "abuse"})

SUSPICIOUS = Reply(550, "5.7.1", "Message is taken for spam")
UNCHECKED = Reply(550, "5.7.1", "Message could not be checked and is not accepted unchecked")


@dataclass(frozen=True, slots=True)
class NamedStage:
    name: str
    stage: Stage


class Pipeline:
    """Stateless between messages; one per process. Stages may be given with a name (as `build` does) or bare,
    then the name is the module's. What has `refuse_score` points or more is refused; 0: nothing is for its points."""

    def __init__(self, stages: Sequence[Stage | NamedStage], *, refuse_score: float = 0.0) -> None:
        self.stages = tuple(
            item if isinstance(item, NamedStage) else NamedStage(_module_name(item), item) for item in stages
        )
        self._refuse_score = refuse_score
        self._of = {
            phase: tuple(named for named in self.stages if phase in named.stage.phases) for phase in Phase
        }

    def looks(self, phase: Phase) -> bool:
        """Whether a stage has something to say then."""
        return bool(self._of[phase])

    async def message(self, transaction: Transaction, before: Verdict = ACCEPTED) -> Verdict:
        """The whole message is here: the last chance to refuse it. `before`: what the earlier phases said."""
        verdict = before + await self.run(Phase.MESSAGE, transaction)
        always = all(each.local.casefold() in ALWAYS for each in transaction.recipients)
        if verdict.action is Action.ACCEPT and not always and 0 < self._refuse_score <= verdict.score:
            return replace(verdict, action=Action.REFUSE, reply=SUSPICIOUS)
        return verdict

    async def run(self, phase: Phase, transaction: Transaction) -> Verdict:
        """Stages in order up to the first DEFER or REFUSE; scores add up, fields stand in stage order. Never
        raises but for cancellation."""
        score = 0.0
        headers: list[bytes] = []
        reasons: list[str] = []
        for named in self._of[phase]:
            verdict = await _run_one(named, phase, transaction)
            score += verdict.score
            headers += verdict.headers
            reasons += [f"{named.name}: {reason}" for reason in verdict.reasons]
            if verdict.action is not Action.ACCEPT:
                return Verdict(verdict.action, verdict.reply, score, tuple(headers), tuple(reasons))
        return Verdict(Action.ACCEPT, None, score, tuple(headers), tuple(reasons))


async def _run_one(named: NamedStage, phase: Phase, transaction: Transaction) -> Verdict:
    settings = named.stage.settings
    try:
        async with asyncio.timeout(settings.timeout):
            return await named.stage.check(phase, transaction)
    except TimeoutError:
        log.warning("filter stage timed out", stage=named.name, seconds=settings.timeout)
        return _failed(settings.on_failure, "timed out")
    except Exception as error:  # a stage's own bug must not take the door with it; the rule decides
        log.exception("filter stage failed", stage=named.name)
        return _failed(settings.on_failure, f"failed: {type(error).__name__}")


def _failed(rule: Rule, why: str) -> Verdict:
    match rule:
        case Rule.SKIP:
            return Verdict(reasons=(f"{why}, skipped",))
        case Rule.DEFER:
            return Verdict(Action.DEFER, UNAVAILABLE, reasons=(f"{why}, deferred",))
        case Rule.REFUSE:
            return Verdict(Action.REFUSE, UNCHECKED, reasons=(f"{why}, refused",))


def known_stages() -> tuple[str, ...]:
    """The files of `stages/`: the directory is the registry."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(registry.__path__)))


def build(
    settings: Mapping[str, object], dns: Dns, executors: Executors, hostname: str, bus: Bus | None = None
) -> Pipeline:
    """From the configuration's table `filter`: `stages` is the order, each stage's settings are in a table of its
    name. Raises InvalidInput for an unknown stage, setting, or value, naming what was probably meant."""
    order = settings.get("stages", DEFAULT_STAGES)
    if not isinstance(order, (list, tuple)):
        raise InvalidInput(f"filter.stages = {order!r} is wrong; write a list of stage names")
    score = settings.get("refuse_score", 0.0)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or score < 0:
        raise InvalidInput(f"filter.refuse_score = {score!r} is wrong; write 0 or a number of points")
    context = Context(hostname, dns, executors, bus or MemoryBus())
    known = known_stages()
    for key in settings:
        if key not in (*_OWN, *known):
            raise InvalidInput(f"filter.{key} is no setting{reading.nearest(key, (*_OWN, *known))}")
    if len(set(map(str, order))) < len(order):
        raise InvalidInput(f"filter.stages names a stage twice: {', '.join(map(str, order))}")
    stages = [_make(name, settings.get(name, {}), context, known) for name in order]
    return Pipeline(stages, refuse_score=float(score))


def _make(name: object, table: object, context: Context, known: Sequence[str]) -> NamedStage:
    if name not in known:
        raise InvalidInput(f"filter.stages: {name!r} is no stage{reading.nearest(str(name), known)}")
    if not isinstance(table, Mapping):
        raise InvalidInput(f"filter.{name} = {table!r} is wrong; write a table [filter.{name}]")
    module = importlib.import_module(f"{registry.__name__}.{name}")
    return NamedStage(
        str(name), module.Check(reading.read(module.Settings, table, f"filter.{name}"), context)
    )


def _module_name(stage: Stage) -> str:
    return type(stage).__module__.rpartition(".")[2]
