"""Every verb that changes something, once, one after the other: short enough to be run again for each system call
that it makes. What was answered is in the ledger, what was refused is told with its reply."""

import contextlib
import random
import smtplib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.crash import letters
from tests.crash.clients import ARCHIVE, INBOX, WORK, Lmtp, Mailbox, Refused, Scene, Smtp, Writer
from tests.crash.imap import Answer
from tests.crash.ledger import Key

# Messages in a mailbox beyond which the script takes some out: an inspection stays quick.
ENOUGH = 40


@dataclass
class Told:
    """What the client heard."""

    done: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)  # verb, reply
    cut: str = ""  # at which verb the connection ended


class Script:
    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self.scene, self.ledger = scene, scene.ledger
        self.rng = rng
        self._writer = Writer(scene, 1, rng, threading.Event())  # its verbs, not its thread
        self._renaming: tuple[str, str, str] | None = None

    def run(self, *, patient: bool = True) -> Told:
        """All verbs, or up to the first that is cut, or not `patient` refused."""
        told = Told()
        with contextlib.ExitStack() as sessions:
            for verb, work in self._verbs(sessions):
                try:
                    work()
                    told.done += 1
                except Refused as error:
                    told.refused.append((verb, reply(error.answer)))
                except smtplib.SMTPResponseException as error:
                    told.refused.append((verb, f"{error.smtp_code} {_text(error.smtp_error)}"))
                except (OSError, smtplib.SMTPException) as error:
                    told.cut = f"{verb}: {error}"
                if told.cut or (told.refused and not patient):
                    break
        return told

    def _verbs(self, sessions: contextlib.ExitStack) -> Iterator[tuple[str, Callable[[], None]]]:
        """In both shards, so that a delivery for both goes through the queue."""
        account = self.rng.choice(self.scene.accounts)
        near, far = self.scene.accounts[0], self.scene.accounts[1]
        guests = [self.scene.guests.pop()] if self.scene.guests else []
        writer = self._writer
        yield "SMTP", lambda: self._send([near])
        yield "SMTP, two shards", lambda: self._send([near, far])
        yield "LMTP", lambda: self._post([account, *guests])
        held: list[Mailbox] = []

        def log_in() -> None:
            held.append(Mailbox(self.scene, account))
            sessions.callback(held[0].imap.close)

        def on(name: str, verb: Callable[..., None], *more: object) -> Callable[[], None]:
            def work() -> None:
                verb(held[0], held[0].select(name), *more)

            return work

        yield "LOGIN", log_in
        if not held:
            return
        yield "APPEND", on(INBOX, writer.append)
        yield "APPEND of 18", on(WORK, writer.append_many)
        yield "COPY", on(INBOX, writer.copy)
        yield "MOVE", on(WORK, writer.move)
        yield "STORE", on(INBOX, writer.store)
        yield "EXPUNGE", on(WORK, writer.expunge)
        yield "CREATE", lambda: self._create(held[0], "ScratchA")
        if self.scene.exists.get((account, "ScratchA")):
            yield "APPEND to a new mailbox", on("ScratchA", writer.append)
            yield "RENAME", lambda: self._rename(held[0], "ScratchA", "ScratchB")
        for name in ("ScratchA", "ScratchB"):
            if self.scene.exists.get((account, name)):
                yield "DELETE", lambda name=name: self._delete(held[0], name)  # type: ignore[misc]
        for name in (INBOX, WORK, ARCHIVE):
            if len(self.ledger.box(account, name).live) > ENOUGH:
                yield "EXPUNGE of many", on(name, writer.expunge, ENOUGH // 2)

    # deliveries

    def _send(self, recipients: list[str]) -> None:
        with Smtp(self.scene) as smtp:
            token, _ = self._begin(smtp, recipients)
            code, text = smtp.data(letters.letter(token, self.rng))
            if code != 250:
                raise smtplib.SMTPDataError(code, text)
            for recipient in recipients:
                self.ledger.accepted(self.ledger.box(recipient, INBOX), token)

    def _post(self, recipients: list[str]) -> None:
        with Lmtp(self.scene) as lmtp:
            token, taken = self._begin(lmtp, recipients)
            replies = [lmtp.data(letters.letter(token, self.rng))]
            replies += [lmtp.getreply() for _ in taken[1:]]
            for recipient, (code, _) in zip(taken, replies, strict=True):
                if code == 250:
                    self.ledger.accepted(self.ledger.box(recipient, INBOX), token)
            for code, text in replies:
                if code != 250:
                    raise smtplib.SMTPDataError(code, text)

    def _begin(self, smtp: smtplib.SMTP, recipients: list[str]) -> tuple[str, list[str]]:
        """Up to DATA; SMTPResponseException where all, or for SMTP one, are refused."""
        smtp.ehlo_or_helo_if_needed()
        code, text = smtp.mail("a@drill.test")
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)
        replies = [smtp.rcpt(recipient) for recipient in recipients]
        taken = [to for to, (code, _) in zip(recipients, replies, strict=True) if code == 250]
        if len(taken) < len(recipients) and (not isinstance(smtp, smtplib.LMTP) or not taken):
            raise smtplib.SMTPResponseException(*next(each for each in replies if each[0] != 250))
        token = self.ledger.token()
        self.ledger.offer([self.ledger.box(recipient, INBOX) for recipient in taken], token)
        return token, taken

    # mailboxes

    def _create(self, mailbox: Mailbox, name: str) -> None:
        key = (mailbox.account, name)
        if not self._is_free(key):
            return
        self.scene.exists[key] = None
        mailbox.must(b"CREATE " + name.encode())
        self.scene.exists[key] = True

    def _is_free(self, key: Key) -> bool:
        """False also for a mailbox whose DELETE was refused: the next inspection sees whether it is there."""
        return self.scene.exists.get(key, False) is False

    def _delete(self, mailbox: Mailbox, name: str) -> None:
        key = (mailbox.account, name)
        self.scene.exists[key] = None
        mailbox.must(b"DELETE " + name.encode())
        self.scene.exists[key] = False
        if self._renaming is not None and self._renaming[:2] == key:
            self._renaming = None  # it was refused, and what is deleted has its old name
        box = self.ledger.boxes.pop(key, None)
        self.scene.validity[key] = max(box.uidvalidity if box else 0, self.scene.validity.get(key, 0))

    def _rename(self, mailbox: Mailbox, old: str, new: str) -> None:
        if not self._is_free((mailbox.account, new)):
            return
        self._renaming = mailbox.account, old, new
        mailbox.must(b"RENAME %s %s" % (old.encode(), new.encode()))
        mailbox.selected = None
        self._renamed()

    def _renamed(self) -> None:
        """The box, with all that is known of it, has the new name."""
        assert self._renaming is not None
        account, old, new = self._renaming
        self._renaming = None
        box = self.ledger.boxes.pop((account, old), None)
        if box is not None:
            box.key = account, new
            self.ledger.boxes[account, new] = box
        self.scene.exists[account, old] = False
        self.scene.exists[account, new] = True

    def settle_rename(self) -> None:
        """Before an inspection: under which name a mailbox is whose RENAME nobody answered. Raises as Mailbox."""
        if self._renaming is None:
            return
        account, old, new = self._renaming
        mailbox = Mailbox(self.scene, account)
        try:
            answer = mailbox.must(b'LIST "" "Scratch*"')
        finally:
            mailbox.imap.close()
        found = {
            line.rsplit(b" ", 1)[1].strip(b'"').decode() for line, _ in answer.lines if b" LIST " in line
        }
        if (old in found) == (new in found):
            self.ledger.violated("mailbox", f"{account}: RENAME {old} {new} left {sorted(found)}")
        if new in found:
            self._renamed()
        self._renaming = None


def reply(answer: Answer) -> str:
    return f"{answer.status} {_text(answer.text)}"


def _text(octets: bytes | str) -> str:
    text = octets if isinstance(octets, str) else octets.decode("ascii", "replace")
    return text.splitlines()[0] if text else ""
