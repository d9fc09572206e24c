"""Gates over a real table: what is compared with what, and what is never a breach."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.wiring import Platform
from mailplat.usage import Counts
from mailplat.usage.meter import HOUR_S, Key
from migration.gates import DOWNLOADS, HOURS_LEAST, MEASURES, Gates
from tests.migration.house import House

HERE, THERE = "shard:s1", "backend:old"
MOVED_AT = 500_000 * HOUR_S + 1234.5  # within an hour
HOUR = 500_000 * HOUR_S
MOVED = ["moved.test"]
OTHERS = [f"other{number}.test" for number in range(4)]

QUIET = Counts(
    logins=100,
    refused=2,
    users=20,
    prompted=1,
    octets=1_000_000,
    delivered=100,
    deferred=2,
    failed=1,
    later_60=1,
)
GUESSED = Counts(logins=100, refused=60, users=20, prompted=1, octets=1_000_000, delivered=100)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    house = House(tmp_path / "house", None, [])
    yield house.platform
    house.platform.close()


def put(platform: Platform, domain: str, first: int, last: int, counts: Counts, home: str = THERE) -> None:
    """The same in each hour from `first` to before `last`, counted from that of the move."""
    platform.usage.add({Key(domain, HOUR + at * HOUR_S, home): counts for at in range(first, last)})


def usual(platform: Platform) -> None:
    for domain in (*MOVED, *OTHERS):
        put(platform, domain, -72, 0, QUIET)
    for domain in OTHERS:
        put(platform, domain, 0, 6, QUIET)


async def breaches(platform: Platform, matched: list[str] = OTHERS) -> dict[str, str]:
    found = await Gates(platform).judge(MOVED, matched, MOVED_AT)
    assert {each.domain for each in found} <= set(MOVED)
    return {each.measure: each.reason for each in found}


async def test_as_before_is_no_breach(platform: Platform) -> None:
    usual(platform)
    put(platform, "moved.test", 0, 6, QUIET, HERE)
    assert await breaches(platform) == {}
    compared = await Gates(platform).compare(MOVED, OTHERS, MOVED_AT)
    assert [each.measure for each in compared] == [*(each.name for each in MEASURES), DOWNLOADS]
    assert {each.verdict for each in compared} == {"as before"}


async def test_refused_passwords(platform: Platform) -> None:
    usual(platform)
    worse = Counts(logins=50, refused=50, users=10, prompted=11, octets=500_000, delivered=100)
    put(platform, "moved.test", 0, 2, worse, HERE)
    found = await breaches(platform)
    assert sorted(found) == ["login_failures", "password_prompts"]
    assert found["login_failures"].startswith(
        "logins that were refused: 50.00%, 1.99% were to be expected (p = "
    )


async def test_somebody_who_guesses_at_one_account_asks_nobody_for_a_password(platform: Platform) -> None:
    usual(platform)
    put(platform, "moved.test", 0, 6, GUESSED, HERE)
    assert "password_prompts" not in await breaches(platform)


async def test_what_the_others_have_too_is_no_breach(platform: Platform) -> None:
    for domain in (*MOVED, *OTHERS):
        put(platform, domain, -72, 0, QUIET)
    bad = Counts(
        logins=100, refused=40, users=20, prompted=12, octets=9_000_000, delivered=50, failed=30, later_60=25
    )
    put(platform, "moved.test", 0, 6, bad, HERE)
    for domain in OTHERS:
        put(platform, domain, 0, 6, bad)
    assert await breaches(platform) == {}
    assert sorted(await breaches(platform, [])) == [
        "bounces",
        DOWNLOADS,
        "late",
        "login_failures",
        "password_prompts",
    ]


async def test_mail_that_fails_or_comes_late(platform: Platform) -> None:
    usual(platform)
    worse = Counts(logins=100, octets=1_000_000, delivered=100, deferred=90, failed=20, later_60=30)
    put(platform, "moved.test", 0, 2, worse, HERE)
    assert sorted(await breaches(platform)) == ["bounces", "deferrals", "late"]


async def test_what_was_left_at_the_legacy_platform_in_that_hour_does_not_count(platform: Platform) -> None:
    usual(platform)
    put(platform, "moved.test", 0, 1, Counts(logins=10, refused=500), THERE)
    put(platform, "moved.test", 0, 6, QUIET, HERE)
    assert await breaches(platform) == {}


async def test_a_small_domain_raises_no_alarm(platform: Platform) -> None:
    for domain in (*MOVED, *OTHERS):
        put(platform, domain, -72, 0, Counts(logins=1))
    for domain in OTHERS:
        put(platform, domain, 0, 6, Counts(logins=1))
    put(platform, "moved.test", 0, 1, Counts(logins=1, refused=9), HERE)
    assert await breaches(platform) == {}


async def test_mailboxes_that_are_downloaded_again(platform: Platform) -> None:
    usual(platform)
    put(platform, "moved.test", 0, 1, Counts(logins=25, octets=25 * 40_000), HERE)
    found = await breaches(platform)
    assert found == {
        DOWNLOADS: "40000 octets for each login, 10000 were to be expected; more than in any hour before the move"
    }


async def test_an_hour_before_that_had_as_much_makes_it_no_wonder(platform: Platform) -> None:
    usual(platform)
    put(platform, "moved.test", -40, -39, Counts(logins=1, octets=8_000_000))
    put(platform, "moved.test", 0, 1, Counts(logins=25, octets=25 * 40_000), HERE)
    assert await breaches(platform) == {}


async def test_without_a_baseline_it_says_so(platform: Platform) -> None:
    for domain in OTHERS:
        put(platform, domain, -72, 6, QUIET)
    put(platform, "moved.test", 0, 6, Counts(logins=1, refused=500, octets=10**9), HERE)
    compared = await Gates(platform).compare(MOVED, OTHERS, MOVED_AT)
    assert {each.verdict for each in compared} == {"no baseline"}
    put(platform, "moved.test", 1 - HOURS_LEAST, 0, Counts(logins=5, octets=50_000))
    assert (await breaches(platform)).keys() == {"login_failures"}


async def test_a_baseline_is_days_and_not_years(platform: Platform) -> None:
    usual(platform)
    put(platform, "moved.test", -24 * 20, -24 * 19, Counts(logins=1, refused=10_000))
    put(platform, "moved.test", 0, 6, Counts(logins=50, refused=50), HERE)
    assert "login_failures" in await breaches(platform)


async def test_a_domain_is_not_compared_with_itself(platform: Platform) -> None:
    usual(platform)
    put(platform, "moved.test", 0, 6, Counts(logins=50, refused=50), HERE)
    assert "login_failures" in await breaches(platform, [*OTHERS, *MOVED])
