"""The short form of `make soak`: every kind of client works, nobody is refused, nothing is lost; and the verdict must
be able to object. Times of a short run say nothing and are not looked at."""

from pathlib import Path

import pytest

from tests.soak.__main__ import Soak, keep
from tests.soak.sample import Process, Sample, Shard, Verb
from tests.soak.verdict import rise, trends

KINDS = {
    "APPEND", "IDLE, told of it", "LIST", "LMTP message", "LOGIN", "NOOP", "POP3 session", "SEARCH", "SELECT",
    "SMTP message", "STATUS", "UID EXPUNGE", "UID FETCH", "UID STORE",
}  # fmt: skip

MB = 2**20


def test_some_seconds(tmp_path: Path) -> None:
    soak = Soak(tmp_path / "platform", 6.0, seed=3, pause=0.05, enough=4, population=8)
    kept = soak.run(every=3.0)
    assert soak.errors == []
    assert kept
    assert soak.trends == []
    assert set(soak.samples[-1].verbs) | set(soak.samples[0].verbs) >= KINDS
    counts = soak.scene.ledger.counts
    assert counts["acknowledged"] > 50
    assert counts["expunges acknowledged"] > 5
    assert counts["messages compared"] > 50
    keep(soak, tmp_path / "results")
    assert {each.name for each in (tmp_path / "results").iterdir()} == {
        "soak.json", "soak-times.svg", "soak-sizes.svg",
    }  # fmt: skip


def sample(minute: int, *, rss: float = 100, files: int = 40, p99: float = 30.0, vault: int = 1000) -> Sample:
    return Sample(
        minute * 60.0,
        {"APPEND": Verb(500, 10.0, p99)},
        {7: Process(int(rss * MB), int(rss * MB), files, 30)},
        {"s1": Shard(10 * MB, 16 * MB, 0, {"vault": vault, "expunged": 100, "leaving": 0}, 3000)},
    )


def test_a_level_run_with_its_noise() -> None:
    noise = (0, 3, -2, 1, 40, -1, 2)
    found = trends([sample(n, rss=100 + n % 4, p99=30 + noise[n % 7]) for n in range(60)])
    assert [each.name for each in found if not each.level] == []
    assert "p99 of APPEND" in {each.name for each in found}


def test_warming_up_is_no_leak() -> None:
    found = trends([sample(n, rss=60 + 2 * min(n, 20), vault=100 * min(n, 20)) for n in range(60)])
    assert [each.name for each in found if not each.level] == []


@pytest.mark.parametrize(
    ("leak", "name"),
    [
        (lambda n: sample(n, rss=100 + n / 4), "worker 0: RSS"),
        (lambda n: sample(n, files=40 + n), "open files"),
        (lambda n: sample(n, p99=30 + n), "p99 of APPEND"),
        (lambda n: sample(n, vault=1000 + 40 * n), "shard s1: rows of vault"),
    ],
)
def test_what_rises_is_named(leak, name: str) -> None:  # type: ignore[no-untyped-def]
    assert name in {each.name for each in trends([leak(n) for n in range(60)]) if not each.level}


def test_a_short_run_has_no_trend() -> None:
    assert trends([sample(n, rss=100 * n) for n in range(5)]) == []


def test_one_bad_minute_does_not_bend_the_line() -> None:
    xs = [float(n) for n in range(20)]
    assert rise(xs, [0.0] * 19 + [1000.0]) == 0.0
    assert rise(xs, xs) == pytest.approx(19.0)
