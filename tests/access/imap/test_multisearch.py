"""ESEARCH over several mailboxes (RFC 7377)."""

import re

import pytest

from mailplat.store import StoreLimits
from tests.access.imap.client import Client
from tests.access.imap.conftest import Rig, message


@pytest.fixture
async def client(rig: Rig) -> Client:
    """Messages "m" and "n" in each of these, nothing selected."""
    client = await rig.login()
    for mailbox in ("a", "a/b", "a/b/c", "Müll", "empty"):
        await client.ok(f"CREATE {'M&APw-ll' if mailbox == 'Müll' else mailbox}")
    for mailbox in ("INBOX", "a", "a/b", "a/b/c", "Müll"):
        await rig.deliver(message("m"), message("n"), mailbox=mailbox)
    await client.ok("SUBSCRIBE a/b")
    return client


async def found(client: Client, arguments: str) -> list[str]:
    lines = await client.ok(f"ESEARCH {arguments}")
    pattern = re.compile(r'\* ESEARCH \(TAG "t\d+" MAILBOX (\S+) UIDVALIDITY \d+\) UID (.*)')
    return [" ".join(match.groups()) for line in lines if (match := pattern.fullmatch(line.decode()))]


@pytest.mark.parametrize(
    ("sources", "mailboxes"),
    [
        ("inboxes", "INBOX"),
        ("personal", "INBOX M&APw-ll a a/b a/b/c"),
        ("subscribed", "a/b"),
        ("mailboxes a", "a"),
        ("mailboxes (a/b/c nowhere inbox)", "INBOX a/b/c"),
        ("subtree a", "a a/b a/b/c"),
        ("subtree (a/b M&APw-ll)", "M&APw-ll a/b a/b/c"),
        ("subtree-one a", "a a/b"),
        ("subtree-one (a a/b)", "a a/b a/b/c"),
        ("inboxes subscribed mailboxes INBOX", "INBOX a/b"),
        ("mailboxes nowhere", ""),
        ("mailboxes empty", ""),
    ],
)
async def test_sources(client: Client, sources: str, mailboxes: str) -> None:
    expected = [f"{mailbox} ALL 1" for mailbox in mailboxes.split()]
    assert await found(client, f"IN ({sources}) SUBJECT m") == expected


async def test_results(client: Client) -> None:
    """RFC 7377 2.1: nothing of a mailbox where nothing was found, COUNT or not."""
    assert await found(client, "IN (mailboxes (a a/b empty)) RETURN (MIN MAX COUNT) ALL") == [
        "a MIN 1 MAX 2 COUNT 2",
        "a/b MIN 1 MAX 2 COUNT 2",
    ]
    assert await found(client, "IN (mailboxes (a empty)) RETURN () UID 2:*") == ["a ALL 2"]
    assert await found(client, "IN (personal) RETURN (COUNT) SUBJECT nothing") == []
    assert await found(client, "IN (inboxes) RETURN (PARTIAL -1:-1) ALL") == ["INBOX PARTIAL (-1:-1 2)"]
    (line,) = await found(client, "IN (inboxes) RETURN (COUNT) MODSEQ 1")
    assert re.fullmatch(r"INBOX COUNT 2 MODSEQ \d+", line)


async def test_the_selected_mailbox(client: Client) -> None:
    await client.ok("SELECT a")
    assert await found(client, "2") == ["a ALL 2"]
    assert await found(client, "IN (selected) RETURN (SAVE COUNT) SUBJECT n") == ["a COUNT 1"]
    assert await client.ok("SEARCH $") == [b"* SEARCH 2"]
    assert await found(client, "RETURN (SAVE) 1") == []
    assert await found(client, "$") == ["a ALL 1"]
    assert await found(client, "IN (selected inboxes) SUBJECT n") == ["INBOX ALL 2", "a ALL 2"]
    assert await client.ok("UID SEARCH ALL") == [b"* SEARCH 1 2"]  # it is still selected


async def test_bad(client: Client) -> None:
    for arguments in ("ALL", "IN (selected) ALL", "IN (selected inboxes) ALL"):
        answer = await client.command(f"ESEARCH {arguments}")
        assert answer.tagged == b"BAD Select a mailbox first"
    await client.ok("SELECT a")
    for arguments in (
        "IN (inboxes) 1",
        "IN (inboxes) $",
        "IN (inboxes) RETURN (SAVE) ALL",
        "IN (nonsense) ALL",
        "IN (inboxes)",
        "IN (inboxes (x)) ALL",
        "",
    ):
        assert (await client.command(f"ESEARCH {arguments}")).status == b"BAD", arguments
    answer = await client.command("ESEARCH IN (inboxes) CHARSET KOI8-R ALL")
    assert answer.tagged.startswith(b"NO [BADCHARSET")


async def test_all_together_have_the_time_of_one(rig: Rig, client: Client) -> None:
    rig.shard.site.limits = StoreLimits(search_seconds=0.0)
    answer = await client.command("ESEARCH IN (personal) BODY text")
    assert answer.tagged.startswith(b"NO [LIMIT]")
    assert len(await found(client, "IN (personal) SUBJECT m")) == 5  # the index is not asked for long
