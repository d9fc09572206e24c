"""`mailplat migrate gates`, as people type it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.usage import Counts
from migration.gates import DOWNLOADS, MEASURES
from migration.matched import matched
from tests.migration.house import House
from tests.migration.standing import ELSEWHERE, MOVED, STAYED, count, standing

AT = time.time() - 3 * 3600
USUAL = Counts(logins=100, refused=2, users=20, octets=1_000_000, delivered=100)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    with standing(tmp_path / "house", AT) as made:
        for domain in (MOVED, STAYED):
            count(made, domain, AT, -48, 0, USUAL)
        count(made, STAYED, AT, 0, 3, USUAL)
        yield made


def test_all_is_as_before(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    count(house, MOVED, AT, 0, 3, USUAL, "shard:s1")
    assert main(["migrate", "gates", MOVED]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.split()[:3] == ["DOMAIN", "MEASURE", "BEFORE"]
    assert [line.split()[1] for line in lines] == [*(each.name for each in MEASURES), DOWNLOADS]
    assert lines[0].split()[2:4] == ["1.96%", "1.96%"]
    assert lines[-1].split()[2:] == ["10000", "10000", "10000", "10000", "10000", "as", "before"]


def test_a_breach_is_named_and_ends_with_1(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    count(house, MOVED, AT, 0, 3, Counts(logins=50, refused=50, octets=500_000), "shard:s1")
    assert main(["migrate", "gates", MOVED]) == 1
    printed = capsys.readouterr().out
    assert f"{MOVED}: logins that were refused: 50.00%, " in printed
    assert main(["migrate", "gates", MOVED, "--json", "--matched", STAYED]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["measure"] for row in rows if row["breach"]] == ["login_failures"]
    assert rows[0]["matched_since"] == pytest.approx(2 / 102)


def test_who_it_is_compared_with(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert matched(house.platform.database, "old") == [STAYED]
    assert matched(house.platform.database, "other") == [ELSEWHERE]
    count(house, ELSEWHERE, AT, -48, 3, Counts(logins=1, refused=1), "backend:other")
    count(house, MOVED, AT, 0, 3, USUAL, "shard:s1")
    main(["migrate", "gates", MOVED, "--json", "--matched", ELSEWHERE])
    assert json.loads(capsys.readouterr().out)[0]["matched_before"] == 0.5


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([STAYED], 2, "no account of stayed.test has moved yet"),
        (["nowhere.test"], 3, "there is no plan for nowhere.test"),
        ([MOVED, "--matched", MOVED], 2, "cannot be compared with itself"),
    ],
)
def test_what_cannot_be_compared(
    house: House, words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", "gates", *words]) == status
    assert said in capsys.readouterr().err
