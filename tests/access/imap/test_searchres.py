"""RETURN (SAVE) and "$" (RFC 5182)."""

import pytest

from mailplat.store import StoreLimits
from tests.access.imap.client import Client
from tests.access.imap.conftest import Rig, message


@pytest.fixture
async def client(rig: Rig) -> Client:
    """Five messages, UIDs 1 to 6 without 3; 2, 4 and 6 hold "odd" in their text."""
    await rig.deliver(*(message(f"m{n}", "odd\r\n" if n % 2 == 0 else "even\r\n") for n in range(1, 7)))
    client = await rig.login("INBOX")
    await client.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")
    return client


async def saved(client: Client) -> list[bytes]:
    return await client.ok("UID SEARCH $")


async def test_the_result_is_saved_and_not_said(client: Client) -> None:
    """RFC 5182 2.4, example 1."""
    await client.talk(
        """
        C: A282 SEARCH RETURN (SAVE) BODY odd
        S: A282 OK SEARCH completed
        C: A283 FETCH $ (UID)
        S: * 2 FETCH (UID 2)
        S: * 3 FETCH (UID 4)
        S: * 5 FETCH (UID 6)
        S: A283 OK FETCH completed
        C: A284 UID FETCH $ (UID)
        S: * 2 FETCH (UID 2)
        S: * 3 FETCH (UID 4)
        S: * 5 FETCH (UID 6)
        S: A284 OK UID FETCH completed
        """
    )


async def test_pipelined(client: Client) -> None:
    """RFC 5182 2.3: the second command takes what the first one found, though both were sent at once."""
    search, fetch = client.start(b"SEARCH RETURN (SAVE) SUBJECT m4"), client.start(b"FETCH $ (UID)")
    assert (await client.answer(search)).lines == []
    assert (await client.answer(fetch)).lines == [b"* 3 FETCH (UID 4)"]


@pytest.mark.parametrize(
    ("options", "uids"),
    [
        ("SAVE", b"1 2 4 5 6"),
        ("SAVE ALL", b"1 2 4 5 6"),
        ("SAVE COUNT", b"1 2 4 5 6"),
        ("SAVE MIN", b"1"),
        ("SAVE MAX", b"6"),
        ("MIN MAX SAVE", b"1 6"),
        ("SAVE MIN COUNT", b"1 2 4 5 6"),
        ("SAVE PARTIAL -1:-2 MIN", b"1 5 6"),
    ],
)
async def test_what_is_saved(client: Client, options: str, uids: bytes) -> None:
    """RFC 5182 2.4, RFC 9394 3.2."""
    await client.ok(f"SEARCH RETURN ({options}) ALL")
    assert await saved(client) == [b"* SEARCH " + uids]


async def test_in_every_command_that_takes_a_set(client: Client) -> None:
    await client.ok("CREATE target")
    await client.ok("UID SEARCH RETURN (SAVE) BODY odd")
    assert await client.ok("SEARCH NOT $") == [b"* SEARCH 1 4"]
    assert await client.ok("SEARCH OR UID $ 1") == [b"* SEARCH 1 2 3 5"]
    assert len(await client.ok("STORE $ +FLAGS (\\Flagged)")) == 3
    assert len(await client.ok("UID STORE $ -FLAGS (\\Flagged)")) == 3
    assert b" 2,4,6 1:3]" in (await client.command("COPY $ target")).tagged
    assert b" 2,4,6 4:6]" in (await client.command("UID COPY $ target")).tagged
    await client.ok("SEARCH RETURN (SAVE) $ SUBJECT m4")
    await client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert await client.ok("UID EXPUNGE $") == [b"* 3 EXPUNGE"]
    await client.ok("SEARCH RETURN (SAVE) SUBJECT m2")
    moved = await client.ok("MOVE $ target")
    assert moved[-1] == b"* 2 EXPUNGE"
    await client.ok("SEARCH RETURN (SAVE) SUBJECT m6")
    assert (await client.ok("UID MOVE $ target"))[-1] == b"* 3 EXPUNGE"
    assert await client.ok("UID SEARCH ALL") == [b"* SEARCH 1 5"]


async def test_empty_names_nothing(client: Client) -> None:
    """Before any SAVE, and after one that found nothing: no error (RFC 5182 2.1)."""
    for _ in range(2):
        assert await client.ok("FETCH $ (FLAGS)") == []
        assert await client.ok("STORE $ +FLAGS (\\Seen)") == []
        assert await client.ok("COPY $ INBOX") == []
        assert await client.ok("UID EXPUNGE $") == []
        assert await client.ok("SEARCH $") == [b"* SEARCH"]
        (line,) = await client.ok("SEARCH RETURN (SAVE COUNT) SUBJECT nothing")
        assert line.endswith(b") COUNT 0")


async def test_select_resets(client: Client) -> None:
    await client.ok("SEARCH RETURN (SAVE) ALL")
    await client.ok("EXAMINE INBOX")
    assert await saved(client) == [b"* SEARCH"]


async def test_a_search_without_save_leaves_it(client: Client) -> None:
    await client.ok("SEARCH RETURN (SAVE) SUBJECT m4")
    await client.ok("SEARCH RETURN (ALL) SUBJECT m1")
    await client.ok("SEARCH SUBJECT m1")
    assert await saved(client) == [b"* SEARCH 4"]


async def test_bad_leaves_it_and_no_empties_it(rig: Rig, client: Client) -> None:
    await client.ok("SEARCH RETURN (SAVE) SUBJECT m4")
    for query in ("NONSENSE", "99", "SUBJECT"):
        assert (await client.command(f"SEARCH RETURN (SAVE) {query}")).status == b"BAD"
    assert await saved(client) == [b"* SEARCH 4"]
    assert (await client.command("SEARCH CHARSET KOI8-R ALL")).status == b"NO"
    assert await saved(client) == [b"* SEARCH 4"]  # it was not to be saved
    assert (await client.command("SEARCH RETURN (SAVE) CHARSET KOI8-R ALL")).status == b"NO"
    assert await saved(client) == [b"* SEARCH"]
    await client.ok("SEARCH RETURN (SAVE) SUBJECT m4")
    rig.shard.site.limits = StoreLimits(search_seconds=0.0)
    assert (await client.command("SEARCH RETURN (SAVE) BODY odd")).tagged.startswith(b"NO [LIMIT]")
    assert await saved(client) == [b"* SEARCH"]


async def test_what_is_expunged_leaves_it(rig: Rig, client: Client) -> None:
    """RFC 5182 2.1; the numbers of the others change."""
    await client.ok("SEARCH RETURN (SAVE) BODY odd")
    other = await rig.login("INBOX")
    await other.ok("UID STORE 1,4 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    await client.ok("NOOP")
    assert await client.ok("FETCH $ (UID)") == [b"* 1 FETCH (UID 2)", b"* 3 FETCH (UID 6)"]
    assert await saved(client) == [b"* SEARCH 2 6"]


async def test_what_comes_later_is_not_in_it(rig: Rig, client: Client) -> None:
    await client.ok("SEARCH RETURN (SAVE) ALL")
    await rig.deliver(message("m7"))
    await client.ok("NOOP")
    assert await saved(client) == [b"* SEARCH 1 2 4 5 6"]


async def test_it_stands_alone(client: Client) -> None:
    """RFC 5182 3: "$" is a set of its own and no part of one."""
    for numbers in ("1,$", "$,1", "$:2", "$$"):
        assert (await client.command(f"FETCH {numbers} (UID)")).status == b"BAD", numbers
