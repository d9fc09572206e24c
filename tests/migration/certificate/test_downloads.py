"""The certificate's section `downloads`: what clients were sent after the move, beside the days before."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.usage import Counts
from migration.certificate import document, grades, issue, page, signing
from migration.certificate.downloads import MORE
from tests.migration.house import House
from tests.migration.standing import MOVED, STAYED, count, standing

AT = time.time() - 30 * 3600
USUAL = Counts(logins=10, octets=100_000)
AGAIN = Counts(logins=10, octets=900_000)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with standing(tmp_path / "house", AT) as made:
        yield made


def composed(house: House, domain: str = MOVED) -> dict[str, Any]:
    return document.compose(house.platform, domain, "root")


def test_without_a_baseline_it_says_so(house: House) -> None:
    count(house, MOVED, AT, 0, 24, AGAIN, "shard:s1")
    found = composed(house)["downloads"]
    assert (found["verdict"], found["findings"]) == ("no baseline", [])
    assert (found["octets_per_login"], found["logins"], found["baseline_logins"]) == (90_000, 240, 0)
    assert composed(house, STAYED)["downloads"]["verdict"] == "not moved"


def test_as_before(house: House) -> None:
    count(house, MOVED, AT, -48, 0, USUAL)
    count(house, MOVED, AT, 0, 24, USUAL, "shard:s1")
    count(house, MOVED, AT, 26, 28, AGAIN, "shard:s1")  # later than a day
    found = composed(house)["downloads"]
    assert (found["verdict"], found["complete"], found["findings"]) == ("as before", True, [])
    assert (found["baseline_octets_per_login"], found["octets_per_login"]) == (10_000, 10_000)


def test_downloaded_again_is_to_be_investigated_and_can_be_approved(house: House) -> None:
    count(house, MOVED, AT, -48, 0, USUAL)
    count(house, MOVED, AT, 0, 2, AGAIN, "shard:s1")
    content = composed(house)
    found = content["downloads"]
    assert (found["verdict"], found["octets_per_login"], found["factor_percent"]) == (MORE, 90_000, 300)
    (finding,) = found["findings"]
    assert (finding["grade"], finding["where"]) == ("Investigate", MOVED)
    assert content["grade"] == "Investigate"
    assert finding["item"] in {each.item for each in document.findings_of(content)}
    platform = house.platform
    count(house, MOVED, AT, 2, 4, AGAIN, "shard:s1")  # the item stays the same while the day lasts
    (chosen,) = grades.approve(
        platform.database,
        platform.clock,
        MOVED,
        document.findings_of(composed(house)),
        [finding["item"]],
        "Ada",
        "she reinstalled her phone",
    )
    assert "downloaded again" in chosen.text


def test_what_was_said_stays_said_when_the_counters_are_gone(house: House) -> None:
    count(house, MOVED, AT, -48, 0, USUAL)
    count(house, MOVED, AT, 0, 2, AGAIN, "shard:s1")
    before = issue.sign(house.platform, MOVED, "root")["certificate"]["downloads"]
    house.platform.usage.prune(AT - 3600)
    assert composed(house)["downloads"]["verdict"] == "no baseline"  # they should be there, by the settings
    days = house.platform.settings.usage.days
    later = type("Later", (), {"now": lambda _: AT + (days - 1) * 86_400, "monotonic": lambda _: 0.0})()
    house.platform.clock = later
    assert composed(house)["downloads"] == before


def test_it_is_signed_and_shown(house: House) -> None:
    count(house, MOVED, AT, -48, 0, USUAL)
    count(house, MOVED, AT, 0, 2, AGAIN, "shard:s1")
    signed = issue.sign(house.platform, MOVED, "root")
    key = signing.private_key(house.platform.database).public_key()
    content = signing.check(signing.canonical(signed), key)
    assert content["version"] == 1
    shown = page.render(signed)
    assert "more than before: 90" in shown
    assert "perhaps they downloaded again what they had" in shown
    del signed["certificate"]["downloads"]  # of an earlier release
    assert "downloaded again" not in page.render(signed)
    assert document.findings_of(signed["certificate"])
