"""Messages that are rendered after they came: whoever asks first sees what he would have seen of any other."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailplat.core import disk
from mailplat.core.errors import DiskFull, Unavailable
from mailplat.core.route import Residence
from mailplat.store import StoreLimits, rendered, renderer
from mailplat.store.fetch import RENDERED
from mailplat.store.renderer import Rendering
from mailplat.store.repair import verify
from mailplat.store.vault import finding
from mailplat.store.vault.finding import Filter
from mailplat.store.vault.restore import restore
from mailplat.wire.imap import search as keys
from mailplat.wire.imap.sorting import Order
from tests.store.conftest import HOME, Rig, letter, new
from tests.until import until

PARTS = (
    'Content-Type: multipart/mixed; boundary="b"\r\nMIME-Version: 1.0\r\n'
    "Date: Tue, 1 Jul 2003 10:52:37 +0200\r\nMessage-ID: <two@example.test>\r\n"
)
LETTERS = (
    letter("b", extra="Date: Wed, 2 Jul 2003 10:52:37 +0200\r\nMessage-ID: <one@example.test>\r\n"),
    letter("=?utf-8?q?a=C3=A4?=", "--b\r\n\r\nx\r\n--b--\r\n", PARTS + "In-Reply-To: <one@example.test>\r\n"),
    letter(
        "Re: b", extra="Cc: eve@example.test\r\nBcc: x@example.test\r\nReferences: <one@example.test>\r\n"
    ),
    b"\r\nno header at all",
    b"no line end",
)
COLUMNS = sorted(RENDERED - {"preview"})  # of what came later that is made when somebody asks for it


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """INBOX is rendered, "Old" is not."""
    rig = Rig(tmp_path / "s1")
    rig.append(*(new(octets, internaldate=1e9 + n) for n, octets in enumerate(LETTERS)))
    rig.shard.create(HOME, "Old")
    bring(rig)
    yield rig
    in_one_of_two(rig)
    rig.close()


def bring(rig: Rig) -> None:
    rig.append(
        *(new(octets, internaldate=1e9 + n, render_later=True) for n, octets in enumerate(LETTERS)),
        mailbox="Old",
    )


def old(rig: Rig) -> int:
    return rig.shard.mailbox(HOME, "Old").id


def waiting(rig: Rig) -> int:
    with rig.shard.site.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM unrendered").scalar_one())


def in_one_of_two(rig: Rig) -> None:
    """The invariant: each message is rendered or waits for it, and nothing else is."""
    with rig.shard.site.read() as connection:
        said = connection.exec_driver_sql(
            "SELECT id FROM rendering UNION ALL SELECT id FROM unrendered ORDER BY id"
        ).fetchall()
        messages = connection.exec_driver_sql(
            "SELECT mailbox_id * 4294967296 + uid FROM message ORDER BY 1"
        ).fetchall()
    assert said == messages


def sorted_by(*criteria: str) -> Callable[[Rig, int], object]:
    orders = [Order(criterion, reverse=False) for criterion in criteria]  # type: ignore[arg-type]
    return lambda rig, mailbox: rig.shard.sort(HOME, mailbox, [1, 2, 3, 4, 5], orders)


def searched(key: keys.Key) -> Callable[[Rig, int], object]:
    return lambda rig, mailbox: rig.shard.search(HOME, mailbox, key)


def threaded(algorithm: str) -> Callable[[Rig, int], object]:
    return lambda rig, mailbox: rig.shard.threads(HOME, mailbox, [1, 2, 3, 4, 5], algorithm)  # type: ignore[arg-type]


ASKED: dict[str, Callable[[Rig, int], object]] = {
    "rows": lambda rig, mailbox: rig.shard.rows(HOME, mailbox, None, COLUMNS),
    "some rows": lambda rig, mailbox: rig.shard.rows(HOME, mailbox, [(2, 2), (4, 9)], ("uid", *COLUMNS)),
    "subject": searched(keys.Header("Subject", "b")),
    "from": searched(keys.Not(keys.Header("From", "ann"))),
    "sent": searched(keys.Dated(True, "on", 731398)),
    "sort by subject": sorted_by("SUBJECT"),
    "sort by cc and sent date": sorted_by("CC", "DATE"),
    "references": threaded("REFERENCES"),
    "ordered subjects": threaded("ORDEREDSUBJECT"),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
class TestWhoAsksFirst:
    def test_sees_what_he_would_of_any_other(self, rig: Rig, ask: Callable[[Rig, int], object]) -> None:
        expected = ask(rig, rig.inbox.id)
        assert expected
        assert ask(rig, old(rig)) == expected
        assert waiting(rig) < len(LETTERS)
        assert ask(rig, old(rig)) == expected

    def test_the_same_where_nothing_can_be_kept(
        self, rig: Rig, ask: Callable[[Rig, int], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise DiskFull("no room")

        monkeypatch.setattr(rendered, "_keep", refuse)
        assert ask(rig, old(rig)) == ask(rig, rig.inbox.id)
        assert waiting(rig) == len(LETTERS)


def test_windows_of_a_search(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailplat.store.search._WINDOW", 2)
    monkeypatch.setattr(rendered, "BATCH", 2)
    rig.shard.expunge_uids(HOME, old(rig), [(2, 2)])
    assert rig.shard.search(HOME, old(rig), keys.Not(keys.Header("Subject", "b"))) == [4, 5]


def test_what_the_index_knows_anyway_asks_for_no_file(rig: Rig) -> None:
    for path in rig.files():
        path.unlink()
    assert (
        len(rig.shard.rows(HOME, old(rig), None, ("uid", "flags", "size", "internaldate", "saved_at"))) == 5
    )
    assert rig.shard.search(HOME, old(rig), keys.Size(True, 100)) == [1, 2, 3]
    assert rig.shard.sort(HOME, old(rig), [1, 2, 3], [Order("SIZE", reverse=False)]) == [1, 3, 2]
    assert waiting(rig) == 5


def test_is_made_once(rig: Rig) -> None:
    before = rig.shard.rows(HOME, old(rig), None, COLUMNS)
    for path in rig.files():
        path.unlink()
    assert rig.shard.rows(HOME, old(rig), None, COLUMNS) == before


def test_a_large_one_is_not_read_into_memory(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(mapped=1000))
    octets = letter("big", "x" * 300_000)
    rig.append(new(octets), new(octets, render_later=True))
    one, two = rig.shard.rows(HOME, rig.inbox.id, None, COLUMNS)
    assert one == two
    rig.close()


def test_many_at_a_time(rig: Rig) -> None:
    expected = rig.shard.rows(HOME, rig.inbox.id, None, COLUMNS)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(rig.shard.rows, HOME, old(rig), None, COLUMNS) for _ in range(16)]
        assert all(each.result() == expected for each in asked)
    assert waiting(rig) == 0


def test_expunged_while_it_is_rendered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def expunge(name: str) -> None:
        if name == "rendered.make":
            rig.shard.expunge_uids(HOME, old(rig), [(2, 3)])

    with monkeypatch.context() as patch:
        patch.setattr(disk, "step", expunge)
        rig.shard.rows(HOME, old(rig), None, COLUMNS)
    assert rig.shard.rows(HOME, old(rig), None, ("uid", "subject")) == [(1, "b"), (4, ""), (5, "")]
    assert waiting(rig) == 0


class TestGoes:
    def test_copy(self, rig: Rig) -> None:
        rig.shard.rows(HOME, old(rig), [(1, 2)], COLUMNS)
        rig.shard.copy(HOME, old(rig), None, "INBOX")
        in_one_of_two(rig)
        assert waiting(rig) == 6
        inbox = rig.inbox.id
        assert rig.shard.rows(HOME, inbox, [(6, 10)], COLUMNS) == rig.shard.rows(
            HOME, inbox, [(1, 5)], COLUMNS
        )

    def test_move(self, rig: Rig) -> None:
        rig.shard.move(HOME, old(rig), [(1, 5)], "INBOX")
        assert waiting(rig) == 5
        inbox = rig.inbox.id
        assert rig.shard.rows(HOME, inbox, [(6, 10)], COLUMNS) == rig.shard.rows(
            HOME, inbox, [(1, 5)], COLUMNS
        )

    def test_mailbox(self, rig: Rig) -> None:
        rig.shard.delete(HOME, "Old")
        assert waiting(rig) == 0

    def test_account(self, rig: Rig) -> None:
        rig.shard.remove_account(HOME)
        assert waiting(rig) == 0

    def test_copy_of_an_account_that_is_given_up(self, rig: Rig) -> None:
        other = Residence(2, "s1", 1)
        rig.shard.grant(2, 1)
        rig.append(new(render_later=True), home=other)
        rig.shard.discard(2, 1)
        assert waiting(rig) == 5

    def test_rebuild(self, rig: Rig) -> None:
        expected = rig.shard.rows(HOME, rig.inbox.id, None, COLUMNS)
        rig.rebuild()
        assert waiting(rig) == 0
        assert rig.shard.rows(HOME, old(rig), None, COLUMNS) == expected


class TestVault:
    """What is expunged before anybody looked at it is found like the rest."""

    def test_is_found(self, rig: Rig) -> None:
        rig.shard.expunge_uids(HOME, old(rig), None)
        rig.shard.sweep()
        found = list(finding.find(rig.shard.site, [1], Filter(sender="ann@", subject="Re: B")))
        assert [item.uid for item in found] == [3]
        assert found[0].recipient

    def test_is_found_at_once_by_who_restores(self, rig: Rig) -> None:
        rig.shard.delete(HOME, "Old")
        done = restore(rig.store, "s1", [1], Filter(subject="re: b"), HOME)
        assert (done.messages, done.mailboxes) == (1, ["Old"])

    def test_a_file_that_is_gone(self, rig: Rig) -> None:
        file = rig.shard.rows(HOME, old(rig), [(1, 1)], ("file",))[0][0]
        rig.shard.expunge_uids(HOME, old(rig), [(1, 3)])
        (rig.shard.site.account_folder(1) / file).unlink()
        rig.shard.sweep()
        assert [item.subject for item in finding.find(rig.shard.site, [1])] == ["", "a\u00e4", "Re: b"]


class TestBehind:
    def test_the_thread(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(renderer, "DELAY_S", 0.01)
        rig = Rig(tmp_path / "s1", upkeep=True)
        rig.shard.create(HOME, "Old")
        for _ in range(2):
            bring(rig)
            asyncio.run(until(lambda: waiting(rig) == 0))
        assert rig.shard.rows(HOME, old(rig), [(8, 8)], ("subject",)) == [("Re: b",)]
        rig.close()

    def test_what_another_process_left_undone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(renderer, "DELAY_S", 0.01)
        rig = Rig(tmp_path / "s1")
        rig.shard.create(HOME, "Old")
        bring(rig)
        rig.store.close()
        rig.store = rig.store.__class__({"s1": rig.path}, rig.executors, rig.hints)
        rig.shard = rig.store.shard("s1")
        asyncio.run(until(lambda: waiting(rig) == 0))
        rig.close()

    def test_one_process_at_a_time(self, rig: Rig) -> None:
        import fcntl

        with open(rig.path / renderer.LOCK, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert not Rendering(rig.shard.site).round()
            assert waiting(rig) == 5
        assert not Rendering(rig.shard.site).round()
        assert waiting(rig) == 0

    def test_passes_by_what_cannot_be_read(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """It ends, the rest is done, and who asks is told."""
        monkeypatch.setattr(renderer, "BATCH", 2)
        (file,) = [name for (name,) in rig.shard.rows(HOME, old(rig), [(2, 2)], ("file",))]
        path = rig.shard.site.account_folder(1) / file
        aside = rig.path / "aside"
        os.rename(path, aside)
        rig.shard.render_all()
        assert waiting(rig) == 1
        assert rig.shard.rows(HOME, old(rig), [(3, 3)], ("subject",)) == [("Re: b",)]
        for ask in (ASKED["rows"], ASKED["subject"]):
            with pytest.raises(Unavailable, match="UID 2 is missing"):
                ask(rig, old(rig))
        assert [problem.kind for problem in verify(rig.shard).problems] == ["missing"]
        os.rename(aside, path)
        rig.shard.render_all()
        assert waiting(rig) == 0

    def test_a_full_disk_is_said(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise DiskFull("no room")

        monkeypatch.setattr(rendered, "_keep", refuse)
        with pytest.raises(DiskFull):
            rig.shard.render_all()

    def test_text_for_search(self, rig: Rig) -> None:
        """The other one behind has it rendered when it needs it."""
        key = keys.Header("Subject", "b")
        assert rig.shard.search(HOME, old(rig), key) == [1, 3]
        bring(rig)
        rig.shard.keep_texts()
        for path in rig.files():
            path.unlink()
        assert rig.shard.search(HOME, old(rig), key) == [1, 3, 6, 8]


def test_verify_misses_what_is_neither(rig: Rig) -> None:
    assert verify(rig.shard).problems == []
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM unrendered WHERE id % 4294967296 = 3")
    assert [problem.kind for problem in verify(rig.shard).problems] == ["rendering"]
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql("INSERT INTO unrendered VALUES (? * 4294967296 + 3)", (old(rig),))
