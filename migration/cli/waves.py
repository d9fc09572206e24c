"""Waves, where a verb of `mailplat migrate` names one: start, pause, resume, status, watch, approve."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mailplat.app.cli.audit import operator
from mailplat.app.console import show
from mailplat.app.wiring import Platform
from mailplat.core.errors import InvalidInput
from mailplat.core.visible import visible
from migration.ledger import Ledger
from migration.plan.document import LimitTerms
from migration.plan.states import STOPPED, WaveState
from migration.plan.stored import Stored
from migration.waves.ledger import WaveLedger
from migration.waves.outlook import Outlook, outlook
from migration.waves.standing import Standing, standing

COLUMNS = [
    "wave",
    "state",
    "domains",
    "accounts",
    "ready",
    "moved",
    "failed",
    "copied",
    "total",
    "eta",
    "remark",
]
DOMAIN_COLUMNS = ["domain", "accounts", "states", "copied", "total", "halted", "remark"]

# How often the display is renewed: each time all accounts of the wave are read.
REFRESH_S = 1.0


def ledger_of(platform: Platform) -> WaveLedger:
    return WaveLedger(platform.database, platform.clock)


def is_wave(platform: Platform, name: str | None) -> bool:
    """No domain has such a name (plan/document.py)."""
    return name is not None and "." not in name and ledger_of(platform).find(name) is not None


def start(platform: Platform, name: str) -> int:
    ledger_of(platform).start(name, operator())
    return 0


def pause(platform: Platform, name: str) -> int:
    ledger_of(platform).pause(name, operator())
    return 0


def resume(platform: Platform, name: str, deletions: int) -> int:
    ledger_of(platform).resume(name, operator(), deletions=deletions)
    return 0


def approve(platform: Platform, args: argparse.Namespace) -> int:
    caller = operator()
    who = f"{args.by} (by {caller})" if args.by and args.by != caller else caller
    ledger_of(platform).approve(args.wave, who, args.reason)
    return 0


def status(platform: Platform, name: str | None, *, as_json: bool) -> int:
    """Of one with its domains; of all without."""
    waves = [ledger_of(platform).wave(name)] if name is not None else ledger_of(platform).waves()
    found = []
    for wave in waves:
        row, seen = _look(platform, wave)
        found.append({**row, "per_domain": _domains(wave, seen)} if as_json else row)
        if name is not None and not as_json:
            show([row], COLUMNS, as_json=False)
            print()
            return show(_domains(wave, seen), DOMAIN_COLUMNS, as_json=False)
    return show(found, COLUMNS, as_json=as_json)


def watch(platform: Platform, name: str) -> int:
    """Until it is done, stopped, or waits for a person; exit status 1 where it was stopped."""
    console = Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                wave, row, seen = _now(platform, name)
                live.update(Text("\n".join(_lines(wave, row, seen, console.height - 1))), refresh=True)
                if _rests(wave):
                    break
                time.sleep(REFRESH_S)
    else:
        said = ""
        while True:
            wave, row, seen = _now(platform, name)
            line = _summary(row)
            if line != said:
                print(line, flush=True)
                said = line
            if _rests(wave):
                break
            time.sleep(REFRESH_S)
    if wave.state in STOPPED:
        print(f"mailplat: wave {name} is {wave.state.value}: {wave.reason}", file=sys.stderr)
    return 1 if wave.state in STOPPED else 0


def _now(platform: Platform, name: str) -> tuple[Stored, dict[str, Any], Standing]:
    wave = ledger_of(platform).wave(name)
    return wave, *_look(platform, wave)


def _rests(wave: Stored) -> bool:
    """Nothing will happen until a person says something."""
    waits = wave.state is WaveState.READY and not wave.approved and bool(wave.reason)
    return waits or wave.state in STOPPED or wave.state in (WaveState.PLANNED, WaveState.DONE)


def _look(platform: Platform, wave: Stored) -> tuple[dict[str, Any], Standing]:
    ledger = Ledger(platform.database, platform.clock)
    found = standing(wave, [move for domain in wave.terms.domains for move in ledger.moves(domain)])
    settings = platform.settings.migration
    limits = LimitTerms(connections=settings.connections, latency=settings.latency)
    seen = outlook(platform.database, wave, found, platform.clock.now(), limits)
    copied, total = found.copied
    return {
        "wave": wave.name,
        "plan": wave.plan,
        "position": wave.terms.position,
        "state": wave.state.value,
        "stage": wave.stage.value,
        "domains": len(wave.terms.domains),
        "accounts": len(found.moves),
        "ready": found.ready,
        "moved": found.moved,
        "failed": len(found.failed),
        "copied": copied,
        "total": total,
        "eta": _eta(wave, seen),
        "ready_at": seen.ready,
        "cutover_at": seen.cutover,
        "done_at": seen.done,
        "began": wave.began,
        "baking_since": wave.baking_since,
        "done": wave.done,
        "approved_by": wave.approved_by,
        "approved_at": wave.approved_at,
        "reason": wave.reason,
        "remark": visible(wave.reason),
    }, found


def _eta(wave: Stored, seen: Outlook) -> str:
    said = []
    if seen.ready is not None:
        low, expected, high = seen.ready
        said.append(f"ready {_clock(expected)} ({_clock(low)} to {_clock(high)})")
    if seen.cutover is not None:
        said.append(f"cutover {_clock(seen.cutover)}" + ("" if wave.approved else " if approved"))
    if seen.done is not None:
        said.append(f"done {_clock(seen.done)}")
    return ", ".join(said)


def _clock(at: float) -> str:
    """UTC."""
    return time.strftime("%m-%d %H:%M", time.gmtime(at))


def _domains(wave: Stored, found: Standing) -> list[dict[str, Any]]:
    rows = []
    for domain in wave.terms.domains:
        mine = [each for each in found.moves if each.domain == domain]
        states: dict[str, int] = {}
        for each in mine:
            states[each.state] = states.get(each.state, 0) + 1
        halted = [each for each in mine if each.halted]
        remark = wave.breaches.get(domain, "")
        if domain in wave.fates:
            remark = f"{wave.fates[domain]}: {remark}"
        elif domain in found.back:
            remark = "sent back"
        elif halted:
            remark = f"{halted[0].address}: {halted[0].halted}"
        rows.append(
            {
                "domain": domain,
                "accounts": len(mine),
                "states": ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
                "copied": sum(each.copied for each in mine),
                "total": sum(each.total for each in mine),
                "halted": len(halted),
                "remark": visible(remark),
            }
        )
    return rows


def _summary(row: dict[str, Any]) -> str:
    said = (
        f"{row['wave']}: {row['state']}; {row['domains']} domains, {row['accounts']} accounts: {row['ready']} ready,"
        f" {row['moved']} moved, {row['failed']} failed; {row['copied']} of {row['total']} messages"
    )
    return "; ".join(each for each in (said, row["eta"], row["remark"]) if each)


def _lines(wave: Stored, row: dict[str, Any], found: Standing, height: int) -> Sequence[str]:
    """Domains that are not done first; as many as there is room for."""
    head = [_summary(row), ""]
    rows = sorted(
        _domains(wave, found), key=lambda each: (not each["halted"], each["copied"] >= each["total"])
    )
    room = max(1, height - len(head) - 1)
    lines = [
        f"{each['domain']:<40} {each['copied']:>9} / {each['total']:<9} {each['states']}  {each['remark']}".rstrip()
        for each in rows[:room]
    ]
    if len(rows) > room:
        lines.append(f"... and {len(rows) - room} more domains")
    return [*head, *lines]


def check_words(args: argparse.Namespace) -> None:
    """Of `approve`. Raises InvalidInput."""
    if (args.wave is None) == (args.domain is None):
        raise InvalidInput("name a domain, or a wave with --wave")
    if args.wave is not None and args.item:
        raise InvalidInput("--item is of a domain's certificate")
    if args.domain is not None and not args.item:
        raise InvalidInput("name what is accepted with --item; `mailplat migrate report` lists it")
