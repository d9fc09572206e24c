"""When so much is gone at a source that a person has to look."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """Read by migration/brake.py. Of one account, from one round to the next; what its user is seen to have done does
    not count."""

    # So many are never too many: whoever has ten mails may delete five of them.
    free: int = limit(20, least=1)
    # More than this share of the account, or more than this number: a disk that is not mounted, rights that are
    # missing and an index that was rebuilt show less than there is, and a user seldom does so much at once.
    share: float = limit(0.05, least=0.0, most=1.0, zero=True)
    # In a large account 5 % would be thousands.
    number: int = limit(100, least=1)
