"""How moves look on a terminal: one line an account, whoever needs a person first; remarks below, over the full
width. As many accounts as the screen has room for, the others counted. Columns stay where they are.
"""

import textwrap
import time
from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from mailplat.core.visible import visible
from migration.book import Passage
from migration.ledger import Move

# Columns of a terminal from which on there is room for longer bars.
WIDE = 100
# The least that an account's name gets, whatever the width.
NAME_LEAST = 12

_STYLES = {
    "ready": "green",
    "fenced": "yellow",
    "rollback-fenced": "yellow",
    "new": "bold green",
    "final": "bold green",
    "moved": "bold green",
    "done": "bold green",
}
# Behind those that are halted: what is at work, then what waits, then what is done.
_ORDER = (
    "rollback-fenced",
    "fenced",
    "seeding",
    "tracking",
    "ready",
    "planned",
    "legacy",
    "moved",
    "new",
    "done",
    "final",
)


def remark(move: Passage) -> str:
    """What a person should know. Parts of it are what another server said: nothing that a terminal would obey."""
    if move.halted:
        text = f"HALTED: {move.halted}"
    elif isinstance(move, Move) and move.waits_for_password:
        text = "waits for its password: the owner's next login brings it, or `account passwd`"
    elif isinstance(move, Move) and move.rollback:
        text = f"on its way back; {move.note}" if move.note else "on its way back"
    else:
        text = move.note
    return visible(text)


def summary(moves: Sequence[Passage]) -> str:
    halted = sum(bool(move.halted) for move in moves)
    copied, total = sum(move.copied for move in moves), sum(move.total for move in moves)
    counts = f"{len(moves)} account{'s' * (len(moves) != 1)}: {_states(moves)}"
    text = f"{counts}; {copied} of {total} messages" + f"; {halted} halted" * bool(halted)
    back = [move for move in moves if isinstance(move, Move) and move.rollback]
    if not back:
        return text
    # What would be lost if the legacy platform took over now.
    since = min((move.lag for move in back if move.lag is not None), default=None)
    lag = (
        ""
        if since is None
        else f", changes of the last {max(0, round(time.time() - since))} s are here alone"
    )
    return f"{text}; {len(back)} on the way back{lag}"


def _urgency(move: Passage) -> tuple[bool, bool, int, str]:
    order = _ORDER.index(move.state) if move.state in _ORDER else 0
    return not move.halted, not remark(move), order, move.address


def _states(moves: Sequence[Passage]) -> str:
    counts = Counter(move.state for move in moves)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def render(moves: Sequence[Passage], width: int, height: int) -> Group:
    """At most `height` lines of `width` columns."""
    one = len({move.domain for move in moves}) == 1
    title = f"{moves[0].domain}, {summary(moves)}" if one else summary(moves)
    copied, total = sum(move.copied for move in moves), sum(move.total for move in moves)
    lines = [Text(line, "bold") for line in textwrap.wrap(title, width)]
    lines += [_bar(copied, total, width), _heading(width)]
    ordered = sorted(moves, key=_urgency)
    room = height - len(lines) - 1  # the last line counts who is left
    for number, move in enumerate(ordered):
        entry = _entry(move, width, short=one)
        if not number:
            entry = entry[: max(1, room)]  # a long remark on a small screen
        if len(entry) > room:
            rest = ordered[number:]
            lines.append(Text(f"... and {len(rest)} more: {_states(rest)}"[:width], "dim"))
            break
        lines += entry
        room -= len(entry)
    return Group(*lines)


def _layout(width: int) -> tuple[int, int]:
    """Columns of the name and of the bar; state, messages and rounds have 8, 15 and 6, two blanks are between."""
    bar = 30 if width >= WIDE else 14
    return max(NAME_LEAST, width - bar - 8 - 15 - 6 - 4 * 2), bar


def _heading(width: int) -> Text:
    name, bar = _layout(width)
    text = f"{'account':<{name}}  {'state':<8}  {'messages':>15}  {'':<{bar}}  {'rounds':>6}"
    return Text(text, "dim", no_wrap=True, overflow="crop")


def _entry(move: Passage, width: int, *, short: bool) -> list[Text]:
    """`short`: without the domain, which is in the title."""
    columns, bar = _layout(width)
    name = move.address.rpartition("@")[0] if short else move.address
    state = move.state
    line = Text(_fit(name, columns) + "  ", no_wrap=True, overflow="crop")
    line.append(f"{state:<8}", _STYLES.get(state, ""))
    line.append(f"  {f'{move.copied} / {move.total}':>15}  ")
    line.append_text(_bar(move.copied, move.total, bar))
    line.append(f"  {move.rounds:>6}")
    said = textwrap.wrap(remark(move), width, initial_indent="    ", subsequent_indent="    ")
    style = "red" if move.halted else "dim"
    return [line, *(Text(each, style, no_wrap=True, overflow="ellipsis") for each in said)]


def _fit(name: str, columns: int) -> str:
    return (
        set_cell_size(name, columns) if cell_len(name) <= columns else set_cell_size(name, columns - 1) + "…"
    )


def _bar(done: int, total: int, columns: int) -> Text:
    """An account without mail is done; one that was not looked at yet has neither."""
    filled = columns * min(done, total) // total if total else 0
    return Text("━" * filled, "cyan").append("─" * (columns - filled), "dim")
