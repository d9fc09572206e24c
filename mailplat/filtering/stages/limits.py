"""Limits of the header block. Generous: they stop what no mail program could have meant, not what is merely odd.

Fields that RFC 5322 3.6 wants once (From, Date, Subject, ...) are counted, and oddities only noted: real mail has
them. How deep and how large a MIME structure is read is bounded where it is read (wire/mime).
"""

from dataclasses import dataclass
from typing import ClassVar

from mailplat.core.errors import InvalidInput
from mailplat.core.reply import Reply
from mailplat.filtering.header import HEADER_READ_LIMIT, Header
from mailplat.filtering.stage import Context, Phase, Rule
from mailplat.filtering.verdict import Action, Transaction, Verdict

# RFC 5322 3.6: at most one each.
SINGLE = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"message-id", b"date", b"subject")
# RFC 5322 3.6: at least one each.
REQUIRED = (b"from", b"date")


@dataclass(frozen=True)
class Settings:
    """`header_size`: octets of the header block; large recipient lists and ARC chains reach 100 KiB. `header_fields`:
    mailing lists and filters add some hundred at most. `field_size`: octets of one field with its folds; a To: of
    thousands of recipients reaches 100 KiB."""

    header_size: int = 256 * 1024
    header_fields: int = 2000
    field_size: int = 192 * 1024
    timeout: float = 5.0
    on_failure: Rule = Rule.DEFER

    def __post_init__(self) -> None:
        if not 1024 <= self.header_size <= HEADER_READ_LIMIT:
            raise InvalidInput(
                f"filter.limits.header_size = {self.header_size} is wrong; write 1024 to {HEADER_READ_LIMIT}"
            )
        if self.header_fields < 100:
            raise InvalidInput(
                f"filter.limits.header_fields = {self.header_fields} is wrong; 100 Received alone are legal"
            )
        if self.field_size < 1024:
            raise InvalidInput(f"filter.limits.field_size = {self.field_size} is wrong; write 1024 or more")


class Check:
    phases: ClassVar[frozenset[Phase]] = frozenset({Phase.MESSAGE})

    def __init__(self, settings: Settings, context: Context) -> None:
        self.settings = settings

    async def check(self, phase: Phase, transaction: Transaction) -> Verdict:
        header, settings = transaction.header, self.settings
        if not header.complete or len(header.block) > settings.header_size:
            return _refuse(f"Header block is larger than {settings.header_size} octets")
        if len(header.fields) > settings.header_fields:
            return _refuse(f"Header block has more than {settings.header_fields} fields")
        if any(len(field.octets) > settings.field_size for field in header.fields):
            return _refuse(f"A header field is larger than {settings.field_size} octets")
        return Verdict(reasons=tuple(_oddities(header)))


def _refuse(text: str) -> Verdict:
    return Verdict(Action.REFUSE, Reply(552, "5.3.4", text), reasons=(text,))


def _oddities(header: Header) -> list[str]:
    counts: dict[bytes, int] = {}
    for field in header.fields:
        counts[field.name] = counts.get(field.name, 0) + 1
    found = [f"no {name.decode()} field" for name in REQUIRED if name not in counts]
    found += [f"{counts[name]} {name.decode()} fields" for name in SINGLE if counts.get(name, 0) > 1]
    if b"" in counts:
        found.append(f"{counts[b'']} header lines that are no field")
    return found
