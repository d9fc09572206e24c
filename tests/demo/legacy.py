"""The legacy platform of the demo: a second mailplat with a master user, and accounts with a past."""

import imaplib
import smtplib
from dataclasses import dataclass

from imapclient import imap_utf7

from tests.demo.clients import TIMEOUT_S, read_imap, read_pop3
from tests.demo.ledger import Ledger
from tests.letters import letter, token
from tests.rig import Rig

PASSWORD = "correct horse"
MASTER = {"MAILPLAT_AUTH__MASTER_USER": "master", "MAILPLAT_AUTH__MASTER_PASSWORD": "master-secret"}
FOLDERS = ("Sent", "Projekte/2026", "Entwürfe & Ideen")


@dataclass
class LegacyMail:
    """What clients saw of one account before the move."""

    account: str
    state: dict[str, object]
    uidls: list[str]
    subscriptions: list[bytes]

    def check(self, imap_port: int, pop3_port: int, ledger: Ledger) -> None:
        """Everything old is there with the same UIDVALIDITY, UIDs, flags, dates; UIDLs in the same order."""
        _, state = read_imap(imap_port, self.account, PASSWORD, ledger)
        _, uidls = read_pop3(pop3_port, self.account, PASSWORD, ledger)
        for name, (uidvalidity, rows) in self.state.items():
            new_uidvalidity, new_rows = state.get(name, (None, {}))
            if new_uidvalidity != uidvalidity:
                ledger.error(
                    "compare", f"{self.account} {name}: UIDVALIDITY {uidvalidity} became {new_uidvalidity}"
                )
            for uid, row in rows.items():
                if new_rows.get(uid) != row:
                    ledger.error(
                        "compare", f"{self.account} {name} UID {uid}: {row} became {new_rows.get(uid)}"
                    )
        if uidls[: len(self.uidls)] != self.uidls:
            ledger.error("compare", f"{self.account}: POP3 UIDLs changed")
        if subscriptions(imap_port, self.account) != self.subscriptions:
            ledger.error("compare", f"{self.account}: subscriptions changed")


def furnish(legacy: Rig, account: str, letters: int, ledger: Ledger) -> LegacyMail:
    """Old letters with flags, keywords, folders and subscriptions, and what a client sees of them."""
    seed = 100 + sum(account.encode())
    with smtplib.SMTP("127.0.0.1", legacy.ports["smtp"], timeout=TIMEOUT_S) as smtp:
        for number in range(letters):
            octets = letter(number, "friend@elsewhere.test", account, seed=seed)
            ledger.offer(token(number, seed), account, octets)
            smtp.sendmail("friend@elsewhere.test", [account], octets, mail_options=["BODY=8BITMIME"])
            ledger.accept(token(number, seed))
    with imaplib.IMAP4("127.0.0.1", legacy.ports["imap"], timeout=TIMEOUT_S) as imap:
        imap.login(account, PASSWORD)
        for folder in FOLDERS:
            must(imap.create(quoted(folder)))
        must(imap.subscribe(quoted(FOLDERS[1])))
        must(imap.select("INBOX"))
        must(imap.store("1:10", "+FLAGS", r"(\Seen)"))
        must(imap.store("3:7", "+FLAGS", r"(\Flagged $Important)"))
        must(imap.store("9", "+FLAGS", r"(\Deleted)"))
        must(imap.uid("MOVE", "11:15", quoted(FOLDERS[1])))
        must(imap.uid("MOVE", "16:18", quoted(FOLDERS[2])))
    _, state = read_imap(legacy.ports["imap"], account, PASSWORD, ledger)
    _, uidls = read_pop3(legacy.ports["pop3"], account, PASSWORD, ledger)
    return LegacyMail(account, state, uidls, subscriptions(legacy.ports["imap"], account))


def subscriptions(port: int, account: str) -> list[bytes]:
    with imaplib.IMAP4("127.0.0.1", port, timeout=TIMEOUT_S) as imap:
        imap.login(account, PASSWORD)
        return sorted(line.rpartition(b' "/" ')[2] for line in imap.lsub()[1] if line)


def quoted(name: str) -> str:
    """An IMAP mailbox name in modified UTF-7 (RFC 3501 5.1.3), quoted."""
    return f'"{imap_utf7.encode(name).decode()}"'


def must(result: tuple[str, list[object]]) -> None:
    if result[0] != "OK":
        raise RuntimeError(f"the legacy platform said {result}")
