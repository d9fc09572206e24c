"""`mailplat migrate forecast`, as it is typed."""

import json

import pytest

from mailplat.app.cli import main

PLATFORM = ["migrate", "forecast", "--accounts", "2000", "--octets-each", "100M", "--message-octets", "20000"]


def test_it_says_days_and_waves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLATFORM, "--waves", "3", "--bake", "48"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "days; while something is copied" in said[0]
    assert [line.split()[:2] for line in said[-3:]] == [["1", "667"], ["2", "667"], ["3", "666"]]


def test_the_fewest_cores_are_enough_and_one_less_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    def forecast(*more: str) -> dict[str, float]:
        assert main([*PLATFORM, "--hosts", "4", "--bake", "0", "--json", *more]) == 0
        found: dict[str, float] = json.loads(capsys.readouterr().out)
        return found

    within = forecast("--worker-cores", "3")["seconds"] * 0.9 / 86_400
    found = forecast("--within", str(within))
    assert found["seconds"] <= within * 86_400
    assert found["worker_cores_there"] > 3
    assert forecast("--worker-cores", str(found["worker_cores_there"] - 1))["seconds"] > within * 86_400


def test_what_no_number_of_workers_can_do_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLATFORM, "--host-rate", "1M", "--within", "0.5"]) == 2
    assert (
        "the hosts, their connections, the window or the bake time are the limit" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "wrong",
    [["--accounts", "0"], ["--octets-each", "1X"], ["--worker-cores", "0"], ["--message-octets", "0"]],
)
def test_wrong_numbers_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLATFORM, *wrong]) == 2
    assert capsys.readouterr().err.startswith("mailplat: ")
