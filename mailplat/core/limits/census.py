"""How gently a legacy platform is read before anything moves."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class CensusLimits:
    """Read by migration/census."""

    # Mailboxes of an account whose numbers are asked for; who has more is reported, and counted as far as they go.
    mailboxes: int = limit(2000, least=1)
    # Where the platform does not tell the size of a mailbox (RFC 8438): so many of an account, the fullest, have the
    # sizes of some messages asked for. The others are taken to be like them.
    sampled_mailboxes: int = limit(5, least=1)
    # Messages of each of these, spread over all of it: the mean of 100 is right to some 15 % for usual mail.
    sampled: int = limit(100, least=1, most=1000)
    # Octets from which on an account is oversized: its copy takes ten minutes of a connection by itself.
    oversized: int = limit(20_000_000_000, least=1)
    # Messages of one mailbox from which on it is oversized: a list of it is held in memory.
    oversized_mailbox: int = limit(200_000, least=1)
    # Seconds for one account, then it is one that cannot be read: it may hang, and the others wait.
    patience: float = limit(60.0, least=1.0, most=3600.0)
