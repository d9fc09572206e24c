"""Messages that were made to take a server's time or memory: each is kept octet for octet and can be read, or is
refused clearly, and others work meanwhile."""

import imaplib
import smtplib

import pytest

from tests.e2e.conftest import ACCOUNTS, PASSWORD
from tests.rig import Rig

MULTIPART = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n"
HEAD = b"From: eve@example.test\r\nSubject: hostile\r\n"

HOSTILE = {
    "parts in parts": HEAD
    + b"".join(MULTIPART % b"%d" % level + b"--%d\r\n" % level for level in range(3000))
    + b"\r\nbottom\r\n",
    "messages in messages": HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 3000 + b"bottom\r\n",
    "many parts": HEAD + MULTIPART % b"x" + b"--x\r\n\r\npart\r\n" * 20_000 + b"--x--\r\n",
    "many addresses": b"To: "
    + b",\r\n ".join(b"u%d@x.test" % number for number in range(60_000))
    + b"\r\n\r\nx\r\n",
    "many address fields": b"".join(b"To: u%d@x.test\r\n" % number for number in range(60_000))
    + b"\r\nx\r\n",
    "many continuations": HEAD
    + b"Content-Type: text/plain"
    + b"".join(b";\r\n name*%d*=%%41" % number for number in range(20_000))
    + b"\r\n\r\nx\r\n",
    "many encoded words": b"Subject: " + b"\r\n ".join([b"=?utf-8?q?=41?="] * 60_000) + b"\r\n\r\nx\r\n",
    "one long field": HEAD + b"X-Long: " + b"\r\n ".join([b"a" * 900] * 3300) + b"\r\n\r\nx\r\n",
    "open comments": b"From: " + b"\r\n ".join([b"(" * 900] * 200) + b" eve@x.test\r\n\r\nx\r\n",
    "much base64": HEAD
    + b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + (b"QUJD" * 19 + b"\r\n") * 60_000,
}

# More than a header block may have over SMTP.
REFUSED = (
    "many addresses",
    "many address fields",
    "many continuations",
    "many encoded words",
    "one long field",
)


def login(platform: Rig, account: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", platform.ports["imap"], timeout=60)
    client.login(account, PASSWORD)
    client.select()
    return client


@pytest.mark.parametrize("name", HOSTILE)
def test_appended_it_can_be_read_and_searched(
    platform: Rig, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imaplib, "_MAXLINE", 10_000_000)  # the client's own limit of a reply's line
    hostile, other = login(platform, ACCOUNTS[0]), login(platform, ACCOUNTS[2])
    assert hostile.append("INBOX", "", "", HOSTILE[name])[0] == "OK"
    hostile.noop()
    number = hostile.search(None, "ALL")[1][0].decode().split()[-1]
    for attempt in (
        lambda: hostile.fetch(number, "(ENVELOPE BODY BODYSTRUCTURE)"),
        lambda: hostile.fetch(
            number, "(BODY.PEEK[1.1.1.MIME] BODY.PEEK[9999] BODY.PEEK[HEADER.FIELDS (To)])"
        ),
        lambda: hostile.search(None, "TEXT", "nowhere", "SUBJECT", "nowhere", "TO", "nowhere"),
    ):
        assert attempt()[0] == "OK"
        assert other.noop()[0] == "OK"
    (_, octets), _ = hostile.fetch(number, "(BODY.PEEK[])")[1]
    assert octets == HOSTILE[name]
    for client in (hostile, other):
        client.logout()


@pytest.mark.parametrize("name", HOSTILE)
def test_over_smtp_it_is_taken_or_refused(platform: Rig, name: str) -> None:
    with smtplib.SMTP("127.0.0.1", platform.ports["smtp"], timeout=60) as client:
        if name in REFUSED:
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail("eve@x.test", [ACCOUNTS[1]], HOSTILE[name])
            assert refused.value.smtp_code == 552
            assert refused.value.smtp_error.startswith(b"5.3.4")
        else:
            assert client.sendmail("eve@x.test", [ACCOUNTS[1]], HOSTILE[name]) == {}
        assert client.noop()[0] == 250
    reader = login(platform, ACCOUNTS[1])
    status, found = reader.search(None, "ALL")
    assert status == "OK"
    if name not in REFUSED:
        (_, octets), _ = reader.fetch(found[0].split()[-1], "(BODY.PEEK[])")[1]
        assert octets.endswith(HOSTILE[name])
    reader.logout()
