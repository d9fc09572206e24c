"""Quotas as an admin sets and reads them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailplat.app.cli import main
from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.errors import InvalidInput
from mailplat.core.route import BackendHome, Residence, ShardHome
from mailplat.directory import Backend, tables
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig
from tests.store.conftest import new

MB = 1 << 20


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path / "platform")
    rig.call("domain", "add", "example.test", "--quota", "1G")
    return rig


@pytest.fixture
def platform(rig: Rig) -> Iterator[Platform]:
    platform = Platform(load(rig.config))
    yield platform
    platform.close()


def add(platform: Platform, *names: str) -> None:
    for name in names:
        platform.directory.add_account(parse_address(f"{name}@example.test"), home=ShardHome("s1"))


def quotas(platform: Platform) -> dict[str, int]:
    return {account.address.local: account.quota for account in platform.directory.accounts()}


def test_a_domain(rig: Rig, platform: Platform) -> None:
    add(platform, "ann", "bob", "cat")
    rig.call("domain", "set", "example.test", "--quota", "2G")
    rig.call("account", "set", "ann@example.test", "--quota", "1G")
    rig.call("account", "set", "bob@example.test", "--quota", "3G")
    ann = platform.directory.account(parse_address("ann@example.test"))
    home = Residence(ann.id, "s1", 1)
    asyncio.run(platform.store.append(home, "INBOX", [new(b"x" * (512 * MB // 1024))], quota=ann.allowance))
    [row] = rig.query("domain", "show", "example.test")
    assert row == {
        "domain": "example.test", "quota": 2048 * MB, "used": MB // 2, "percent": 0, "promised": 4096 * MB,
        "accounts": 3, "unlimited": 1, "aliases": 0, "app_passwords_only": False, "scram": False,
    }  # fmt: skip
    rig.call("domain", "add", "example.net")
    rows = {row["domain"]: row for row in rig.query("domain", "list")}
    assert (rows["example.net"]["quota"], rows["example.net"]["used"], rows["example.net"]["percent"]) == (
        0,
        0,
        None,
    )
    assert (rows["example.test"]["used"], rows["example.test"]["promised"]) == (MB // 2, 4096 * MB)
    assert rig.call("domain", "list").splitlines()[0].split() == [
        "DOMAIN",
        "QUOTA",
        "USED",
        "PERCENT",
        "PROMISED",
    ]


def test_what_an_account_uses(rig: Rig, platform: Platform) -> None:
    add(platform, "ann", "bob")
    platform.directory.add_backend(Backend("old"))
    platform.directory.add_account(parse_address("cat@example.test"), home=BackendHome("old"))
    rig.call("account", "set", "ann@example.test", "--quota", "1000")
    ann = platform.directory.account(parse_address("ann@example.test"))
    asyncio.run(platform.store.append(Residence(ann.id, "s1", 1), "INBOX", [new(b"x" * 255)]))
    rows = {row["address"]: (row["used"], row["percent"]) for row in rig.query("account", "list")}
    assert rows == {
        "ann@example.test": (255, 25),
        "bob@example.test": (0, None),
        "cat@example.test": (None, None),
    }
    [row] = rig.query("account", "show", "ann@example.test")
    assert (row["quota"], row["used"], row["percent"]) == (1000, 255, 25)
    assert rig.call("account", "show", "cat@example.test").splitlines()[1].split()[-1] == "True"


def test_ten_thousand_quotas(rig: Rig, platform: Platform) -> None:
    count = 10_000
    with platform.database.write() as connection:
        common = {"domain": "example.test", "password_hash": "", "quota": 0, "active": True}
        people = [{"key": f"u{n}@example.test", "local": f"u{n}", **common} for n in range(count)]
        connection.execute(sa.insert(tables.account), people)
    lines = "".join(f"U{n}@example.test\t{n}K\n" for n in range(count))
    assert rig.call("account", "set", "--from-file", "-", stdin=f"# all of them\n\n{lines}").split() == [
        "CHANGED",
        str(count),
    ]
    assert quotas(platform) == {f"u{n}": n << 10 for n in range(count)}
    assert rig.query("account", "set", "--domain", "example.test", "--quota", "5G") == [{"changed": count}]
    assert set(quotas(platform).values()) == {5 << 30}


def test_one_bad_line_and_nothing_is_changed(
    rig: Rig,
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add(platform, "ann", "bob")
    file = tmp_path / "quotas"
    file.write_text(
        "ann@example.test 5G\nnobody@example.test 5G\nbob@example.test five\nbob@example.test\n"
        "Ann@example.test 1G\nbob@@example.test 1G\nbob@example.test 9000000000T\n"
    )
    monkeypatch.setenv("MAILPLAT_CONFIG", str(rig.config))
    assert main(["account", "set", "--from-file", str(file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"mailplat: {file}:").partition(":")[0] for line in said[:-1]] == list("234567")
    assert "there is no account nobody@example.test" in said[0]
    assert "'five' is not a size" in said[1]
    assert "ann@example.test is in line 1 already" in said[3]
    assert said[-1] == f"mailplat: {file}: 6 bad lines; nothing was changed"
    assert quotas(platform) == {"ann": 0, "bob": 0}
    file.write_text("ann@example.test 5G\nnobody@example.test 5G\n")
    assert main(["account", "set", "--from-file", str(file)]) == 2
    assert quotas(platform) == {"ann": 0, "bob": 0}
    assert main(["account", "set", "--from-file", str(tmp_path / "absent")]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--quota", "5G"),
        ("ann@example.test", "--domain", "example.test", "--quota", "5G"),
        ("--domain", "example.test"),
        ("--domain", "example.test", "--active", "no", "--quota", "5G"),
        ("--from-file", "-", "--quota", "5G"),
    ],
)
def test_what_does_not_go_together(
    rig: Rig, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILPLAT_CONFIG", str(rig.config))
    assert main(["account", "set", *arguments]) == 2


def test_settings(rig: Rig) -> None:
    text = rig.config.read_text()
    assert load(rig.config).quota.warn == [80, 95]
    rig.config.write_text(text + '\n[quota]\nwarn = [50]\nsubject = "$percent of $$"\n')
    platform = Platform(load(rig.config))
    assert platform.store.shard("s1").site.limits.quota_warn == (50,)
    platform.close()
    for wrong, says in (
        ("warn = [0]", "greater than or equal to 1"),
        ('text = "$nonsense"', r"\$nonsense is no placeholder"),
        ('text = "5 $ more"', "is no placeholder"),
    ):
        rig.config.write_text(f"{text}\n[quota]\n{wrong}\n")
        with pytest.raises(InvalidInput, match=says):
            load(rig.config)
