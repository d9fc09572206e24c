"""What one account is, as it was read."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Facts:
    mailboxes: int = 0
    messages: int = 0
    octets: int = 0
    estimated: bool = False  # the octets: from a sample
    fullest: int = 0  # messages of the fullest mailbox
    inbox: int = 0  # messages
    inbox_seen: int = 0
    collisions: tuple[str, ...] = ()  # mailboxes that would become one here, "Sent and sent"
    condstore: bool = True
    uncounted: int = 0  # mailboxes beyond the limit, whose numbers were not asked for
    pop3: int | None = None  # messages that POP3 lists; None: the backend has none, or did not answer
    pop3_trouble: str = ""

    @property
    def leaves_mail(self) -> bool:
        """Looks like one of those who read over POP3 and leave their mail on the server: all that there is lies in
        INBOX, and was seen there. No server says it; who reads INBOX alone over IMAP looks the same."""
        return bool(self.pop3) and self.inbox == self.messages and self.inbox_seen > 0

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        return cls(**{**values, "collisions": tuple(values.get("collisions", ()))})
