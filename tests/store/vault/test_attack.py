"""What a hostile user, a crash at the wrong moment or an unlucky order of events must not get out of the vault."""

import asyncio
from pathlib import Path

import pytest

from mailplat.core.errors import NotFound, OverQuota
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.store import StoreLimits, sweeper
from mailplat.store.repair import rebuild, verify
from mailplat.store.vault import finding, owner, prune
from mailplat.store.vault import restore as restoring
from mailplat.store.vault.finding import Filter
from mailplat.store.vault.restore import restore
from tests.store.conftest import HOME, Rig, letter, new
from tests.store.vault.test_vault import age, bring_back, expunge, vault_files, vaulted

AGAIN = Residence(1, "s1", 2)


def subjects(rig: Rig, home: Residence = HOME, mailbox: str = "INBOX") -> list[str]:
    box = rig.shard.mailbox(home, mailbox)
    return sorted(subject for (subject,) in rig.shard.rows(home, box.id, None, ["subject"]))


class TestFoldersThatAreInUseAgain:
    """A folder of the vault was left to the sweeper, the process died, and mail came there again before the next one
    swept."""

    def test_account_that_came_back(self, rig: Rig) -> None:
        rig.fill(1)
        rig.shard.remove_account(HOME, address="ann@example.test")
        rig.shard.sweep()
        age(rig, 15)
        assert prune.prune(rig.shard.site) == 1  # its folder is in `leaving`, and nobody sweeps
        rig.shard.grant(1, 2)
        rig.append(new(letter("Precious")), home=AGAIN)
        rig.shard.expunge_uids(AGAIN, rig.shard.mailbox(AGAIN, "INBOX").id, None)
        rig.shard.sweep()
        (item,) = vaulted(rig)
        assert (rig.path / item.path).is_file()
        assert verify(rig.shard).problems == []

    def test_hold_of_an_account_that_is_gone(self, rig: Rig) -> None:
        rig.fill(1)
        rig.shard.remove_account(HOME, address="ann@example.test")
        rig.shard.sweep()
        age(rig, 15)
        prune.prune(rig.shard.site)
        owner.hold(rig.shard.site, 1, address="ann@example.test", reason="law", by="eve")
        rig.shard.sweep()
        said = owner.read_owner(rig.path / owner.vault_path(1), 1)
        assert said is not None
        assert said.hold_reason == "law"

    def test_what_no_row_speaks_of_stays(self, rig: Rig) -> None:
        """An index that was rolled back does not know all that is there: rebuild does."""
        rig.fill(2)
        rig.shard.remove_account(HOME, address="ann@example.test")
        rig.shard.sweep()
        with rig.shard.site.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM vault WHERE uid = 2")
        age(rig, 15)
        prune.prune(rig.shard.site)
        rig.shard.sweep()
        assert len(vault_files(rig)) == 1
        rebuild(rig.shard)
        assert [item.uid for item in vaulted(rig)] == [2]

    def test_cut_short_behind_the_removal(self, rig: Rig) -> None:
        rig.fill(2)
        rig.shard.remove_account(HOME, address="ann@example.test")
        rig.shard.sweep()
        age(rig, 15)
        prune.prune(rig.shard.site)
        with rig.shard.site.database.write() as connection:
            asked = connection.exec_driver_sql("SELECT * FROM leaving WHERE mailbox_id = -3").fetchall()
        assert len(asked) == 2
        rig.shard.sweep()
        with rig.shard.site.database.write() as connection:
            for row in asked:
                connection.exec_driver_sql("INSERT INTO leaving VALUES (?, ?, ?, ?, ?)", tuple(row))
        assert rig.shard.sweep() == 2
        assert verify(rig.shard).problems == []

    def test_empty_folders_go(self, rig: Rig) -> None:
        rig.fill(2)
        rig.shard.remove_account(HOME, address="ann@example.test")
        rig.shard.sweep()
        age(rig, 15)
        prune.prune(rig.shard.site)
        rig.shard.sweep()
        assert not (rig.path / owner.vault_path(1)).exists()


class TestHoldThatOnlyTheFileKnows:
    """The index is older than the hold."""

    @pytest.fixture
    def held(self, rig: Rig) -> Rig:
        rig.shard.grant(2, 1)
        rig.fill(prune._BATCH + 1)
        rig.append(new(), home=Residence(2, "s1", 1))
        expunge(rig)
        rig.shard.sweep()
        rig.shard.expunge_uids(
            Residence(2, "s1", 1), rig.shard.mailbox(Residence(2, "s1", 1), "INBOX").id, None
        )
        rig.shard.sweep()
        owner.hold(rig.shard.site, 1, address="ann@example.test", reason="law", by="eve")
        with rig.shard.site.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM vault_owner")
        age(rig, 16)
        age(rig, 15, account_id=2)
        return rig

    def test_keeps_nobody_elses_mail_beyond_its_days(self, held: Rig) -> None:
        assert prune.prune(held.shard.site) == 1
        assert len(vaulted(held)) == prune._BATCH + 1
        assert vaulted(held, account_id=2) == []

    def test_can_be_released(self, held: Rig) -> None:
        prune.prune(held.shard.site)
        assert owner.release(held.shard.site, 1).hold_reason == "law"
        assert prune.prune(held.shard.site) == prune._BATCH + 1

    def test_a_file_that_cannot_be_read_is_a_hold(self, held: Rig) -> None:
        path = held.path / owner.vault_path(1) / owner.OWNER_FILE
        path.unlink()
        path.mkdir()
        assert prune.prune(held.shard.site) == 1
        assert len(vaulted(held)) == prune._BATCH + 1


class TestRestore:
    def test_what_is_expunged_while_it_looks(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its row is there, its file has not moved yet."""
        rig.fill(1)
        finding_out = restoring.find

        def expunge_first(*arguments: object) -> object:
            expunge(rig)
            return finding_out(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(restoring, "find", expunge_first)
        done = bring_back(rig)
        assert (done.messages, done.missing) == (1, [])
        assert subjects(rig) == ["Number 0"]

    def test_cut_short_and_what_came_back_was_expunged_again(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The dedupe key of the first try must not make the second one bring nothing."""
        rig.fill(1)
        expunge(rig)
        owner.hold(rig.shard.site, 1, address="ann@example.test", reason="law", by="eve")

        def die(*_: object) -> None:
            raise ConnectionError("cut short")

        with monkeypatch.context() as patch:
            patch.setattr(restoring, "take_out", die)
            with pytest.raises(ConnectionError):
                bring_back(rig)
        assert subjects(rig) == ["Number 0"]
        first = vaulted(rig)
        expunge(rig)
        done = bring_back(rig, Filter(ids=frozenset(item.id for item in first)))
        assert done.messages == 1
        assert subjects(rig) == ["Number 0"]

    def test_over_quota_says_what_is_back(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(restoring, "_MESSAGES", 1)
        rig.fill(3)
        expunge(rig)
        size = len(letter("Number 0"))
        with pytest.raises(OverQuota, match="2 messages were restored; raise the quota, then call it again"):
            bring_back(rig, quota=Quota(2 * size))
        assert len(vaulted(rig)) == 1
        assert bring_back(rig).messages == 1
        assert len(subjects(rig)) == 3

    def test_a_link_in_the_vault_is_not_followed(self, rig: Rig, tmp_path: Path) -> None:
        rig.fill(1)
        expunge(rig)
        rig.shard.sweep()
        (path,) = vault_files(rig)
        secret = tmp_path / "secret"
        secret.write_bytes(letter("Secret"))
        path.unlink()
        path.symlink_to(secret)
        with pytest.raises(Exception, match=r"Too many levels|symbolic"):
            bring_back(rig)
        assert subjects(rig) == []

    def test_two_at_once_double_nothing(self, rig: Rig) -> None:
        rig.fill(20)
        expunge(rig)

        async def both() -> None:
            call = lambda: restore(rig.store, "s1", [1], Filter(), HOME)  # noqa: E731
            await asyncio.gather(asyncio.to_thread(call), asyncio.to_thread(call))

        asyncio.run(both())
        assert subjects(rig) == sorted(f"Number {n}" for n in range(20))
        assert vaulted(rig) == []


class TestNumbers:
    def test_a_mailbox_number_of_the_vault_is_not_given_again(self, rig: Rig) -> None:
        """With the index lost, the last number given is forgotten but for the vault's folders."""
        rig.shard.create(HOME, "Gone")
        rig.append(new(), mailbox="Gone")
        number = rig.shard.mailbox(HOME, "Gone").id
        rig.shard.delete(HOME, "Gone")
        rig.shard.sweep()
        rig.store.close()
        for path in rig.path.glob("index.db*"):
            path.unlink()
        rig.rebuild()
        rig.shard.create(HOME, "Other")
        assert rig.shard.mailbox(HOME, "Other").id > number
        bring_back(rig)
        assert len(subjects(rig, mailbox="Gone")) == 1


class TestLongWork:
    def test_an_account_that_comes_back_places_its_vault_in_batches(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not all in the one transaction that opens the account: nobody could deliver meanwhile."""
        rig = Rig(tmp_path / "s1", StoreLimits(names=5))
        rig.fill(20)
        rig.shard.remove_account(HOME)
        waiting: list[int] = []
        placing = sweeper.place_account

        def count(site, connection, account_id):  # type: ignore[no-untyped-def]
            waiting.append(connection.exec_driver_sql("SELECT count(*) FROM vault WHERE placed = 0").one()[0])
            placing(site, connection, account_id)

        monkeypatch.setattr(sweeper, "place_account", count)
        rig.shard.grant(1, 2)
        assert waiting == [0]
        assert len(vault_files(rig)) == 20
        rig.close()

    def test_purge_goes_in_batches(self, rig: Rig) -> None:
        rig.fill(prune._BATCH + 5)
        expunge(rig)
        assert prune.purge(rig.shard.site, 1) == prune._BATCH + 5
        rig.shard.sweep()
        assert vault_files(rig) == []


def test_a_hold_is_told_apart_from_none(rig: Rig) -> None:
    with pytest.raises(NotFound):
        owner.release(rig.shard.site, 1)
    assert list(finding.find(rig.shard.site, [1])) == []
