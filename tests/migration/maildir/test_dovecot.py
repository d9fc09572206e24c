"""The files say what Dovecot says of them over IMAP and POP3."""

import hashlib
from pathlib import Path

import pytest

from migration.sources.contract import Listed, Source, Survey
from migration.sources.imap_account import ImapAccount
from migration.sources.pop3 import read_uidls
from tests.migration.maildir.conftest import LAYOUTS, Legacy

pytestmark = pytest.mark.interop


def plain(survey: Survey) -> tuple[object, ...]:
    """Without what only one of the two can say."""
    return (
        [(each.name, each.special_use) for each in survey.mailboxes],
        survey.subscriptions,
        {name: (each.uidvalidity, each.uidnext, each.messages) for name, each in survey.statuses.items()},
    )


async def content(source: Source) -> dict[str, dict[int, tuple[object, ...]]]:
    """Of each mailbox, of each message: what a scan says, and what a fetch brings."""
    found = {}
    for mailbox in (await source.survey()).mailboxes:
        await source.examine(mailbox)
        plainly = {each.uid: frozenset(each.flags) for each in await source.scan()}
        listed = await source.scan(details=True)
        assert {each.uid: frozenset(each.flags) for each in listed} == plainly
        rows = {each.uid: (*_row(each), each.size) for each in listed}
        fetched = {}
        for each in await source.fetch(list(rows)) if rows else []:
            digest = hashlib.sha256(each.body.octets()).hexdigest()
            fetched[each.uid] = (*rows[each.uid], each.body.size, digest)
            assert (frozenset(each.flags), each.internaldate, each.zone) == rows[each.uid][:3]
            each.body.close()
        assert fetched.keys() == rows.keys()
        found[mailbox.name] = fetched
    return found


def _row(each: Listed) -> tuple[object, ...]:
    return frozenset(each.flags), each.internaldate, each.zone


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_everything_is_as_over_imap_and_pop3(legacy: Legacy, layout: str, tmp_path: Path) -> None:
    backend, user = legacy.backend(layout), legacy.user(layout)
    async with legacy.source(layout) as source:
        here, survey = await content(source), await source.survey()
        await source.examine(next(each for each in survey.mailboxes if each.name == "INBOX"))
        uidls = await source.uidls("")
    imap = await ImapAccount.open(backend, user, tmp_path)
    there, theirs = await content(imap), await imap.survey()
    await imap.close()
    assert plain(survey) == plain(theirs)
    assert {each.name: each.highest for each in survey.mailboxes} == {
        name: status.modseq for name, status in theirs.statuses.items()
    }
    assert here.keys() == there.keys()
    assert layout != "escape" or "a.b/~c\\d" in here
    for name, rows in there.items():
        assert here[name] == rows, name
    assert len(there["INBOX"]) > 20
    assert list(uidls.values()) == [uidl for uidl, _ in await read_uidls(backend, user)]


async def test_uidls_and_places_that_came_from_elsewhere(legacy: Legacy) -> None:
    """What dsync or a migration to Dovecot has left in dovecot-uidlist: P and O."""
    backend, user = legacy.backend("plus"), legacy.user("plus")
    path = legacy.server.maildir(user) / "dovecot-uidlist"
    lines = path.read_text().split("\n")
    for number, field in ((1, "P0001kept O5"), (4, "O2"), (6, "PUID6-77 O9")):
        lines[number] = lines[number].replace(" ", f" {field} ", 1)
    path.write_text("\n".join(lines))
    async with legacy.source("plus") as source:
        await source.examine((await source.survey()).mailboxes[0])
        here = list((await source.uidls("")).values())
    assert here == [uidl for uidl, _ in await read_uidls(backend, user)]
    assert here[1:3] == ["0001kept", "UID6-77"]
