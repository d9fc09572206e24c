"""A shard and the folders that it is exported into."""

import json
from pathlib import Path
from typing import Any

import pytest

from mailplat.core.address import Address
from mailplat.store.export import ExportReport, Owner, export
from tests.store.conftest import HOME, Rig

ANN = Owner(HOME.account_id, Address("Ann", "example.test"), "{PLAIN}secret")


class Exit:
    """`take` exports into `folder`, which is absent at first."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.folder = folder

    def take(self, *owners: Owner, link: bool = True) -> ExportReport:
        return export(self.rig.shard, self.folder, "dovecot", owners or (ANN,), link=link)

    @property
    def maildir(self) -> Path:
        return self.folder / "example.test" / "ann"

    @property
    def manifest(self) -> dict[str, Any]:
        content = json.loads((self.folder / "manifest.json").read_text())
        assert isinstance(content, dict)
        return content

    def uidlist(self, mailbox: str = "") -> dict[int, str]:
        """What stands behind each UID."""
        head, *lines = (self.maildir / mailbox / "dovecot-uidlist").read_text().splitlines()
        assert head.startswith("3 V")
        return {int(line.partition(" ")[0]): line.partition(" ")[2] for line in lines}


@pytest.fixture
def exit_(rig: Rig, tmp_path: Path) -> Exit:
    return Exit(rig, tmp_path / "export")
