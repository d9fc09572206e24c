"""Hints: "look again", sent between connections and processes over the bus.

A hint may be lost, doubled or late and nothing breaks: its reader looks at the database. Losing every hint
loses no mail (DESIGN: subscribe, then read by MODSEQ, then wait).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MailboxChanged:
    """Something in this mailbox, or in the account's list of mailboxes (mailbox_id 0), changed."""

    account_id: int
    mailbox_id: int


@dataclass(frozen=True, slots=True)
class RouteChanged:
    """The account's route row changed; sessions of this account must read it again."""

    account_id: int


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """There is work in the queue now."""


Hint = MailboxChanged | RouteChanged | QueueChanged
