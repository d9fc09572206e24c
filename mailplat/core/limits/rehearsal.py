"""How much of an account is asked of both sides before it moves."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class RehearsalLimits:
    """Read by migration/rehearsal/."""

    # Mailboxes of an account that the whole script is asked of: INBOX, those with a special use, then the fullest.
    mailboxes: int = limit(25, least=1)
    # Messages of a mailbox beyond which only its STATUS is asked: a list of all is one line, of at most a MiB.
    messages: int = limit(50_000, least=1, most=100_000)
    # Messages whose envelope, structure, size and date are asked for: the newest, which every client shows.
    newest: int = limit(100, least=1)
    # The same of the eldest, which came in other ways.
    eldest: int = limit(20, least=1)
    # Messages of these whose octets are asked for: header, text and first part.
    bodies: int = limit(12, least=1)
    # Octets of each of those sections.
    body_octets: int = limit(4096, least=1, most=1_048_576)
    # Messages whose header and first lines are asked for over POP3.
    tops: int = limit(6, least=1)
    # Differences of one command in one mailbox that are listed; the others are counted.
    listed: int = limit(20, least=1)
    # Seconds until what differs is asked once more: users go on working, and the copy follows them.
    pause: float = limit(3.0, most=3600.0, zero=True)
