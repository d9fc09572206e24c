"""Delivery status notifications: what a sender is told when a message could not be delivered.

multipart/report of RFC 6522 with a text for people, message/delivery-status of RFC 3464 and the header fields of
the message (never its body: a bounce must not carry on what a recipient refused). Where an address is not ASCII
the parts are those of RFC 6533.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import Envelope
from mailplat.core.outcome import Outcome
from mailplat.queue import QueuedMessage
from mailplat.wire.smtp.address import format_mailbox, needs_utf8

# Of the message's header block; a longer one is cut at a line end.
MAX_HEADER = 64 * 1024

# A text line is folded at a space near this; RFC 5322 2.1.1 has 78.
_WIDTH = 76


@dataclass(frozen=True, slots=True)
class Failure:
    recipient: Address
    outcome: Outcome


def envelope_for(message: QueuedMessage) -> Envelope:
    """RFC 3464 2: the reverse-path of a DSN is null."""
    utf8 = needs_utf8(message.envelope.reverse_path)
    return Envelope(NULL_SENDER, body="8BITMIME", utf8=utf8)


def render(
    message: QueuedMessage, failures: Sequence[Failure], header: bytes, *, hostname: str, now: float
) -> bytes:
    """The notification, CRLF, without trace fields. `header` is the header block of the message. ValueError
    for a message with the null reverse-path: it must never be answered (RFC 5321 4.5.5)."""
    sender = message.envelope.reverse_path
    if sender == NULL_SENDER:
        raise ValueError("no notification for a notification")
    utf8 = any(needs_utf8(address) for address in (sender, *(failure.recipient for failure in failures)))
    utf8 = utf8 or not header.isascii()
    kind = "global-" if utf8 else ""
    boundary = f"=_{secrets.token_hex(16)}"
    head = [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{format_mailbox(sender)}>",
        "Subject: Undelivered mail returned to sender",
        f"Date: {formatdate(now)}",
        f"Message-ID: <{message.id}.{secrets.token_hex(6)}@{hostname}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 5
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f' boundary="{boundary}"',
    ]
    parts = [
        _part("text/plain; charset=utf-8", _text(failures, hostname)),
        _part(f"message/{kind}delivery-status", _status(message, failures, hostname)),
        _part(f"message/{kind}headers" if utf8 else "text/rfc822-headers", _cut(header)),
    ]
    mark = f"--{boundary}\r\n".encode()
    body = b"".join(mark + part + b"\r\n" for part in parts)
    return _lines(head) + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def _part(content_type: str, content: bytes) -> bytes:
    encoding = "7bit" if content.isascii() else "8bit"
    return _lines([f"Content-Type: {content_type}", f"Content-Transfer-Encoding: {encoding}", ""]) + content


def _text(failures: Sequence[Failure], hostname: str) -> bytes:
    lines = [
        f"This is the mail system at {hostname}.",
        "",
        "Your message could not be delivered to the recipients below. It will not be",
        "tried again. Its header fields are attached.",
        "",
    ]
    for failure in failures:
        reply, remote = failure.outcome.reply, failure.outcome.remote
        lines.append(f"<{format_mailbox(failure.recipient)}>")
        lines.extend(_fold(f"{remote} said: {reply}" if remote else str(reply)))
        lines.append("")
    return _lines(lines)


def _status(message: QueuedMessage, failures: Sequence[Failure], hostname: str) -> bytes:
    """RFC 3464 2.2 and 2.3, RFC 6533 3."""
    lines = [
        f"Reporting-MTA: dns; {hostname}",
        f"Arrival-Date: {formatdate(message.arrived)}",
        f"X-Mailplat-Queue-ID: {message.id}",
    ]
    for failure in failures:
        reply, remote = failure.outcome.reply, failure.outcome.remote
        scheme = "utf-8" if needs_utf8(failure.recipient) else "rfc822"
        lines += [
            "",
            f"Final-Recipient: {scheme}; {format_mailbox(failure.recipient)}",
            "Action: failed",
            f"Status: {_permanent(reply.status, reply.code)}",
        ]
        if remote:
            host, _, _ = remote.rpartition(":")
            lines.append(f"Remote-MTA: dns; {host}")
        lines.append(f"Diagnostic-Code: smtp; {reply}")
    return _lines(lines)


def _permanent(status: str, code: int) -> str:
    """The status of something that is over: class 5, also for what was temporary until we gave up."""
    return "5" + status[1:] if status else f"{5 if code >= 400 else 2}.0.0"


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
