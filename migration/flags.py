"""Flags that cross over. A flag that our store does not take (RFC 3501 9 calls it no keyword, or it is too long)
never fails its message: it is left behind and listed in the report."""

import functools

from mailplat.core.errors import InvalidInput, LimitReached
from mailplat.store import StoreLimits
from mailplat.store.flagsets import split_flags

_LONGEST = StoreLimits().keyword


@functools.lru_cache(maxsize=8192)
def keep(flags: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(kept, dropped)."""
    kept, dropped = [], []
    for flag in flags:
        try:
            split_flags((flag,), _LONGEST)
            kept.append(flag)
        except (InvalidInput, LimitReached):
            dropped.append(flag)
    return tuple(kept), tuple(dropped)


@functools.lru_cache(maxsize=8192)
def fold(flags: tuple[str, ...]) -> frozenset[str]:
    """What two sides compare: flags have no case (RFC 3501 2.3.2)."""
    return frozenset(flag.casefold() for flag in keep(flags)[0])
