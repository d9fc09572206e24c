"""`mailplat shard export` as an admin calls it."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.errors import AlreadyExists
from mailplat.core.route import Residence, ShardHome
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig
from tests.store.conftest import letter, new

ANN, BOB, EVE = "Ann@example.test", "bob@example.test", "eve@other.test"
OFF = "off@other.test"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One for all tests of this file, in their order: the last ones change it."""
    rig = Rig(tmp_path_factory.mktemp("platform"))
    platform = Platform(load(rig.config))
    for address, shard in ((ANN, "s1"), (BOB, "s1"), (EVE, "s1"), (OFF, "s2")):
        parsed = parse_address(address)
        with contextlib.suppress(AlreadyExists):
            platform.directory.add_domain(parsed.domain)
        account = platform.directory.add_account(
            parsed, home=ShardHome(shard), password_hash="{SSHA}abc", quota=1 << 20
        )
        home = Residence(account.id, shard, platform.directory.route(account.id).epoch)
        asyncio.run(platform.store.append(home, "INBOX", [new(letter(address))]))
    platform.directory.add_domain("empty.test")
    platform.close()
    yield rig
    rig.stop()


def export(rig: Rig, folder: Path, *arguments: str) -> dict[str, object]:
    (row,) = json.loads(
        rig.call("shard", "export", "s1", "--format", "dovecot", "--to", str(folder), *arguments, "--json")
    )
    assert isinstance(row, dict)
    return row


def paths(folder: Path) -> list[str]:
    return [entry["path"] for entry in json.loads((folder / "manifest.json").read_text())["accounts"]]


def test_a_shard_a_domain_an_account(rig: Rig, tmp_path: Path) -> None:
    row = export(rig, tmp_path / "all")
    assert (row["accounts"], row["messages"], row["problems"]) == (3, 3, 0)
    assert paths(tmp_path / "all") == ["example.test/ann", "example.test/bob", "other.test/eve"]
    assert "pop3_uidl_format = %v.%u" in str(row["needs"])
    passwd = (tmp_path / "all" / "passwd").read_text().splitlines()
    assert passwd[0] == "ann@example.test:{SSHA}abc::::::userdb_quota_rule=*:bytes=1048576"
    assert export(rig, tmp_path / "domain", "--domain", "example.test", "--copy")["copied"] == 2
    assert export(rig, tmp_path / "one", "--account", "bob@Example.test")["accounts"] == 1
    assert paths(tmp_path / "one") == ["example.test/bob"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["s3", "--to", "out"], 3),
        (["s1", "--to", "full"], 2),
        (["s1", "--to", "out", "--account", OFF], 3),
        (["s1", "--to", "out", "--account", "nobody@example.test"], 3),
        (["s1", "--to", "out", "--domain", "empty.test"], 3),
        (["s1", "--to", "out", "--domain", "nowhere.test"], 3),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    rig: Rig, tmp_path: Path, arguments: list[str], status: int
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    words = [str(tmp_path / word) if word in ("out", "full") else word for word in arguments]
    with pytest.raises(RuntimeError, match=f"exit status {status}: mailplat: [^\n]*$"):
        rig.call("shard", "export", *words, "--format", "dovecot")
    assert not (tmp_path / "out").exists()


def test_an_account_that_the_directory_forgot_or_that_lives_elsewhere(rig: Rig, tmp_path: Path) -> None:
    platform = Platform(load(rig.config))
    number = platform.directory.account(parse_address(BOB)).id
    platform.directory.remove_account(parse_address(BOB))  # not by the command, which removes the mail too
    eve = platform.directory.account(parse_address(EVE)).id
    with platform.database.write() as connection:
        connection.exec_driver_sql("UPDATE route SET home = 'shard:s2' WHERE account_id = ?", (eve,))
    platform.close()
    row = export(rig, tmp_path / "out")
    assert row["accounts"] == 3
    assert paths(tmp_path / "out")[-1] == f"account-{number}"
    remarks = json.loads((tmp_path / "out" / "manifest.json").read_text())["remarks"]
    assert [(note["account"], note["kind"]) for note in remarks] == [
        (EVE, "directory"),
        (f"account-{number}", "directory"),
    ]
    assert "shard:s2" in remarks[0]["text"]


def test_a_missing_file_is_exit_status_1(rig: Rig, tmp_path: Path) -> None:
    folder = load(rig.config).store.shards["s1"].path
    next(folder.glob("accounts/*/1/[nc]*/*,S=*")).unlink()
    wanted = r"exit status 1: mailplat: missing: Ann@example.test INBOX: UID 1: .* \(1 in all, see .*\)\n$"
    with pytest.raises(RuntimeError, match=wanted):
        rig.call("shard", "export", "s1", "--format", "dovecot", "--to", str(tmp_path / "out"))
    assert not (tmp_path / "out" / "INCOMPLETE").exists()
