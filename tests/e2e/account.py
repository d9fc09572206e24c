"""An account as the tests of real clients meet it: mailboxes with odd names, filled and looked at over IMAP."""

from collections.abc import Mapping, Sequence
from email import message_from_bytes

from imapclient import IMAPClient

from tests.letters import letter
from tests.rig import Rig

PASSWORD = "correct horse"

# A space, an ampersand (which modified UTF-7 quotes, RFC 3501 5.1.3), UTF-8, and a level.
# The upper level of the second is made with it (RFC 3501 6.3.3), and empty.
PARENT = "Entwürfe"
ODD = ("Work & Play", "Entwürfe/Über 2026")

# By mailbox, by Message-ID: the flags, without \Recent.
Picture = Mapping[str, Mapping[str, frozenset[str]]]


def connect(rig: Rig, user: str) -> IMAPClient:
    client = IMAPClient("127.0.0.1", rig.ports["imap"], ssl=False, timeout=60)
    client.login(user, PASSWORD)
    return client


def fill(rig: Rig, user: str, *, each: int = 4, mailboxes: Sequence[str] = ("INBOX", *ODD)) -> list[bytes]:
    """So many letters in each mailbox, the first one read, the second one flagged. Returns INBOX's."""
    inbox: list[bytes] = []
    with connect(rig, user) as client:
        for place, name in enumerate(mailboxes):
            if name != "INBOX":
                client.create_folder(name)
            for number in range(each):
                octets = letter(number, "friend@elsewhere.test", user, seed=place + 1)
                flags = ((b"\\Seen",), (b"\\Flagged",))[number] if number < 2 else ()
                client.append(name, octets, flags=flags)
                if name == "INBOX":
                    inbox.append(octets)
    return inbox


def picture(rig: Rig, user: str) -> dict[str, dict[str, frozenset[str]]]:
    """What is there now."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    with connect(rig, user) as client:
        for flags, _, name in client.list_folders():
            if b"\\Noselect" in flags or b"\\NonExistent" in flags:
                continue
            client.select_folder(name, readonly=True)
            uids = client.search()
            rows = client.fetch(uids, ["FLAGS", "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"]) if uids else {}
            found[name] = {
                message_id(row[b"BODY[HEADER.FIELDS (MESSAGE-ID)]"]): frozenset(
                    flag.decode() for flag in row[b"FLAGS"] if flag != b"\\Recent"
                )
                for row in rows.values()
            }
    return found


def message_id(octets: bytes) -> str:
    return str(message_from_bytes(octets)["Message-ID"]).strip()
