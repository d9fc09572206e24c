"""A real Dovecot on an export, compared with what the store says over IMAP and POP3."""

import dataclasses
import os
import poplib
import pwd
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError
from passlib.hash import sha512_crypt

from mailplat.core.address import Address
from mailplat.core.route import Residence
from mailplat.directory.credentials import hash_password
from mailplat.store import Mailbox
from mailplat.store.export import ExportReport, Owner, export
from tests.dovecot import Dovecot
from tests.store.conftest import HOME, Rig, letter, new

pytestmark = pytest.mark.interop

BOB, EVE, OFF, MUTE = (Residence(number, "s1", 1) for number in (2, 3, 4, 5))
OWNERS = (
    Owner(HOME.account_id, Address("Ann", "example.test"), "{PLAIN}se:cret", quota=10**9),
    Owner(
        BOB.account_id, Address("o'brien+x", "example.test"), "{SHA512-CRYPT}" + sha512_crypt.hash("secret")
    ),
    Owner(EVE.account_id, Address("-eve", "example.test"), hash_password("secret")),
    Owner(OFF.account_id, Address("off", "example.test"), "{PLAIN}secret", active=False),
    Owner(MUTE.account_id, Address("mute", "example.test")),
)
PASSWORDS = {1: "se:cret", 2: "secret", 3: "secret"}

LONG = "/".join(["long" * 15] * 5)  # 300 characters: no folder's name
NAMES = (
    "Work",
    "Work/2026/May",
    "v1.2/a.b",
    ".dot.",
    "~home/~",
    "back\\slash\\2e",
    "Entwürfe",
    "R&D &- 100%*",
    "日本語/😀",
    "INBOX/Archive",
    "INBOX.dot",
    "cur",
    "tmp",
    " lead and trail ",
    "#hash {x}",
    LONG,
)
USES = {"Sent": "\\Sent", "Gelöschte Objekte": "\\Trash", "INBOX/Spam": "\\Junk", "#arch {1} .x": "\\Archive"}


def fill(rig: Rig) -> None:
    for home in (BOB, EVE, OFF, MUTE):
        rig.shard.grant(home.account_id, 1)
        rig.append(new(letter("His")), home=home)
    keywords = [f"keyword{number}" for number in range(28)]
    flags = (
        (),
        ("\\Seen",),
        ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "$Forwarded"),
        ("k" * 100, "$MDNSent", "NonJunk"),
    )
    rig.append(
        *(
            new(
                letter(f"Number {number}", "Täxt\r\n" * number),
                flags=flags[number % 4],
                internaldate=10.0**9 + number,
            )
            for number in range(12)
        )
    )
    rig.shard.expunge_uids(
        HOME, rig.inbox.id, [(2, 3), (7, 7), (12, 12)]
    )  # gaps, and UIDNEXT above the last UID
    rig.append(new(letter("Legacy"), uid=40, uidl="legacy:1,2/%x"), new(letter("Other"), uid=41, uidl="!~"))
    rig.append(new(letter("Old"), uid=90, internaldate=86_400.0), new(letter("Last"), uid=95))
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(95, 95)])
    for name in NAMES:
        rig.shard.create(HOME, name)
    for name, use in USES.items():
        rig.shard.create(HOME, name, special_use=use)
    rig.shard.create(HOME, "Numbered", uidvalidity=4_000_000_000, uidnext=4_294_967_290)
    for name in (*NAMES[1:4], "日本語/😀", LONG, "Numbered"):
        rig.append(new(letter(f"In {name[:20]}"), flags=("\\Seen", "one")), mailbox=name)
    rig.append(new(b"Subject: bare\n\nline feeds\nonly\n"), mailbox="Work")
    rig.append(*(new(letter(name), flags=(name, "\\Seen")) for name in keywords), mailbox="R&D &- 100%*")
    rig.shard.delete(HOME, "Work/2026")  # a hole in the tree
    for name in (*NAMES[:7], LONG, "INBOX", "INBOX/Archive", "Gone/mailbox.x"):
        rig.shard.subscribe(HOME, name, True)
    rig.shard.settle_names()
    rig.append(new(letter("In new/")))


class Served:
    """`taken` is what the export said, `rig` has what it was made of."""

    def __init__(self, rig: Rig, folder: Path, link: bool) -> None:
        self.rig = rig
        self.folder = folder / "out"
        self.taken: ExportReport = export(rig.shard, self.folder, "dovecot", OWNERS, link=link)
        settings = (self.folder / "dovecot.conf.example").read_text()
        if os.geteuid() == 0:  # the files are root's, as whom Dovecot serves nobody
            owner = pwd.getpwnam("nobody")
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        (folder / "dovecot").mkdir()
        self.dovecot = Dovecot(folder / "dovecot", [], settings=settings + "auth_verbose = yes\n")

    @property
    def renamed(self) -> dict[str, str]:
        return {
            note.mailbox: note.text.removeprefix("too long for a folder; it is ").removesuffix(" here")
            for note in self.taken.remarks
            if "too long" in note.text
        }

    def imap(self, number: int = 1) -> IMAPClient:
        client = IMAPClient("127.0.0.1", self.dovecot.imap_port, ssl=False, timeout=20)
        client.normalise_times = False
        address = OWNERS[number - 1].address
        client.login(str(address), PASSWORDS.get(number, "secret"))
        return client

    def mailboxes(self) -> dict[str, Mailbox]:
        """Of the first account, by the name they have in Dovecot."""
        return {self.renamed.get(each.name, each.name): each for each in self.rig.shard.mailboxes(HOME)}


@pytest.fixture(scope="module", params=[True, False], ids=["linked", "copied"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    rig = Rig(folder / "s1")
    fill(rig)
    served = Served(rig, folder, request.param)
    yield served
    served.dovecot.stop()
    rig.close()


def test_mailboxes_and_special_use(served: Served) -> None:
    with served.imap() as client:
        listed = {name: set(flags) for flags, separator, name in client.list_folders() if separator == b"/"}
    real = {name for name, flags in listed.items() if not flags & {b"\\Noselect", b"\\NonExistent"}}
    assert real == set(served.mailboxes())
    assert set(listed) - real == {"Work/2026"}
    uses = {name: flags & {b"\\Sent", b"\\Trash", b"\\Junk", b"\\Archive"} for name, flags in listed.items()}
    assert {name: flags for name, flags in uses.items() if flags} == {
        name: {use.encode()} for name, use in USES.items()
    }


def test_numbers_flags_dates_and_octets(served: Served) -> None:
    lost = {
        name for note in served.taken.remarks if note.kind == "keyword" for name in [note.text.split()[0]]
    }
    assert len(lost) == 2
    compared = 0
    with served.imap() as client:
        for name, mailbox in served.mailboxes().items():
            selected = client.select_folder(name, readonly=True)
            assert selected[b"UIDVALIDITY"] == mailbox.uidvalidity, name
            assert selected[b"UIDNEXT"] == mailbox.uidnext, name
            assert selected[b"EXISTS"] == mailbox.messages, name
            rows = served.rig.shard.rows(HOME, mailbox.id, None, ("uid", "flags", "internaldate", "size"))
            items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"]
            uids = client.search("ALL")
            assert uids == [row[0] for row in rows], name
            fetched = client.fetch(uids, items) if uids else {}
            for uid, flags, date, size in rows:
                answer = fetched[uid]
                wanted = {flag.encode() for flag in flags if flag not in lost}
                assert set(answer[b"FLAGS"]) - {b"\\Recent"} == wanted, (name, uid)
                assert answer[b"INTERNALDATE"].astimezone(UTC) == datetime.fromtimestamp(date, UTC)
                octets = served.rig.shard.octets(HOME, mailbox.id, uid) or b""
                assert len(octets) == size
                # Dovecot sends every line with CRLF
                assert answer[b"BODY[]"] == octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), (
                    name,
                    uid,
                )
                assert answer[b"RFC822.SIZE"] == len(answer[b"BODY[]"]), (name, uid)
                compared += 1
    assert compared == 12 - 4 + 3 + 6 + 1 + 28 + 1
    assert compared + 4 == served.taken.messages


def test_subscriptions(served: Served) -> None:
    with served.imap() as client:
        listed = {name for _, _, name in client.list_sub_folders()}
    subscribed = served.rig.shard.subscriptions(HOME)
    assert listed == {served.renamed.get(name, name) for name in subscribed}
    assert "Gone/mailbox.x" in listed


def test_uidls_and_their_order(served: Served) -> None:
    client = poplib.POP3("127.0.0.1", served.dovecot.pop3_port, timeout=20)
    client.user("ann@example.test")
    client.pass_(PASSWORDS[1])
    uidls = [line.decode().partition(" ")[2] for line in client.uidl()[1]]
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    client.quit()
    rows = served.rig.shard.rows(HOME, served.rig.inbox.id, None, ("uidl", "size"))
    assert uidls == [uidl for uidl, _ in rows]
    assert {"legacy:1,2/%x", "!~"} < set(uidls)
    assert sizes == [size for _, size in rows]


@pytest.mark.parametrize("number", [2, 3])
def test_passwords_and_odd_addresses(served: Served, number: int) -> None:
    with served.imap(number) as client:
        assert client.select_folder("INBOX", readonly=True)[b"EXISTS"] == 1


@pytest.mark.parametrize("number", [4, 5])
def test_who_may_not_log_in_may_not_there_either(served: Served, number: int) -> None:
    with pytest.raises(LoginError):
        served.imap(number)
    client = IMAPClient("127.0.0.1", served.dovecot.imap_port, ssl=False, timeout=20)
    for password in ("", "!"):
        with pytest.raises(LoginError):
            client.login(str(OWNERS[number - 1].address), password)
    client.shutdown()


def test_it_goes_on_from_there(served: Served) -> None:
    """Runs last: what changes in the export does not reach the shard."""
    before = dataclasses.astuple(served.rig.inbox)
    files = {path.name: path.read_bytes() for path in served.rig.files()}
    with served.imap() as client:
        uid = client.append("INBOX", letter("New"))
        assert f"APPENDUID {served.rig.inbox.uidvalidity} {served.rig.inbox.uidnext}".encode() in uid
        client.select_folder("INBOX")
        client.add_flags([1], ["\\Flagged", "$Later"])
        client.delete_messages([4])
        client.expunge()
        client.create_folder("Brand.new")
        assert client.select_folder("Brand.new")[b"UIDVALIDITY"] > 4_000_000_000
        client.delete_folder("Work/2026/May")
    assert dataclasses.astuple(served.rig.inbox) == before
    assert {path.name: path.read_bytes() for path in served.rig.files()} == files
    assert "Error" not in served.dovecot.log(), served.dovecot.log()
