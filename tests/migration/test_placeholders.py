"""Placeholders of the way back, on a server that shows what was appended only later (Courier; `make legacy-drill` has
the real one, which cannot be installed beside Dovecot)."""

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mailplat.core.errors import Unavailable
from migration.back import mail
from migration.back.returning import Return
from migration.origins import Origin
from migration.sources.contract import Listed, SourceMailbox, Status

SOURCE = SourceMailbox(b"INBOX", "INBOX")
ORIGIN = Origin(object_id="id", name="INBOX", wire=b"INBOX", uidvalidity=7, first=1, below=1, modseq=1)


class Late:
    """Has `uids`, and shows them to the session after so many looks; a STORE passes by what is not shown."""

    def __init__(self, uids: Collection[int], after: int, *, deaf: bool = False) -> None:
        self.uids, self.after, self.deaf = set(uids), after, deaf

    async def noop(self) -> None:
        self.after -= 1

    async def select(self, source: SourceMailbox) -> Status:
        return Status(ORIGIN.uidvalidity, None, len(self.uids), None)

    async def scan(self, *, uids: Sequence[int]) -> list[Listed]:
        return [Listed(uid, ()) for uid in uids if uid in self.uids and self.after <= 0]

    async def expunge(self, uids: Sequence[int]) -> None:
        if self.after <= 0 and not self.deaf:
            self.uids -= set(uids)


def returning(there: Late) -> Return:
    return cast(Return, SimpleNamespace(there=there))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "LOOK_AGAIN_S", 0.0)


@pytest.mark.parametrize("after", [0, 1, 2, 4])
async def test_they_are_removed_when_they_are_shown(after: int) -> None:
    there = Late([4, 5, 9], after)
    await mail._drop_fillers(returning(there), SOURCE, ORIGIN, [5, 9])
    assert there.uids == {4}


@pytest.mark.parametrize("there", [Late([5], 1000), Late([5], 0, deaf=True)])
async def test_what_stays_is_not_taken_for_removed(there: Late) -> None:
    with pytest.raises(Unavailable, match="placeholders"):
        await mail._drop_fillers(returning(there), SOURCE, ORIGIN, [5])


async def test_without_any_nothing_is_asked() -> None:
    nobody: Any = None
    await mail._drop_fillers(returning(nobody), SOURCE, ORIGIN, [])
