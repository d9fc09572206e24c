"""The message that tells somebody how full his mailbox, or his domain, is."""

from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import formatdate
from string import Template

from mailplat.core.address import Address
from mailplat.core.wording import Wording

POOL_SUBJECT = "The mailboxes of $domain are $percent % full"
POOL_TEXT = """\
All mailboxes of $domain together hold $used of the $quota that they may hold:
$percent %.

When that is used up, no mail can be delivered to any of them, whatever their
own quotas are. `mailplat account list $domain` says how much each holds.
"""


def account_warning(
    wording: Wording, to: Address, *, used: int, quota: int, message_id: str, now: float
) -> bytes:
    """For the owner of an account, CRLF. `used` and `quota` in octets."""
    return _render(wording, to, to.domain, used, quota, message_id, now)


def pool_warning(to: Address, domain: str, *, used: int, quota: int, message_id: str, now: float) -> bytes:
    """For the postmaster of a domain."""
    return _render(Wording(POOL_SUBJECT, POOL_TEXT), to, domain, used, quota, message_id, now)


def _render(
    wording: Wording, to: Address, domain: str, used: int, quota: int, message_id: str, now: float
) -> bytes:
    values = {
        "address": str(to),
        "domain": domain,
        "percent": str(used * 100 // quota),
        "used": size(used),
        "quota": size(quota),
    }
    message = EmailMessage(policy=SMTPUTF8)
    message["From"] = HeaderAddress("Postmaster", "postmaster", domain)
    message["To"] = HeaderAddress("", to.local, to.domain)
    message["Subject"] = " ".join(Template(wording.subject).substitute(values).split())
    message["Date"] = formatdate(now)
    message["Message-ID"] = f"<{message_id}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: nobody answers it
    message.set_content(Template(wording.text).substitute(values))
    return message.as_bytes()


def size(octets: int) -> str:
    """For people, in the units of `--quota`."""
    for unit, power in (("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)):
        if octets >= 1 << power:
            return f"{octets / (1 << power):.1f} {unit}"
    return f"{octets} octets"
