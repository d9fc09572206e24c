"""Real clients against a running platform: Python's libraries, curl, swaks. What keeps a copy of mail or fetches it
has files of its own."""

import imaplib
import poplib
import shutil
import smtplib
import ssl
import subprocess

import pytest

from tests.e2e.conftest import ACCOUNTS, PASSWORD
from tests.letters import letter
from tests.rig import Rig

LETTERS = [letter(number, "friend@elsewhere.test", ACCOUNTS[0], seed=77) for number in range(12)]


@pytest.fixture(scope="module", autouse=True)
def delivered(platform: Rig) -> None:
    with smtplib.SMTP("127.0.0.1", platform.ports["smtp"], timeout=30) as smtp:
        for octets in LETTERS:
            smtp.sendmail("friend@elsewhere.test", [ACCOUNTS[0]], octets, ["BODY=8BITMIME"])


@pytest.fixture
def trusted(platform: Rig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(platform.root / "tls/ca.pem"))


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: {name})")
    return path


def test_smtplib_with_starttls(platform: Rig, trusted: ssl.SSLContext) -> None:
    with smtplib.SMTP("localhost", platform.ports["smtp"], timeout=30) as smtp:
        smtp.starttls(context=trusted)
        smtp.sendmail("a@b.test", [ACCOUNTS[2]], b"Subject: over TLS\r\n\r\nhello\r\n")
    with imaplib.IMAP4_SSL("localhost", platform.ports["imaps"], ssl_context=trusted, timeout=30) as imap:
        imap.login(ACCOUNTS[2], PASSWORD)
        imap.select()
        _, found = imap.fetch("1", "(BODY.PEEK[HEADER])")
    assert b"with ESMTPS" in found[0][1]


def test_poplib_over_tls(platform: Rig, trusted: ssl.SSLContext) -> None:
    pop = poplib.POP3_SSL("localhost", platform.ports["pop3s"], context=trusted, timeout=30)
    pop.user(ACCOUNTS[0])
    pop.pass_(PASSWORD)
    assert pop.stat()[0] == len(LETTERS)
    pop.quit()


@pytest.mark.interop
def test_curl_reads_over_imap_and_pop3(platform: Rig) -> None:
    curl = program("curl")
    user = ["--silent", "--show-error", "--user", f"{ACCOUNTS[0]}:{PASSWORD}"]
    for url in (
        f"imap://127.0.0.1:{platform.ports['imap']}/INBOX;MAILINDEX=1",
        f"pop3://127.0.0.1:{platform.ports['pop3']}/1",
    ):
        done = subprocess.run([curl, *user, url], check=True, timeout=30, capture_output=True)
        assert done.stdout.endswith(LETTERS[0]), url


@pytest.mark.interop
def test_swaks_sends(platform: Rig) -> None:
    swaks = program("swaks")
    server = f"127.0.0.1:{platform.ports['smtp']}"
    subject = "Subject: from swaks"
    done = subprocess.run(
        [
            swaks,
            "--to",
            ACCOUNTS[3],
            "--from",
            "a@b.test",
            "--server",
            server,
            "--header",
            subject,
            "--pipeline",
        ],
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
