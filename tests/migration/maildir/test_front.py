"""What the server before the files is asked, and which of its mailboxes are theirs."""

from pathlib import Path

from migration.sources.imap_account import ImapAccount
from migration.sources.maildir.front import Front
from tests.migration.test_imap import CAPABILITIES, scripted, serving

LISTED = b"".join(
    b'* LIST () "." "%b"\r\n' % name
    for name in (b"INBOX", b"INBOX.Sent", b"INBOX.virtual.All", b"shared.team", b"user.bob")
)
SAID = {
    b"LOGIN": b"TAG OK in\r\n",
    b"NAMESPACE": b'* NAMESPACE (("INBOX." ".")("INBOX.virtual." ".")) (("user." ".")) (("shared." NIL))\r\n'
    b"TAG OK\r\n",
    b"LIST": LISTED + b"TAG OK\r\n",
    b"STATUS": b'* STATUS "INBOX" (UIDVALIDITY 7 UIDNEXT 3 MESSAGES 2)\r\nTAG OK\r\n',
    b"EXAMINE": b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nTAG OK\r\n",
    b"UID": b"* 1 FETCH (UID 2 FLAGS (\\Seen Label))\r\nTAG OK\r\n",
}


async def test_the_front_of_courier(tmp_path: Path) -> None:
    async with serving(scripted(SAID), CAPABILITIES + b" NAMESPACE") as server:
        front = Front(lambda: ImapAccount.open(server.backend(), "ada@x.test", tmp_path), None)
        said = await front.survey()
        # Other users' and shared mailboxes, and a second personal namespace, lie elsewhere.
        assert [each.name for each in said.survey.mailboxes] == ["INBOX", "INBOX/Sent"]
        assert said.prefix == ("INBOX",)
        assert said.survey.statuses["INBOX"].messages == 2
        before = len(server.said)
        await front.touch("INBOX")
        await front.touch("INBOX/Unknown")
        assert await front.flags("INBOX") == {2: ("\\Seen", "Label")}
        await front.survey()
        words = [line.split()[1] for line in server.said[before:]]
        # The CLOSE is one of a mailbox that was opened for reading only: nothing is expunged by it.
        assert words[:6] == [b"SELECT", b"EXAMINE", b"EXAMINE", b"NOOP", b"UID", b"CLOSE"]
        await front.close()


async def test_a_server_without_namespaces(tmp_path: Path) -> None:
    async with serving(scripted(SAID)) as server:
        front = Front(lambda: ImapAccount.open(server.backend(), "ada@x.test", tmp_path), None)
        assert (await front.survey()).prefix == ()
        await front.close()
        front = Front(lambda: ImapAccount.open(server.backend(), "ada@x.test", tmp_path), "INBOX.")
        said = await front.survey()
        assert [each.name for each in said.survey.mailboxes] == ["INBOX", "INBOX/Sent", "INBOX/virtual/All"]
        assert said.prefix == ("INBOX",)
        await front.close()
