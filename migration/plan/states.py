"""The states of a wave, as a table."""

import enum
from collections.abc import Mapping


class WaveState(enum.Enum):
    PLANNED = "planned"
    COPYING = "copying"  # its domains are being copied
    READY = "ready"  # all accounts are; waits for its window, its approval, the wave before
    CUTTING_OVER = "cutting-over"
    BAKING = "baking"  # all have moved; users work here for a while before it is judged
    DONE = "done"
    PAUSED = "paused"  # by a person, or because the error budget is spent
    HALTED = "halted"  # a gate was breached


_S = WaveState

TRANSITIONS: Mapping[WaveState, frozenset[WaveState]] = {
    _S.PLANNED: frozenset({_S.COPYING}),
    _S.COPYING: frozenset({_S.READY, _S.PAUSED}),
    # Back: an account has come, or one is not ready any more.
    _S.READY: frozenset({_S.COPYING, _S.CUTTING_OVER, _S.PAUSED}),
    _S.CUTTING_OVER: frozenset({_S.BAKING, _S.PAUSED}),
    _S.BAKING: frozenset({_S.DONE, _S.HALTED, _S.PAUSED}),
    _S.DONE: frozenset(),
    # Where it was before: migration_wave.resumes.
    _S.PAUSED: frozenset({_S.COPYING, _S.READY, _S.CUTTING_OVER, _S.BAKING}),
    _S.HALTED: frozenset({_S.BAKING}),
}

# Nothing of it has begun, or all of it is over.
AT_REST = frozenset({_S.PLANNED, _S.DONE})
STOPPED = frozenset({_S.PAUSED, _S.HALTED})
# In these a wave may still get domains.
OPEN = frozenset({_S.PLANNED, _S.COPYING, _S.READY})
