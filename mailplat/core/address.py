"""Addresses as values. Parsing them from the wire is `wire/smtp/address.py`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox address. `local` is the local part as given, unquoted; `domain` is lower case, as A-labels
    (ASCII), "" for the bare `postmaster` of RFC 5321 4.5.1, or an address literal such as "[192.0.2.1]"."""

    local: str
    domain: str

    @property
    def key(self) -> str:
        """What the directory looks up: our accounts' local parts are case-insensitive (RFC 5321 2.4 leaves it
        to the receiving host)."""
        return f"{self.local.casefold()}@{self.domain}"

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


# RFC 5321 4.5.5: `MAIL FROM:<>`, the reverse-path of notifications.
NULL_SENDER = Address("", "")
