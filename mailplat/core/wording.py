"""Texts that an admin may put in place of ours: what the owner of an account is told of his quota."""

from dataclasses import dataclass
from string import Template

from mailplat.core.errors import InvalidInput

PLACEHOLDERS = frozenset({"address", "domain", "percent", "used", "quota"})

SUBJECT = "Your mailbox is $percent % full"
TEXT = """\
The mailbox $address
holds $used of the $quota that it may hold: $percent %.

When it is full, no mail can be delivered to it, and your mail program cannot
save messages any more. Please remove what you no longer need, also from the
folder for deleted messages. Or ask your provider for more room.
"""


@dataclass(frozen=True, slots=True)
class Wording:
    """$NAME of PLACEHOLDERS is filled in."""

    subject: str = SUBJECT
    text: str = TEXT


def check_wording(text: str) -> str:
    """Raises InvalidInput for a $NAME that does not exist; a dollar sign itself is $$."""
    template = Template(text)
    unknown = sorted(set(template.get_identifiers()) - PLACEHOLDERS)
    if unknown or not template.is_valid():
        raise InvalidInput(
            f"${unknown[0] if unknown else ''} is no placeholder; known are"
            f" {', '.join('$' + name for name in sorted(PLACEHOLDERS))}, and $$ for a dollar sign"
        )
    return text
