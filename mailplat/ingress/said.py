"""Parameters of MAIL and RCPT as values."""

from mailplat.core.address import Address
from mailplat.core.envelope import NO_WISH, Envelope, Wish
from mailplat.core.errors import InvalidInput
from mailplat.wire.smtp import dsn
from mailplat.wire.smtp.parameters import parse_size

MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8", "REQUIRETLS", "RET", "ENVID"})
RCPT_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})


def read_envelope(sender: Address, given: dict[str, str | None]) -> Envelope:
    """Raises InvalidInput."""
    body = (given.get("BODY", "7BIT") or "").upper()
    if body not in ("7BIT", "8BITMIME", "BINARYMIME"):  # RFC 6152 2, RFC 3030 3
        raise InvalidInput("BODY is 7BIT, 8BITMIME or BINARYMIME")
    for keyword in ("SMTPUTF8", "REQUIRETLS"):
        if given.get(keyword) is not None:
            raise InvalidInput(f"{keyword} has no value")
    size = parse_size(given["SIZE"]) if "SIZE" in given else 0
    return Envelope(
        sender,
        body,
        "SMTPUTF8" in given,
        size,
        "REQUIRETLS" in given,
        dsn.returned(given["RET"]) if "RET" in given else "",
        dsn.envelope_id(given["ENVID"]) if "ENVID" in given else "",
    )


def read_wish(given: dict[str, str | None]) -> Wish:
    """Raises InvalidInput."""
    if not given:
        return NO_WISH
    return Wish(
        dsn.notify(given["NOTIFY"]) if "NOTIFY" in given else "",
        dsn.original_recipient(given["ORCPT"]) if "ORCPT" in given else "",
    )
