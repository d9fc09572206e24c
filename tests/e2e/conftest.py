"""One running platform for the end-to-end tests of a session's worker, with accounts in both shards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import ONE_WORKER, Rig, running

PASSWORD = "correct horse"
ACCOUNTS = [f"user{number}@example.test" for number in range(1, 9)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    root: Path = tmp_path_factory.mktemp("platform")
    with running(root, **ONE_WORKER) as rig:
        rig.run("domain", "add", "example.test")
        for number, account in enumerate(ACCOUNTS):
            rig.add_account(account, PASSWORD, "--home", f"shard:s{number % 2 + 1}")
        yield rig
