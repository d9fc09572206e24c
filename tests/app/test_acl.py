"""`mailplat account acl`, and that what is shared is found again after a restore and a rebuild."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig

ANN, BOB = "ann@example.test", "bob@example.test"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "platform")
    rig.call("domain", "add", "example.test")
    for address in (ANN, BOB):
        rig.call("account", "add", address, "--hash", "{PLAIN}secret", "--home", "shard:s1")
    yield rig
    rig.stop()


def owners(rig: Rig, *, forget: bool = False) -> list[str]:
    """Where Bob has to look."""
    platform = Platform(load(rig.config))
    try:
        if forget:
            with platform.database.write() as connection:
                connection.exec_driver_sql("DELETE FROM share")
        bob = platform.directory.account(parse_address(BOB))
        return [str(each.account.address) for each in platform.shares.owners(bob, across=False, limit=9)]
    finally:
        platform.close()


def refused(rig: Rig, *arguments: str) -> str:
    with pytest.raises(RuntimeError) as raised:
        rig.call("account", "acl", *arguments)
    return str(raised.value)


def test_an_admin_gives_and_takes(rig: Rig) -> None:
    assert "exit status 3" in refused(rig, "list", ANN, "INBOX"), "nobody has any"
    rig.call("account", "acl", "set", ANN, "inbox", "Bob@Example.Test", "lrd")
    rig.call("account", "acl", "set", ANN, "INBOX", "anyone", "l")
    assert rig.query("account", "acl", "list", ANN, "INBOX") == [
        {"identifier": "anyone", "rights": "l"},
        {"identifier": BOB, "rights": "lrte"},
    ]
    assert owners(rig) == [ANN]
    rig.call("account", "acl", "delete", ANN, "INBOX", "anyone")
    assert [each["identifier"] for each in rig.query("account", "acl", "list", ANN, "INBOX")] == [BOB]
    last, *_ = rig.query("audit", "list", "--what", "acl.delete", "--subject", ANN)
    assert last["before"] == {"mailbox": "INBOX", "rights": "l"}
    first, *_ = rig.query("audit", "list", "--what", "acl.set", "--subject", ANN)
    assert first["after"] == {"mailbox": "INBOX", "identifier": BOB, "rights": "lrte"}
    for arguments, text in (
        (("set", ANN, "INBOX", BOB, "lz"), "'z' is no right"),
        (("set", ANN, "INBOX", BOB, ""), "acl delete"),
        (("set", ANN, "INBOX", ANN, "l"), "is the owner"),
        (("set", ANN, "INBOX", "eve@other.test", "l"), "within a domain only"),
        (("set", ANN, "INBOX", "nobody@example.test", "l"), "no account nobody@example.test"),
        (("set", ANN, "Nothing", BOB, "l"), "no mailbox 'Nothing'"),
        (("delete", ANN, "INBOX", "$team"), "An identifier is"),
    ):
        assert text in refused(rig, *arguments)


def test_what_is_shared_is_found_again(rig: Rig, tmp_path: Path) -> None:
    folder = str(tmp_path / "backup")
    rig.call("account", "acl", "set", ANN, "INBOX", BOB, "lr")
    rig.call("shard", "backup", "run", "s1", folder)
    assert owners(rig, forget=True) == []
    rig.call("shard", "rebuild", "s1")
    assert owners(rig) == [ANN]
    owners(rig, forget=True)
    rig.call("shard", "restore", "s1", folder, "--replace")
    assert owners(rig) == [ANN]
    owners(rig, forget=True)
    rig.call("shard", "restore", "s1", folder, "--account", ANN, "--into-place")
    assert owners(rig) == [ANN]
    other = Rig(tmp_path / "other")
    other.call("shard", "restore", "s1", folder, "--directory")
    assert owners(other) == [ANN]
    assert other.query("account", "acl", "list", ANN, "INBOX") == [{"identifier": BOB, "rights": "lr"}]
