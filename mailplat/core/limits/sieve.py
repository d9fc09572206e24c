"""Every limit of stored Sieve scripts, with its reason."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class SieveLimits:
    """Each has a reason in its comment. Settings: [sieve.limits]."""

    # Scripts of one account. People keep a handful; a client that saves each version under a new name is found out.
    scripts: int = 100
    # Octets of one script: what Pigeonhole takes (sieve_max_script_size), so that nothing it had is too large here.
    script: int = 1024 * 1024
    # Characters of a script's name: RFC 5804 1.6 asks for at least 128; a file name on the platforms we replace.
    name: int = limit(255, least=128, most=255)
    # Answers remembered of one account: a vacation that answers 1,400 people a day for a week. The eldest go.
    answers: int = 10_000
