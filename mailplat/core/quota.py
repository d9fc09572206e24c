"""How much an account may keep: its own quota, and the pool that all accounts of its domain share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """In octets; 0 is no limit. The quotas of a domain's accounts may add up to more than its pool: overbooked."""

    account: int = 0
    pool: str = (
        ""  # whose octets these are too: the domain. "": not known, they are counted where they were before
    )
    pool_octets: int = 0  # that all accounts of the pool may keep together

    @property
    def counted(self) -> "Quota":
        """The same pool without a limit: for what is never refused, but counted."""
        return Quota(pool=self.pool)


NO_QUOTA = Quota()
