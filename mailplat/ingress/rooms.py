"""The rest of the house, as the doors of SMTP and LMTP see it."""

import dataclasses
from dataclasses import dataclass

from mailplat.core.address import Address
from mailplat.core.clock import Clock
from mailplat.core.executors import Executors
from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.network import Networks
from mailplat.delivery import Delivery
from mailplat.directory import Directory
from mailplat.filtering.pipeline import Pipeline
from mailplat.queue import Queue
from mailplat.store import Store


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the door needs of the house; one for all sessions."""

    hostname: str
    directory: Directory
    store: Store
    queue: Queue
    pipeline: Pipeline
    delivery: Delivery
    executors: Executors
    clock: Clock
    limits: SmtpLimits = dataclasses.field(default_factory=SmtpLimits)
    postmaster: Address | None = None  # who has the mail for a postmaster that no domain has named
    trusted: Networks = dataclasses.field(default_factory=lambda: Networks(()))  # of whom no conduct is noted
    proxies: Networks = dataclasses.field(default_factory=lambda: Networks(()))  # who say PROXY
    fronts: Networks = dataclasses.field(default_factory=lambda: Networks(()))  # who may say XCLIENT
