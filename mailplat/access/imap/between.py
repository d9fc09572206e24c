"""What a session is on the way between two homes (moving.py, carrying.py)."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Between:
    """`idling`: the tag of an IDLE that is not answered yet. `after_idle`: of one whose last line has come, with that
    line. `rested`: nothing of the session reads the old home any more."""

    idling: str = ""
    after_idle: tuple[str, bytes | None] | None = None
    rested: asyncio.Event = field(default_factory=asyncio.Event)
