"""What is done in each state of a wave, and which state is next. Synchronous: call it in executor "migration"."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from mailplat.app.wiring import Platform
from mailplat.core import disk
from mailplat.core.errors import InvalidInput, NotFound
from migration.back.orders import request_rollback
from migration.gates import compare, reason
from migration.ledger import PLANNED, RUNNING, Ledger, Move
from migration.matched import matched
from migration.plan.states import WaveState
from migration.plan.stored import ACCEPTED, RETURNING, Stored
from migration.waves.ledger import Changed, WaveLedger, domains, hold
from migration.waves.standing import MOVED, Standing, is_ready, standing

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Site:
    """What a stage works with. `before`: the wave in front of it in its plan, None for the first."""

    platform: Platform
    moves: Ledger
    waves: WaveLedger
    wave: Stored
    before: Stored | None

    @property
    def now(self) -> float:
        return self.platform.clock.now()

    def hold(self, connection: Connection) -> None:
        """Raises Changed."""
        hold(connection, self.wave)

    def standing(self) -> Standing:
        return standing(self.wave, self.moves.moves(among=domains(self.wave)))


def stamp(at: float) -> str:
    """For people, in UTC: where the runner stands is nobody's business."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def attend(site: Site) -> None:
    """One look at one wave. Raises Changed where somebody else was faster, Unavailable."""
    stage = STAGES.get(site.wave.state)
    if stage is not None:
        stage(site)


def _begin(site: Site) -> None:
    """By itself, behind one that was started."""
    before = site.before
    if before is None:
        return
    ahead = before.state is WaveState.BAKING and before.terms.copy_ahead
    if ahead or before.state is WaveState.DONE:
        site.waves.step(site.wave, WaveState.COPYING, began=site.now)
        disk.step("wave.started")


def _copy(site: Site) -> None:
    _start_domains(site)
    found = site.standing()
    if _pause_if_spent(site, found):
        return
    waits = [each for each in found.moves if not (_counts_as_ready(site, each) or each.halted)]
    if waits:
        locked = sum(each.waits_for_password for each in waits)
        site.waves.say(
            site.wave,
            f"{locked} accounts wait for their passwords" if locked == len(waits) else "",
        )
        return
    site.waves.step(site.wave, WaveState.READY)
    disk.step("wave.ready")


def _counts_as_ready(site: Site, move: Move) -> bool:
    return is_ready(move) or (site.wave.terms.unknown_passwords and move.waits_for_password)


def _start_domains(site: Site) -> None:
    """Those without a plan, and those with accounts that came since. One that a person has paused stays so."""
    states = site.waves.plan_states(site.wave)
    new = site.waves.unplanned(site.wave)
    if new:
        shards = site.platform.placement.candidates()
        for domain in sorted(new):
            try:
                site.moves.plan(domain, shards)
            except NotFound:  # its last account there has gone at this moment
                continue
            states.setdefault(domain, PLANNED)
            disk.step("wave.planned")
    for domain, state in states.items():
        if state == PLANNED:
            site.moves.set_plan(domain, RUNNING, expected={PLANNED, RUNNING}, guard=site.hold)
            disk.step("wave.copying")


def _pause_if_spent(site: Site, found: Standing) -> bool:
    if not found.is_spent:
        return False
    site.waves.stop(site.wave, f"error budget spent: {found.said()}", "")
    disk.step("wave.paused")
    return True


def _wait(site: Site) -> None:
    found = site.standing()
    if _pause_if_spent(site, found):
        return
    if site.waves.unplanned(site.wave) or not all(
        _counts_as_ready(site, each) or each.halted for each in found.moves
    ):
        site.waves.step(site.wave, WaveState.COPYING)
        return
    waits = _waits_for(site)
    if waits:
        site.waves.say(site.wave, waits)
        return
    site.waves.step(site.wave, WaveState.CUTTING_OVER)
    disk.step("wave.cutting")


def _waits_for(site: Site) -> str:
    wave, before = site.wave, site.before
    if not wave.approved:
        return f"waits for approval: mailplat migrate approve --wave {wave.name} --reason TEXT"
    if before is not None and before.state is not WaveState.DONE:
        return f"waits for wave {before.name}, which is {before.state.value}"
    window = wave.terms.window.window()
    if not window.is_open(site.now):
        return f"waits for its window, which opens {stamp(window.next_open(site.now))}"
    return ""


def _cut_over(site: Site) -> None:
    _start_domains(site)
    found = site.standing()
    if _pause_if_spent(site, found):
        return
    left = [each for each in found.moves if each.route.state not in MOVED and not each.halted]
    if not left:
        site.waves.step(site.wave, WaveState.BAKING, baking_since=site.now)
        disk.step("wave.baking")
        return
    window = site.wave.terms.window.window()
    if not window.is_open(site.now):
        site.waves.withdraw(site.wave)
        site.waves.say(
            site.wave,
            f"{len(left)} accounts are left; its window opens again {stamp(window.next_open(site.now))}",
        )
        return
    site.waves.say(site.wave, _ask(site, left))


def _ask(site: Site, left: Sequence[Move]) -> str:
    """What keeps some from being asked; "" where nothing does."""
    trouble = []
    states = site.waves.plan_states(site.wave)
    unasked = {each.domain for each in left if not each.cutover}
    for domain in site.wave.staying:
        if domain not in unasked or domain not in states:  # the plan was changed at this moment
            continue
        if states[domain] != RUNNING:
            trouble.append(f"{domain} is {states[domain]}")
            continue
        try:
            unknown = site.wave.terms.unknown_passwords
            site.moves.request_cutover(domain, unknown_passwords=unknown, guard=site.hold)
        except Changed:
            raise
        except InvalidInput as error:
            trouble.append(str(error))
            continue
        disk.step("wave.asked")
    return "; ".join(trouble)[:1000]


def _bake(site: Site) -> None:
    wave = site.wave
    if not _send_back(site):
        return
    trouble = _bring_latecomers(site)
    until = wave.baking_since + wave.terms.bake * HOUR_S
    if site.now < until:
        site.waves.say(wave, "; ".join(filter(None, (f"bakes until {stamp(until)}", trouble))))
        return
    breaches, unjudged = _judge(site)
    if breaches:
        site.waves.judged(wave, breaches)
        disk.step("wave.judged" if wave.terms.on_breach == "rollback-domain" else "wave.halted")
        return
    site.waves.withdraw(wave)
    site.waves.step(wave, WaveState.DONE, done=site.now, reason=_left_behind(site, unjudged))
    disk.step("wave.done")


def _bring_latecomers(site: Site) -> str:
    """Accounts that were made at the legacy platform after their domain had moved: they follow it, and nobody waits
    for them. What keeps them, "" for nothing."""
    _start_domains(site)
    late = [each for each in site.standing().moves if each.route.state not in MOVED and not each.halted]
    if not late:
        return ""
    if not site.wave.terms.window.window().is_open(site.now):
        site.waves.withdraw(site.wave)
        return f"{len(late)} accounts came since, and move in its window"
    ready = [each for each in late if _counts_as_ready(site, each)]
    return _ask(site, ready) or f"{len(late)} accounts came since"


def _send_back(site: Site) -> bool:
    """False where there is nothing more to do now."""
    for domain in site.wave.terms.domains:
        if site.wave.fates.get(domain) != RETURNING:
            continue
        moves = site.moves.moves(domain)
        if any(each.route.state in MOVED and not each.rollback for each in moves):
            try:
                request_rollback(site.moves, domain)
            except InvalidInput as error:
                site.waves.halt(
                    site.wave, f"{domain} cannot go back: {error}. Mend that and resume, or take it out"
                )
                return False
            disk.step("wave.told")
        site.waves.returned(domain)
        disk.step("wave.returned")
    return True


def _judge(site: Site) -> tuple[Mapping[str, str], Sequence[str]]:
    """Of each domain that is worse than matched ones, why; domains of which too little is known from before."""
    moved: dict[str, list[Move]] = {}
    for each in site.standing().moves:
        if each.moved > 0.0 and site.wave.fates.get(each.domain) != ACCEPTED:
            moved.setdefault(each.domain, []).append(each)
    # `significance` is of one judgement with all its domains; each has moved at a time of its own, so each is asked
    # for by itself.
    limits = site.platform.settings.migration.gates
    limits = replace(limits, significance=limits.significance / max(1, len(moved)))
    unmoved: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    unjudged = []
    for domain, moves in moved.items():
        backends = {each.backend for each in moves}
        for backend in backends - set(unmoved):
            unmoved[backend] = matched(site.platform.database, backend)
        others = sorted({each for backend in backends for each in unmoved[backend]})
        since = min(each.moved for each in moves)
        judged = compare(site.platform.usage, limits, [domain], others, since)
        if worse := [reason(each) for each in judged if each.is_breach]:
            found[domain] = "; ".join(worse)
        elif all(each.verdict == "no baseline" for each in judged):
            unjudged.append(domain)
    return found, unjudged


def _left_behind(site: Site, unjudged: Sequence[str]) -> str:
    """What did not come along, and what nobody could judge."""
    found, staying = site.standing(), set(site.wave.staying)
    unmoved = [each for each in found.moves if each.route.state not in MOVED]
    halted = [each.address for each in unmoved if each.halted]
    late = [each.address for each in unmoved if not each.halted]
    said = [
        f"{domain} went back: {text}" for domain, text in site.wave.breaches.items() if domain not in staying
    ]
    said += [f"{domain} was sent back" for domain in sorted(found.back) if domain in staying]
    if unjudged:
        some = ", ".join(unjudged[:3]) + " ..." * (len(unjudged) > 3)
        said.append(
            f"{len(unjudged)} domains were not judged, nothing is known from before they moved: {some}"
        )
    if halted:
        said.append(f"{len(halted)} accounts are halted and have not moved: {', '.join(halted[:3])}")
    if late:
        said.append(f"{len(late)} accounts came since and have not moved yet: {', '.join(late[:3])}")
    return "; ".join(said)


STAGES: Mapping[WaveState, Callable[[Site], None]] = {
    WaveState.PLANNED: _begin,
    WaveState.COPYING: _copy,
    WaveState.READY: _wait,
    WaveState.CUTTING_OVER: _cut_over,
    WaveState.BAKING: _bake,
}
