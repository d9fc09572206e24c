"""A tree as Courier keeps it: names, UIDs, keywords, subscriptions, UIDLs, octets."""

from pathlib import Path

import pytest

from mailplat.directory import Backend
from migration import uidl
from migration.errors import Misbehaviour
from migration.sources.contract import Listed, SourceMailbox
from migration.sources.maildir.courier import parse_sizes
from tests.migration.maildir.trees import DATE, maildir, message, opened


def uiddb(root: Path, *lines: str) -> None:
    (root / "courierimapuiddb").write_text("\n".join(["1 501 19", *lines, ""]))


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    root = maildir(tmp_path / "mail" / "old.test" / "ada")
    message(root, "1000.a.host,S=20:2,S", b"Subject: 1\n\nbody\n")
    message(root, "1001.b.host,S=20:2,FRTP", b"Subject: 2\n\nCRLF\r\nNUL \0 \r", date=DATE + 1)
    message(root, "1002.c.host,S=20", b"Subject: 3\n\nbody\n", place="new")
    uiddb(root, "3 1000.a.host,S=20", "9 gone", "10 1001.b.host,S=20", "18 1002.c.host,S=20")
    (root / "courierimapsubscribed").write_text("INBOX\nINBOX.Entw&APw-rfe.2026\nINBOX.Sent\n")
    (root / "courierimapacl").write_text("owner aceilrstwx\n")
    sent = maildir(root / ".Sent")
    (sent / "courierimapuiddb").write_text("1 502 1\n")
    (sent / "maildirfolder").touch()
    deep = maildir(root / ".Entw&APw-rfe.2026")
    (deep / "courierimapuiddb").write_text("1 503 8\n")
    keywords = root / "courierimapkeywords"
    keywords.mkdir()
    (keywords / ":list").write_text(
        "$Label1\nNonJunk\n\n1000.a.host,S=20:0 1\n1001.b.host,S=20:0\n9.gone:1\n"
    )
    (keywords / ".5000.1001.b.host,S=20").write_text("Old\n")
    (keywords / ".6000.1001.b.host,S=20").write_text("Project-X\n$Label1\n")
    (keywords / "1002.c.host,S=20").write_text("Newest\n")
    (keywords / ".7000.1002.c.host,S=20").write_text("Old\n")
    (keywords / ".tmp.8000.x").write_text("Never\n")
    return tmp_path / "mail"


async def test_a_tree_of_courier(mount: Path, tmp_path: Path) -> None:
    async with opened(f"courier:{mount}/%d/%n:TZ=Europe/Berlin", tmp_path) as source:
        survey = await source.survey()
        assert [each.name for each in survey.mailboxes] == ["INBOX", "INBOX/Entwürfe/2026", "INBOX/Sent"]
        assert survey.subscriptions == {"INBOX", "INBOX/Entwürfe/2026", "INBOX/Sent"}
        numbers = {name: (s.uidvalidity, s.uidnext, s.messages) for name, s in survey.statuses.items()}
        assert numbers == {
            "INBOX": (501, 19, 3),
            "INBOX/Entwürfe/2026": (503, 8, 0),
            "INBOX/Sent": (502, 1, 0),
        }
        await source.examine(survey.mailboxes[0])
        assert await source.scan(details=True) == [
            Listed(3, ("\\Seen", "$Label1", "NonJunk"), None, 20, DATE, 120),
            Listed(
                10, ("\\Flagged", "\\Answered", "\\Deleted", "Project-X", "$Label1"), None, 28, DATE + 1, 120
            ),
            Listed(18, ("Newest",), None, 20, DATE, 120),
        ]
        octets = [each.body.octets() for each in await source.fetch([3, 10, 11])]
        # CR before every LF, whatever stands there: that is what imapd writes.
        assert octets == [b"Subject: 1\r\n\r\nbody\r\n", b"Subject: 2\r\n\r\nCRLF\r\r\nNUL \0 \r"]


async def nothing() -> uidl.Places:
    """Was copied."""
    return {}


async def uidls(mount: Path, tmp_path: Path, sizes: str) -> dict[int, str]:
    (mount / "old.test" / "ada" / "courierpop3dsizelist").write_text(sizes)
    async with opened(f"courier:{mount}/%d/%n", tmp_path) as source:
        survey = await source.survey()
        await source.examine(survey.mailboxes[0])
        new = await source.scan()
        return dict(await uidl.take_from_files(source.uidls, Backend("old"), "ada", "", 501, new, nothing))


async def test_uidls_of_pop3d(mount: Path, tmp_path: Path) -> None:
    """Three ages of them in one list. What has no number yet nobody has seen: it gets one of ours."""
    sizes = "/3 7 900\n1001.b.host,S=20:2,S 31 6:900:0\n1000.a.host,S=20 20 5:0:0\n"
    assert await uidls(mount, tmp_path, sizes) == {3: "UID5", 10: "UID6-900"}
    assert await uidls(mount, tmp_path, "/2 7 900\n1000.a.host,S=20 20 0:0\n") == {3: "1000.a.host,S=20"}


async def test_pop3_uidl_order(mount: Path, tmp_path: Path) -> None:
    """21: pop3d goes by the names of the files, IMAP by UIDs; each takes the other one's place."""
    uiddb(mount / "old.test" / "ada", "3 1001.b.host,S=20", "9 1000.a.host,S=20", "18 1002.c.host,S=20")
    found = await uidls(mount, tmp_path, "/3 7 9\n1000.a.host,S=20 2 1:9:0\n1001.b.host,S=20 2 2:9:0\n")
    assert found == {9: "3 UID1-9", 3: "9 UID2-9"}


def test_lists_of_sizes_that_name_no_uidls() -> None:
    with pytest.raises(Misbehaviour, match="renews it"):
        parse_sizes(b"1000.a.host 20\n", "list")
    assert parse_sizes(b"/3 2 9\na b+' 5 0:0:0\n", "list") == {"a b+'": "a+20b+2B+27"}


async def test_a_mailbox_that_has_gone(mount: Path, tmp_path: Path) -> None:
    async with opened(f"courier:{mount}/%d/%n", tmp_path) as source:
        await source.survey()
        with pytest.raises(Exception, match="not in the tree"):
            await source.examine(SourceMailbox(b".Gone", "INBOX/Gone"))
