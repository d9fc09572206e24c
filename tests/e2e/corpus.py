"""Real mail: unpacked into a temporary folder, sent in by several connections at once, read back."""

import contextlib
import imaplib
import itertools
import poplib
import smtplib
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.shared import shared

SENDER = "sender@elsewhere.test"


@dataclass(frozen=True)
class Letter:
    name: str
    octets: bytes


def extract_all(archive: tarfile.TarFile, folder: Path) -> None:
    """Plain files and folders below `folder` only. Python before 3.11.4 (Debian 12) has no filter of its own."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    for member in archive:
        if (
            not (member.isfile() or member.isdir())
            or ".." in Path(member.name).parts
            or member.name.startswith("/")
        ):
            raise ValueError(f"{archive.name}: {member.name} is not a plain file below it")
        archive.extract(member, folder)


def unpack(folder: Path) -> list[Letter]:
    """All messages of the corpus, in the order of their names. Skips the test where it is absent."""
    with tarfile.open(shared("corpus/real-mail.tar.xz")) as archive:
        extract_all(archive, folder)
    return [Letter(path.stem, path.read_bytes()) for path in sorted(folder.rglob("*.eml"))]


def send(port: int, letters: Sequence[tuple[str, Letter]], connections: int = 4) -> None:
    """(recipient, letter) each, as 8BITMIME; raises at the first that is not accepted with 250."""

    def work(part: Sequence[tuple[str, Letter]]) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
            smtp.ehlo()
            for recipient, letter in part:
                smtp.mail(SENDER, ["BODY=8BITMIME"])
                smtp.rcpt(recipient)
                # smtplib's data() rewrites line ends; what is sent here must be the octets of the file
                smtp.putcmd("data")
                smtp.getreply()
                content = letter.octets.replace(b"\r\n.", b"\r\n..")
                smtp.send((b"." if content.startswith(b".") else b"") + content + b".\r\n")
                code, text = smtp.getreply()
                assert code == 250, (letter.name, code, text)

    with ThreadPoolExecutor(connections) as pool:
        parts = [list(itertools.islice(letters, start, None, connections)) for start in range(connections)]
        for future in [pool.submit(work, part) for part in parts]:
            future.result()


def read_imap(port: int, account: str, password: str) -> dict[int, bytes]:
    """{UID: octets} of the inbox, over BODY.PEEK[]."""
    found = {}
    with imaplib.IMAP4("127.0.0.1", port, timeout=60) as imap:
        imap.login(account, password)
        imap.select("INBOX", readonly=True)
        _, answer = imap.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
        for item in answer:
            if isinstance(item, tuple):
                found[int(item[0].split(b"UID ")[1].split()[0])] = item[1]
    return found


def read_pop3(port: int, account: str, password: str) -> list[bytes]:
    """Octets of each message in order, over RETR, by a reader that keeps every octet (poplib would not)."""
    pop = poplib.POP3("127.0.0.1", port, timeout=60)
    pop.user(account)
    pop.pass_(password)
    count = pop.stat()[0]
    found = []
    for number in range(1, count + 1):
        pop._putcmd(f"RETR {number}")
        assert pop.file.readline().startswith(b"+OK")
        lines = []
        while (line := pop.file.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        found.append(b"".join(lines))
    pop.quit()
    return found


def original(stored: bytes, letters: Sequence[Letter]) -> Letter | None:
    """The letter that a stored message ends with, below the trace fields."""
    with contextlib.suppress(StopIteration):
        return next(letter for letter in letters if stored.endswith(letter.octets))
    return None
