"""Plans as TOML. What can be in one is a string, a number, a truth value or a list of strings."""

import json
from collections.abc import Mapping

from migration.plan.document import PlanTerms, WaveTerms

HEAD = """\
# A plan of `mailplat migrate plan`. Edit it, then: mailplat migrate plan --apply FILE, as often as you like.
#   position           waves are cut over in this order, each when the one before is done
#   error_budget       share of the accounts that may be halted or have their fence taken back; more pauses the wave
#   approval           nobody is cut over before: mailplat migrate approve --wave NAME
#   bake               hours from the last cutover until the gates judge the wave
#   copy_ahead         the next wave is copied while this one bakes
#   on_breach          "halt", or "rollback-domain": the domain goes back, the others stay
#   unknown_passwords  move accounts too whose password is not known here: nobody can log in until one is set
#   window             when accounts are cut over; where it closes before it opens, on the next day
#   backends           at most so many connections, and slower when a small command takes so many seconds (0: never)
"""


def render(plan: PlanTerms, notes: Mapping[str, str] | None = None) -> str:
    """`parse` of it is the same plan. `notes`: a comment on a wave, by its name."""
    parts = [HEAD, f"plan = {_value(plan.plan)}\n"]
    parts += [_wave(each, (notes or {}).get(each.name, "")) for each in plan.in_order()]
    return "\n".join(parts)


def _wave(wave: WaveTerms, note: str) -> str:
    lines = [f"# {line}" for line in note.splitlines()]
    lines += ["[[wave]]"]
    for name, value in wave.model_dump().items():
        if name == "domains":
            lines += ["domains = [", *(f"    {_value(each)}," for each in value), "]"]
        elif not isinstance(value, dict):
            lines.append(f"{name} = {_value(value)}")
    lines += ["", "[wave.window]"]
    lines += [f"{name} = {_value(value)}" for name, value in wave.window.model_dump().items()]
    for backend, limits in sorted(wave.backends.items()):
        lines += ["", f"[wave.backends.{_value(backend)}]"]
        lines += [f"{name} = {_value(value)}" for name, value in limits.model_dump().items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    assert isinstance(value, str)
    # TOML's basic strings have JSON's escapes; DEL must be one too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
