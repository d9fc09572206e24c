"""Bad input at the doors of a running platform: a clear reply, and nothing lost."""

import imaplib
import smtplib
from pathlib import Path

import pytest

from tests.e2e.conftest import ACCOUNTS, PASSWORD
from tests.e2e.wire import Wire
from tests.rig import Rig


@pytest.fixture
def smtp(platform: Rig):
    wire = Wire(platform.ports["smtp"])
    assert wire.say(b"EHLO test").startswith("250")
    yield wire
    wire.close()


@pytest.fixture
def imap(platform: Rig):
    wire = Wire(platform.ports["imap"])
    assert wire.tagged(f'LOGIN {ACCOUNTS[0]} "{PASSWORD}"'.encode()).startswith("x OK")
    yield wire
    wire.close()


def deliver(smtp: Wire, subject: str) -> None:
    """The connection still works, and mail still goes through."""
    assert smtp.say(b"MAIL FROM:<a@b.test>").startswith("250")
    assert smtp.say(f"RCPT TO:<{ACCOUNTS[0]}>".encode()).startswith("250")
    assert smtp.say(b"DATA").startswith("354")
    assert smtp.say(f"Subject: {subject}\r\n\r\nhello\r\n.".encode()).startswith("250")


def test_unknown_domain(smtp: Wire) -> None:
    smtp.say(b"MAIL FROM:<a@b.test>")
    assert smtp.say(b"RCPT TO:<x@nowhere.test>").startswith("550 5.7.1")


def test_unknown_recipient(smtp: Wire) -> None:
    smtp.say(b"MAIL FROM:<a@b.test>")
    assert smtp.say(b"RCPT TO:<nobody@example.test>").startswith("550 5.1.1")


def test_ten_thousand_recipients(smtp: Wire) -> None:
    smtp.say(b"MAIL FROM:<a@b.test>")
    command = f"RCPT TO:<{ACCOUNTS[0]}>".encode()
    replies = [smtp.say(command) for _ in range(10_000)]
    assert {reply[:9] for reply in replies[:1000]} == {"250 2.1.5"}
    assert {reply[:9] for reply in replies[1000:]} == {"452 4.5.3"}
    assert smtp.say(b"RSET").startswith("250")
    deliver(smtp, "after ten thousand recipients")


def test_a_size_of_3_gigabytes(smtp: Wire) -> None:
    assert smtp.say(b"MAIL FROM:<a@b.test> SIZE=3221225472").startswith("552 5.3.4")
    deliver(smtp, "after 3 GB")


def test_a_command_line_of_a_megabyte(smtp: Wire) -> None:
    assert smtp.say(b"MAIL FROM:<" + b"a" * 1_000_000 + b"@b.test>").startswith("500")
    deliver(smtp, "after a megabyte")


def test_nul_octets_in_a_command(smtp: Wire) -> None:
    assert smtp.say(b"MAIL FROM:<a\0@b.test>").startswith("5")
    deliver(smtp, "after NUL")


@pytest.mark.parametrize(
    "ending", [b"\nMAIL FROM:<evil@b.test>\n.\r\n", b"\r.\r", b"\n.\n", b"x\ry", b"\n.\r\n"]
)
def test_bare_newlines_refuse_the_whole_message(smtp: Wire, ending: bytes) -> None:
    smtp.say(b"MAIL FROM:<a@b.test>")
    smtp.say(f"RCPT TO:<{ACCOUNTS[0]}>".encode())
    smtp.say(b"DATA")
    assert smtp.say(b"Subject: smuggled\r\n\r\nhello" + ending + b"\r\n.").startswith("550 5.6.0")
    deliver(smtp, "after bare newlines")


def test_imap_command_line_of_a_megabyte(imap: Wire) -> None:
    imap.send(b"x NOOP " + b"a" * 1_000_000 + b"\r\n")
    line = imap.line()
    assert line.startswith("x BAD"), line
    assert "65536 octets" in line
    assert imap.tagged(b"NOOP").startswith("x OK")


def test_imap_nul_octets(imap: Wire) -> None:
    assert imap.tagged(b'CREATE "a\0b"').split()[1] in ("BAD", "NO")
    assert imap.tagged(b"NOOP").startswith("x OK")


def test_imap_literal_of_4_gigabytes(imap: Wire) -> None:
    imap.send(b"x APPEND INBOX {4294967296}\r\n")
    line = imap.line()
    assert line.startswith(("x NO", "x BAD")), line
    assert imap.tagged(b"NOOP").startswith("x OK")


def test_imap_unfinished_literal(platform: Rig) -> None:
    """A client goes away in the middle of an APPEND: nothing is stored, nothing is left in tmp/."""
    wire = Wire(platform.ports["imap"])
    wire.tagged(f'LOGIN {ACCOUNTS[1]} "{PASSWORD}"'.encode())
    before = wire.tagged(b"STATUS INBOX (MESSAGES)")
    wire.send(b"y APPEND INBOX {400000}\r\n")
    assert wire.line().startswith("+")
    wire.send(b"x" * 300_000)
    wire.close()
    again = Wire(platform.ports["imap"])
    again.tagged(f'LOGIN {ACCOUNTS[1]} "{PASSWORD}"'.encode())
    assert again.tagged(b"STATUS INBOX (MESSAGES)") == before
    again.close()


@pytest.mark.parametrize("name", ["../../etc/passwd", "INBOX/../x", "..", "a/../../b", "/etc", "a//b", "x/"])
def test_mailbox_names_that_look_like_paths(platform: Rig, imap: Wire, name: str) -> None:
    answer = imap.tagged(f'CREATE "{name}"'.encode())
    assert answer.split()[1] in ("NO", "OK"), answer
    outside = [path for path in platform.root.rglob("*") if path.name in ("passwd", "..")]
    assert outside == []
    assert imap.tagged(f'SELECT "{name}.missing"'.encode()).startswith("x NO")


@pytest.mark.parametrize("name", [b"&", b"&AMA", b"&2AA-", b"caf\xe9", b"&AGE-"])
def test_mailbox_names_that_do_not_decode(imap: Wire, name: bytes) -> None:
    assert imap.tagged(b'CREATE "' + name + b'"').split()[1] in ("BAD", "NO")
    assert imap.tagged(b"NOOP").startswith("x OK")


def test_five_thousand_nested_mailboxes(imap: Wire) -> None:
    deep = "/".join(f"d{number}" for number in range(5000))
    answer = imap.tagged(f'CREATE "{deep}"'.encode())
    assert answer.startswith("x NO"), answer
    assert "[LIMIT]" in answer or "[CANNOT]" in answer
    assert imap.tagged(b"NOOP").startswith("x OK")


def test_a_configuration_with_a_wrong_key(platform: Rig, tmp_path: Path) -> None:
    text = platform.config.read_text().replace("data_dir", "data_dri")
    wrong = tmp_path / "mailplat.toml"
    wrong.write_text(text)
    for command in (("config", "check"), ("serve",), ("domain", "list")):
        done = platform.attempt(*command, "--config", str(wrong))
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert "platform.data_dri" in done.stderr
        assert "platform.data_dir" in done.stderr


def test_utf8_addresses_over_smtplib(platform: Rig) -> None:
    platform.add_account("jörg@example.test", PASSWORD)
    with smtplib.SMTP("127.0.0.1", platform.ports["smtp"], timeout=30) as client:
        client.ehlo()
        client.sendmail(
            "zoë@elsewhere.test",
            ["jörg@example.test"],
            b"Subject: hello\r\n\r\nhello\r\n",
            ["SMTPUTF8", "BODY=8BITMIME"],
        )
    with imaplib.IMAP4("127.0.0.1", platform.ports["imap"], timeout=30) as client:
        client.authenticate("PLAIN", lambda _: "\0jörg@example.test\0correct horse".encode())
        assert client.select("INBOX")[1] == [b"1"]
