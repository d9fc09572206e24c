"""How use is counted, and when a domain that has moved does worse than those that have not."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class UsageLimits:
    """Read by mailplat/usage/keeping.py."""

    # Seconds between two commits of what a worker counted; a crash loses so much of it. One small row for each domain
    # in use.
    flush: float = limit(5.0, least=0.1, most=3600.0)
    # Days that hours are kept: the baseline of a wave, and some weeks to look back.
    days: float = limit(35.0, least=2.0)


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Read by migration/gates.py and the certificate's section `downloads`."""

    # Days before the move that are a domain's own baseline: a whole week, since Sundays are no Mondays.
    baseline: float = limit(7.0, least=1.0)
    # How often a judgement of all its domains and measures may be a false alarm: once in a thousand.
    significance: float = limit(0.001, most=0.2)
    # So many times what was to be expected is the least that is a breach: less is no reason to stop a wave.
    factor: float = limit(2.0, least=1.0)
    # Cases since the move below which nothing is judged: one user with a mistyped password is no breach.
    cases: int = limit(10, least=1)
    # As `factor`, for octets of each login: who downloads a mailbox again takes a hundred times the usual.
    download_factor: float = limit(3.0, least=1.0)
    # Logins before and since below which octets of each login are not judged.
    download_logins: int = limit(20, least=1)
