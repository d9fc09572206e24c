"""A shard with a backup beside it."""

from pathlib import Path

import pytest

from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.backup import Catalogue, Repository, Scope, back_up, restore_account, restore_shard
from mailplat.store.backup.accounts import RestoreReport
from mailplat.store.backup.run import RunReport
from mailplat.store.backup.whole import ShardReport
from tests.store.conftest import HOME, Hints, Rig

Letters = dict[str, list[tuple[bytes, tuple[str, ...], float]]]


class Backup:
    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.folder = folder

    @property
    def repository(self) -> Repository:
        return Repository.open(self.folder)

    def run(self, **addresses: int) -> RunReport:
        named = [(number, f"{name}@example.test") for name, number in addresses.items()]
        return back_up(self.rig.shard, Repository.create(self.folder, "s1"), named, lambda: b"records")

    def objects(self) -> list[Path]:
        return sorted(path for path in (self.folder / "objects").rglob("*") if path.is_file())

    def restore_whole(self, path: Path, point: str | None = None, **options: object) -> ShardReport:
        repository = self.repository
        with Catalogue(repository, repository.point(point)) as catalogue:
            return restore_shard(path, catalogue, Hints(), **options)  # type: ignore[arg-type]

    def restore(
        self,
        *,
        beside: bool,
        mailbox: str | None = None,
        point: str | None = None,
        home: Residence = HOME,
        account: int = HOME.account_id,
        quota: int = 0,
        rig: Rig | None = None,
    ) -> RestoreReport:
        repository = self.repository
        with Catalogue(repository, repository.point(point), [account]) as catalogue:
            store = (rig or self.rig).store
            return restore_account(
                store, home, catalogue, account, Scope(beside, mailbox), quota=Quota(quota)
            )


@pytest.fixture
def backup(rig: Rig, tmp_path: Path) -> Backup:
    return Backup(rig, tmp_path / "backup")


def letters(shard: Shard, home: Residence = HOME) -> Letters:
    """Every message of an account: octets, flags, date; by mailbox, in the order of UIDs."""
    found: Letters = {}
    for mailbox in shard.mailboxes(home):
        rows = shard.rows(home, mailbox.id, None, ("uid", "flags", "internaldate"))
        found[mailbox.name] = [
            (shard.octets(home, mailbox.id, uid) or b"", tuple(flags), date) for uid, flags, date in rows
        ]
    return found
