"""Quotas as other platforms write them, in octets."""

import math
import re
from decimal import Decimal

from mailplat.app.console import LARGEST
from mailplat.core.errors import InvalidInput

_UNITS = {"B": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_NUMBER = re.compile(r"(\d{1,19})([A-Za-z]?)[A-Za-z]*", re.ASCII)
_NEGATIVE = re.compile(r"-\d{1,19}", re.ASCII)
_MAILDIR = re.compile(r"(\d{1,19})([SCsc])", re.ASCII)


def size(text: str, default: str = "B") -> int:
    """Dovecot's: "1G", "1GB", "1048576"; of a unit the first letter counts, `default` is that of a number without.
    Raises InvalidInput."""
    found = _NUMBER.fullmatch(text.strip())
    unit = (found[2].upper() or default) if found else ""
    if found is None or unit not in _UNITS:
        raise InvalidInput(f"{text[:40]!r} is no size of a quota; write it as 1G")
    return _bounded(int(found[1]) << _UNITS[unit], text)


def dovecot_rule(rule: str) -> int | None:
    """Octets that `*:storage=1G:messages=1000` allows all mailboxes; 0 for no limit, None for a rule that says
    nothing of that. Raises InvalidInput for one that is relative."""
    mailbox, _, limits = rule.partition(":")
    if mailbox.strip() != "*":
        return None
    found: int | None = None
    for limit in limits.split(":"):
        name, _, value = limit.partition("=")
        if name not in ("storage", "bytes"):
            continue
        if value[:1] in ("+", "-") or value.endswith("%"):
            raise InvalidInput(f"quota {limit[:40]!r} is relative to one that is not said here")
        found = size(value, "K" if name == "storage" else "B")
    return found


def maildir_quota(text: str) -> int | None:
    """Maildir++'s "10000000S,1000C"; None where it limits the number of messages alone. Raises InvalidInput."""
    for limit in text.split(","):
        found = _MAILDIR.fullmatch(limit.strip())
        if found is None:
            raise InvalidInput(f"{text[:40]!r} is no quota of Maildir++, such as 10000000S")
        if found[2] in "Ss":
            return _bounded(int(found[1]), text)
    return None


def cell(value: object) -> int | None:
    """Of a table: octets, or 10G; "" and NULL do not say; -1 is none, as PostfixAdmin has it. Raises InvalidInput."""
    # A column that is numeric. PostgreSQL's may be infinite.
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == value // 1:
        value = int(value)
    text = str(value).strip() if value is not None else ""
    if not text:
        return None
    return 0 if _NEGATIVE.fullmatch(text) else size(text)


def _bounded(octets: int, text: str) -> int:
    if octets > LARGEST:
        raise InvalidInput(f"{text[:40]!r}: a quota is at most {LARGEST >> 40}T")
    return octets
