"""Times as a certificate has them."""

from datetime import UTC, datetime


def moment(at: float) -> str | None:
    """RFC 3339 in UTC of a Unix time; None for 0.0, which is never."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds") if at else None
