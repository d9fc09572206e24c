"""What the platform knows of its shards."""

from pathlib import Path

import pytest

from mailplat.core.errors import Unavailable
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.directory.shards import ShardRegister


@pytest.fixture
def register(tmp_path: Path) -> ShardRegister:
    database = Database(f"sqlite:///{tmp_path}/platform.db")
    schema.upgrade(database, "platform")
    return ShardRegister(database)


def test_the_platform_stays_the_same(register: ShardRegister) -> None:
    platform, shard = register.expected("s1")
    assert (len(platform), shard) == (32, "")
    assert register.expected("s2") == (platform, "")


def test_a_shard_keeps_its_identity_until_an_admin_replaces_it(register: ShardRegister) -> None:
    register.register("s1", "one")
    register.register("s1", "one")
    with pytest.raises(Unavailable, match="s1: two was opened, but the platform knows it as one"):
        register.register("s1", "two")
    assert register.expected("s1")[1] == "one"
    register.replace("s1", "two")
    assert register.expected("s1")[1] == "two"
    register.replace("s1", "")
    assert register.expected("s1")[1] == ""
