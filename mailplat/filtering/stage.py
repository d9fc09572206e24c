"""What a stage is. A stage is one file in `stages/` with two names in it:

* `Settings`, a frozen dataclass: one field a setting with its default; `timeout` and `on_failure` are among them;
* `Check`, a class made with (settings, context), with `phases` and an async `check`.
"""

import enum
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from mailplat.bus import Bus, MemoryBus
from mailplat.core.executors import Executors
from mailplat.filtering.dns import Dns
from mailplat.filtering.verdict import Transaction, Verdict


class Phase(enum.Enum):
    """When in the session a stage looks. Before MESSAGE a transaction's body is empty, before RCPT its
    recipients are, before MAIL its reverse-path is the null sender."""

    CONNECT = "connect"
    HELO = "helo"
    MAIL = "mail"
    RCPT = "rcpt"
    MESSAGE = "message"


class Rule(enum.Enum):
    """What becomes of the message when the stage itself raised or took longer than its time."""

    SKIP = "skip"  # go on as if the stage were not there
    DEFER = "defer"  # 451 4.3.0
    REFUSE = "refuse"  # 550 5.7.1


@dataclass(frozen=True, slots=True)
class Context:
    """What the platform lends to its stages."""

    hostname: str
    dns: Dns
    executors: Executors
    bus: Bus = field(default_factory=MemoryBus)


class StageSettings(Protocol):
    """The settings that every stage has. `timeout` is in seconds."""

    @property
    def timeout(self) -> float: ...
    @property
    def on_failure(self) -> Rule: ...


class Stage(Protocol):
    phases: ClassVar[frozenset[Phase]]

    @property
    def settings(self) -> StageSettings: ...

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict: ...
