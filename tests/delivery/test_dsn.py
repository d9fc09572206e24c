"""Notifications as a mail program reads them."""

import email
import email.message
import email.policy
import re

import pytest

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.outcome import Outcome, Result
from mailplat.core.reply import Reply
from mailplat.delivery import dsn
from mailplat.queue import QueuedMessage

ANNA, BERT, CLEO = (Address(name, "example.org") for name in ("anna", "bert", "cleo"))
HEADER = b"From: anna@example.org\r\nSubject: hello\r\n\r\n"
NO = Outcome(Result.FAILED, Reply(550, "5.1.1", "no such user, " + "really " * 30), "192.0.2.1:25")
LATE = Outcome(Result.FAILED, Reply(554, "5.4.7", "Not delivered within 5 days"))


def message(sender: Address = ANNA) -> QueuedMessage:
    return QueuedMessage("0123456789ABCDEF", Envelope(sender), Peer("192.0.2.7", 0), 100, 1_700_000_000.0)


def render(failures: list[dsn.Report], header: bytes = HEADER, sender: Address = ANNA) -> bytes:
    return dsn.render(message(sender), failures, header, hostname="mx.example.org", now=1_700_000_100.0)


def parse(octets: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(octets, policy=email.policy.default)  # type: ignore[return-value]


def test_a_report_with_three_parts() -> None:
    report = parse(render([dsn.Report(BERT, NO), dsn.Report(CLEO, LATE)]))
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert (report["To"], report["Auto-Submitted"]) == ("anna@example.org", "auto-replied")
    assert report["From"] == "Mail Delivery System <MAILER-DAEMON@mx.example.org>"
    text, status, headers = report.iter_parts()
    assert "bert@example.org" in text.get_content()
    assert "550 5.1.1" in text.get_content()
    assert headers.get_content_type() == "text/rfc822-headers"
    assert headers.get_content().split("\r\n") == ["From: anna@example.org", "Subject: hello", "", ""]
    whole, bert, cleo = status.get_payload()  # RFC 3464 2.1: blocks of fields
    assert whole["Reporting-MTA"] == "dns; mx.example.org"
    assert bert["Final-Recipient"] == "rfc822; bert@example.org"
    assert (bert["Action"], bert["Status"], bert["Remote-MTA"]) == ("failed", "5.1.1", "dns; 192.0.2.1")
    assert bert["Diagnostic-Code"].startswith("smtp; 550 5.1.1 no such user")
    assert (cleo["Status"], cleo["Remote-MTA"]) == ("5.4.7", None)


def test_the_body_is_not_sent_back_and_lines_are_crlf() -> None:
    octets = render([dsn.Report(BERT, NO)])
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", octets)
    assert octets.endswith(b"--\r\n")


def test_utf8_addresses_make_a_global_report() -> None:
    zoe = Address("zoë", "example.org")
    report = parse(render([dsn.Report(zoe, NO)]))
    _, status, headers = report.iter_parts()
    assert status.get_content_type() == "message/global-delivery-status"
    assert headers.get_content_type() == "message/global-headers"
    assert b"Final-Recipient: utf-8; zo\xc3\xab@example.org" in render([dsn.Report(zoe, NO)])
    assert dsn.envelope_for(message(zoe)).utf8


def test_a_temporary_answer_becomes_a_permanent_status() -> None:
    octets = render([dsn.Report(BERT, Outcome(Result.FAILED, Reply(452, "4.2.2", "full")))])
    assert b"Status: 5.2.2\r\n" in octets


def test_a_huge_header_is_cut_at_a_line() -> None:
    header = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 100) for number in range(2000)) + b"\r\n"
    octets = render([dsn.Report(BERT, NO)], header)
    assert len(octets) < dsn.MAX_HEADER + 5000
    *_, headers = parse(octets).iter_parts()
    lines = headers.get_content().splitlines()
    assert len(lines) > 500
    assert all(re.fullmatch(r"X-\d+: y{100}", line) for line in lines)


def test_never_for_the_null_sender() -> None:
    with pytest.raises(ValueError, match="notification"):
        render([dsn.Report(BERT, NO)], sender=NULL_SENDER)
    assert dsn.envelope_for(message()).reverse_path == NULL_SENDER
