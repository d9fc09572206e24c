"""Delivery status notifications: what a sender is told when a message could not be delivered, and where he asked for
it (RFC 3461) when it was.

multipart/report of RFC 6522 with a text for people, message/delivery-status of RFC 3464 and the header fields of
the message (never its body: a bounce must not carry on what a recipient refused). Where an address is not ASCII
the parts are those of RFC 6533.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import NO_WISH, Envelope, Wish
from mailplat.core.outcome import Outcome, Result
from mailplat.core.reply import Reply
from mailplat.queue import QueuedMessage
from mailplat.wire.smtp import xtext
from mailplat.wire.smtp.address import format_mailbox, needs_utf8
from mailplat.wire.smtp.dsn import shown

# Of the message's header block; a longer one is cut at a line end.
MAX_HEADER = 64 * 1024

# A text line is folded at a space near this; RFC 5322 2.1.1 has 78.
_WIDTH = 76


@dataclass(frozen=True, slots=True)
class Report:
    """Of one recipient."""

    recipient: Address
    outcome: Outcome
    wish: Wish = NO_WISH

    @property
    def action(self) -> str:
        """RFC 3464 2.3.3. What another platform took without a promise to tell is relayed."""
        if self.outcome.result is not Result.DELIVERED:
            return "failed"
        return "relayed" if self.outcome.remote else "delivered"


# By action: subject, what people are told.
_WORDS = {
    "failed": (
        "Undelivered mail returned to sender",
        (
            "Your message could not be delivered to the recipients below. It will not be",
            "tried again. Its header fields are attached.",
        ),
    ),
    "delivered": (
        "Mail delivered",
        ("Your message was delivered to the recipients below, as you asked to be told.",),
    ),
    "relayed": (
        "Mail handed on",
        (
            "Your message was handed on, for the recipients below, to a mail system that does",
            "not report deliveries. You will hear only if it fails.",
        ),
    ),
}


def envelope_for(message: QueuedMessage) -> Envelope:
    """RFC 3464 2: the reverse-path of a DSN is null."""
    utf8 = needs_utf8(message.envelope.reverse_path)
    secret = message.envelope.require_tls  # RFC 8689 5: it has fields of the message
    return Envelope(NULL_SENDER, body="8BITMIME", utf8=utf8, require_tls=secret)


def render(
    message: QueuedMessage, reports: Sequence[Report], header: bytes, *, hostname: str, now: float
) -> bytes:
    """The notification, CRLF, without trace fields. `header` is the header block of the message. ValueError
    for a message with the null reverse-path: it must never be answered (RFC 5321 4.5.5)."""
    sender = message.envelope.reverse_path
    if sender == NULL_SENDER:
        raise ValueError("no notification for a notification")
    utf8 = any(needs_utf8(address) for address in (sender, *(report.recipient for report in reports)))
    utf8 = utf8 or not header.isascii() or not all(report.wish.orcpt.isascii() for report in reports)
    kind = "global-" if utf8 else ""
    boundary = f"=_{secrets.token_hex(16)}"
    head = [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{format_mailbox(sender)}>",
        f"Subject: {_WORDS[reports[0].action][0]}",
        f"Date: {formatdate(now)}",
        f"Message-ID: <{message.id}.{secrets.token_hex(6)}@{hostname}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 5
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f' boundary="{boundary}"',
    ]
    parts = [
        _part("text/plain; charset=utf-8", _text(reports, hostname)),
        _part(f"message/{kind}delivery-status", _status(message, reports, hostname)),
        _part(f"message/{kind}headers" if utf8 else "text/rfc822-headers", _cut(header)),
    ]
    mark = f"--{boundary}\r\n".encode()
    body = b"".join(mark + part + b"\r\n" for part in parts)
    return _lines(head) + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def _part(content_type: str, content: bytes) -> bytes:
    encoding = "7bit" if content.isascii() else "8bit"
    return _lines([f"Content-Type: {content_type}", f"Content-Transfer-Encoding: {encoding}", ""]) + content


def _text(reports: Sequence[Report], hostname: str) -> bytes:
    lines = [
        f"This is the mail system at {hostname}.",
        "",
        *_WORDS[reports[0].action][1],
        "",
    ]
    for report in reports:
        reply, remote = report.outcome.reply, report.outcome.remote
        lines.append(f"<{format_mailbox(report.recipient)}>")
        lines.extend(_fold(f"{remote} said: {reply}" if remote else str(reply)))
        lines.append("")
    return _lines(lines)


def _status(message: QueuedMessage, reports: Sequence[Report], hostname: str) -> bytes:
    """RFC 3464 2.2 and 2.3, RFC 6533 3."""
    lines = [
        f"Reporting-MTA: dns; {hostname}",
        f"Arrival-Date: {formatdate(message.arrived)}",
        f"X-Mailplat-Queue-ID: {message.id}",
    ]
    if message.envelope.envid:
        lines.insert(0, f"Original-Envelope-Id: {xtext.decode(message.envelope.envid)}")
    for report in reports:
        reply, remote = report.outcome.reply, report.outcome.remote
        scheme = "utf-8" if needs_utf8(report.recipient) else "rfc822"
        lines.append("")
        if report.wish.orcpt:
            lines.append(f"Original-Recipient: {shown(report.wish.orcpt)}")
        lines += [
            f"Final-Recipient: {scheme}; {format_mailbox(report.recipient)}",
            f"Action: {report.action}",
            f"Status: {_final(reply)}",
        ]
        if remote:
            host, _, _ = remote.rpartition(":")
            lines.append(f"Remote-MTA: dns; {host}")
        lines.append(f"Diagnostic-Code: smtp; {reply}")
    return _lines(lines)


def _final(reply: Reply) -> str:
    """The status of something that is over: class 2 or 5, the latter also for what was temporary until we gave up."""
    kind = "2" if reply.positive else "5"
    return kind + reply.status[1:] if reply.status else f"{kind}.0.0"


def _fold(text: str) -> list[str]:
    lines, line = [], "   "
    for word in text.split(" "):
        if len(line) + len(word) >= _WIDTH and line.strip():
            lines.append(line)
            line = "   "
        line += f" {word}"
    return [*lines, line]


def _cut(header: bytes) -> bytes:
    if len(header) <= MAX_HEADER:
        return header
    return header[: header.rfind(b"\r\n", 0, MAX_HEADER) + 2] or header[:MAX_HEADER] + b"\r\n"


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
