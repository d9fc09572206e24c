"""A rehearsal against a real Dovecot: what differs by itself, what was made to, and that nothing is changed."""

import sqlite3
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailplat.core.limits.rehearsal import RehearsalLimits
from mailplat.core.route import RouteState
from mailplat.directory.audit import Audit
from migration.rehearsal import rehearse as module
from migration.rehearsal import script
from migration.rehearsal.answers import Answer
from migration.rehearsal.judgement import Difference, Notice
from migration.rehearsal.rehearse import Rehearsal, rehearse
from migration.rehearsal.script import Question
from migration.sources.imap_account import ImapAccount
from migration.sources.replies import Response
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, PASSWORD, House, backend_of, client, content_of, letter

pytestmark = pytest.mark.interop

MULTIPART = b"""From: "A. Person" <a@x.test>\r
To: b@x.test, "C" <c@x.test>\r
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and\r
 more words\r
Date: Fri, 1 Aug 2003 10:52:37 +0200\r
Message-ID: <multi@x.test>\r
References: <1@x.test>\r
In-Reply-To: <1@x.test>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="b"\r
\r
--b\r
Content-Type: text/plain; charset=utf-8\r
\r
text\r
--b\r
Content-Type: message/rfc822\r
\r
Subject: inner\r
\r
inner text\r
--b\r
Content-Type: application/pdf; name="a b.pdf"\r
Content-Disposition: attachment; filename="a b.pdf"\r
Content-Transfer-Encoding: base64\r
\r
AAAA\r
--b--\r
"""


def furnish(dovecot: Dovecot, user: str) -> None:
    with client(dovecot, user) as imap:
        imap.create_folder("Sent")
        imap.create_folder("Größe & more")
        imap.subscribe_folder("Sent")
        for number in range(30):
            when = datetime(2003, 7, 1 + number, 12, 0, tzinfo=UTC)
            imap.append("INBOX", letter(number, 200 * (number + 1)), (), when)
        imap.append("INBOX", MULTIPART)
        imap.append("Größe & more", letter(100), ["\\Answered"])
        imap.select_folder("INBOX")
        imap.add_flags(range(1, 6), ["\\Seen", "$Work"])
        imap.add_flags([7], ["\\Deleted"])
        imap.uid_expunge([7])


async def run(here: House, user: str, **limits: int) -> Rehearsal:
    """Without a pause."""
    settings = here.platform.settings
    rehearsal = RehearsalLimits(pause=0.0, **limits)
    migration = settings.migration.model_copy(update={"rehearsal": rehearsal})
    here.platform.settings = settings.model_copy(update={"migration": migration})
    return await rehearse(here.platform, here.move(user), "an admin")


async def ready(here: House) -> None:
    """Copied, and the engine at rest."""
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)


def noticed(found: Rehearsal) -> list[Difference]:
    return [each for each in found.differences if each.notice is not Notice.NO]


async def test_a_copy_answers_as_dovecot_does(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(dovecot, user)
    here = house(user)
    await ready(here)
    before, ours = content_of(dovecot, user), here.content(user)
    epoch = here.move(user).route
    answered: dict[str, int] = {}
    real = module.Pair.ask

    async def ask(self: module.Pair, question: Question) -> tuple[Answer, Answer]:
        there, ours = await real(self, question)
        assert len(there) == len(ours) or question.shown in ("CAPABILITY", "EXAMINE"), question
        answered[question.shown] = max(answered.get(question.shown, 0), len(there))
        return there, ours

    monkeypatch.setattr(module.Pair, "ask", ask)
    found = await run(here, user)
    assert found.not_compared == []
    assert found.mailboxes == 3
    # Each was answered with something: 30 messages are in INBOX, 12 of them are looked into.
    fetched = [count for shown, count in answered.items() if "FETCH" in shown]
    assert (fetched.count(30), fetched.count(12)) == (5, 4)  # five items, and four sections
    nothing = {shown for shown, count in answered.items() if not count}
    assert {shown for shown in nothing if not shown[-4:].isdigit() or "LARGER" in shown} == {
        "UID SEARCH FLAGGED",
        "UID SEARCH DELETED",
        "UID SEARCH DRAFT",
        "UID SEARCH LARGER 10000",
    }
    assert not [shown for shown in nothing if "Jul-2003" in shown]
    assert found.commands > 80
    surprising = [each for each in noticed(found) if each.command != "CAPABILITY"]
    assert surprising == []
    assert {each.notice for each in found.differences if each.command == "CAPABILITY"} <= {
        Notice.NO,
        Notice.PERHAPS,
    }
    assert (content_of(dovecot, user), here.content(user), here.move(user).route) == (before, ours, epoch)
    with client(dovecot, user) as imap:
        imap.select_folder("INBOX", readonly=True)
        assert len(imap.search("UNSEEN")) == 25
    (line,) = Audit(here.platform.database).entries(action="migrate.rehearse")
    assert (line.who, line.subject) == ("an admin", user)


async def test_what_was_made_to_differ_is_found(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user)
    here = house(user)
    await ready(here)
    move = here.move(user)
    shard = here.platform.settings.store.shards[move.shard].path
    with sqlite3.connect(shard / "index.db") as index:
        inbox = "(SELECT id FROM mailbox WHERE account_id = ? AND name = 'INBOX')"
        index.execute(
            f"UPDATE message SET internaldate = internaldate - 86400 WHERE mailbox_id = {inbox} AND uid = 3",
            (move.account_id,),
        )
        index.execute(
            f"UPDATE message SET uidl = 'another' WHERE mailbox_id = {inbox} AND uid = 4", (move.account_id,)
        )
        index.execute("DELETE FROM subscription WHERE account_id = ? AND name = 'Sent'", (move.account_id,))
    index.close()
    with client(dovecot, user) as imap:
        imap.select_folder("INBOX")
        imap.add_flags([2], ["\\Flagged"])
    found = await run(here, user)
    worst = {(each.command, each.key): each.why for each in found.differences if each.notice is Notice.YES}
    assert worst[('LSUB "" "*"', "Sent")] == "subscribed on one side only"
    assert worst[("UID FETCH 1:* (FLAGS)", "2")] == "another flag or keyword"
    assert worst[("UID SEARCH FLAGGED", "2")] == "found on one side only"
    assert [key for command, key in worst if "INTERNALDATE" in command] == ["3"]
    assert [key for command, key in worst if command == "UIDL"] == ["4"]


async def test_a_new_letter_that_the_copy_has_not_yet(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user)
    here = house(user)
    await ready(here)
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(500))
    found = await run(here, user)
    assert ("UID SEARCH ALL", "32") in {(each.command, each.key) for each in noticed(found)}
    assert found.worst is Notice.YES


async def test_a_maildrop_that_is_in_use(dovecot: Dovecot, user: str, house: Callable[..., House]) -> None:
    furnish(dovecot, user)
    here = house(user)
    await ready(here)
    with here.platform.database.write() as connection:
        connection.exec_driver_sql("UPDATE backend SET pop3 = '127.0.0.1:1'")
    found = await run(here, user)
    assert [where for where, _ in found.not_compared] == ["POP3"]
    assert found.mailboxes == 3


async def test_what_is_too_much_is_said(dovecot: Dovecot, user: str, house: Callable[..., House]) -> None:
    furnish(dovecot, user)
    here = house(user)
    await ready(here)
    found = await run(here, user, messages=29, mailboxes=2)
    assert found.not_compared == [
        ("INBOX", "only its STATUS: it has more than 29 messages"),
        ("Sent", "only its STATUS: 2 mailboxes are looked into"),
    ]
    assert found.mailboxes == 1


SIZES, DATES, _, STRUCTURES = script.details([1], RehearsalLimits())[:4]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (script.EVERYTHING, b"* SEARCH 1 (2"),
        (script.status(b"INBOX", b"INBOX"), b"* STATUS INBOX (MESSAGES x)"),
        (script.status(b"INBOX", b"INBOX"), b"* STATUS INBOX (MESSAGES)"),
        (SIZES, b"* 1 FETCH (UID 1 RFC822.SIZE x)"),
        (DATES, b'* 1 FETCH (UID 1 INTERNALDATE "yesterday")'),
        (STRUCTURES, b'* 1 FETCH (UID 1 BODYSTRUCTURE ("text"))'),
        (script.ACCOUNT[2], b"* LIST x"),
        (script.FLAGS, b"* 1 FETCH (UID 1 FLAGS ())))"),
    ],
)
async def test_an_answer_that_nobody_can_read_is_a_difference(question: Question, answer: bytes) -> None:
    class Side(ImapAccount):
        def __init__(self, *responses: bytes) -> None:
            self.responses = responses

        async def ask(self, *pieces: bytes) -> tuple[str, bytes, list[Response]]:
            return "OK", b"done", [[each] for each in self.responses]

    pair = module.Pair(Side(answer), Side(), Rehearsal("ada@moving.test"), RehearsalLimits())
    (found,) = await pair.compare("", question)
    assert (found.here, found.notice) == ("OK", Notice.YES)
    assert str(found.there).startswith("unreadable: ")


async def test_an_account_that_leaves_the_state_is_not_judged(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(dovecot, user)
    here = house(user)
    await ready(here)
    real = module._over_imap

    async def then_tracked(*arguments: object) -> None:
        await real(*arguments)  # type: ignore[arg-type]
        here.platform.directory.advance(here.move(user).route, RouteState.TRACKING)

    monkeypatch.setattr(module, "_over_imap", then_tracked)
    found = await run(here, user)
    assert (found.differences, found.commands) == ([], 0)
    assert found.not_compared == [("", "is tracking now: what was read says nothing")]


async def test_a_backend_that_does_not_answer(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user)
    here = house(user)
    await ready(here)
    with here.platform.database.write() as connection:
        connection.exec_driver_sql("UPDATE backend SET imap = '127.0.0.1:1'")
    found = await run(here, user)
    ((where, why),) = found.not_compared
    assert (where, found.differences) == ("", [])
    assert "127.0.0.1:1" in why


async def test_another_namespace_is_what_every_client_notices(tmp_path: Path) -> None:
    """Names with a prefix and dots are kept, and no client notices; were they not, each mailbox is found on both
    sides all the same, and answers alike."""
    ada = f"ada@{DOMAIN}"
    with tempfile.TemporaryDirectory(prefix="mailplat-rehearsal-") as root:
        settings = "namespace inbox {\n separator = .\n prefix = INBOX.\n}\n"
        server = Dovecot(Path(root), [(ada, PASSWORD)], MASTER, settings=settings)
        here = House(tmp_path / "house", backend_of(server), [ada])
        try:
            with client(server, ada) as imap:
                imap.create_folder("INBOX.Sent")
                imap.subscribe_folder("INBOX.Sent")
                imap.append("INBOX.Sent", letter(1))
            await ready(here)
            kept = await run(here, ada)
            here.platform.directory.set_account(here.move(ada).account_id, separator="/", prefix="")
            found = await run(here, ada)
        finally:
            here.close()
            server.stop()
    assert not [each for each in kept.differences if each.notice is Notice.YES]
    assert (found.mailboxes, found.not_compared) == (2, [])
    worst = {
        (each.mailbox, each.command, each.key) for each in found.differences if each.notice is Notice.YES
    }
    assert {mailbox for mailbox, _, _ in worst} == {""}
    assert ("", "NAMESPACE", "personal") in worst
    assert ("", 'LSUB "" "*"', "INBOX.Sent") in worst
    assert ("", 'LIST "" "*"', "INBOX") in worst  # its separator
