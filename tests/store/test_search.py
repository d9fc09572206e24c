"""SEARCH: what the index answers, what the files answer, and both together."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.core.clock import ManualClock
from mailplat.core.errors import LimitReached, NotFound
from mailplat.store import StoreLimits
from mailplat.wire.imap import search as keys
from tests.store.conftest import HOME, Rig, letter, new

DAY = 86_400
MIME = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@x>\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\r\nX-Own: Secret Value\r\n"
    b"Date: Fri, 3 Jan 2020 23:30:00 -0800\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"w5xiZXIgZGVuIFdvbGtlbg==\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\nneedle\r\n--b--\r\n"
)


@pytest.fixture
def full(rig: Rig) -> Rig:
    rig.append(
        new(letter("Alpha", "first body\r\n"), internaldate=0, flags=("\\Seen",)),
        new(letter("Beta", "second body\r\n"), internaldate=DAY - 1, internaldate_zone=60, flags=("Kw",)),
        new(MIME, internaldate=10 * DAY),
        new(letter("x" * 1200 + "END", "long subject\r\n"), internaldate=11 * DAY, flags=("\\Seen", "Kw")),
        new(b"no header at all", internaldate=12 * DAY),
    )
    return rig


def find(rig: Rig, key: keys.Key) -> list[int]:
    return rig.shard.search(HOME, rig.inbox.id, key)


JAN3 = 737_427  # datetime.date(2020, 1, 3).toordinal()
FIRST = 719_163  # 1 January 1970


@pytest.mark.parametrize(
    ("key", "uids"),
    [
        (keys.All(), [1, 2, 3, 4, 5]),
        (keys.Recent(), []),
        (keys.Uids(((1, 2), (4, 9))), [1, 2, 4, 5]),
        (keys.Uids(()), []),
        (keys.Flag("\\Seen", True), [1, 4]),
        (keys.Flag("kW", True), [2, 4]),
        (keys.Flag("kw", False), [1, 3, 5]),
        (keys.Flag("Never", True), []),
        (keys.Flag("Never", False), [1, 2, 3, 4, 5]),
        (keys.Size(True, len(MIME) - 1), [3, 4]),
        (keys.Size(False, 17), [5]),
        (keys.ModSeq(2), [1, 2, 3, 4, 5]),
        (keys.ModSeq(3), []),
        (keys.Header("Subject", "alph"), [1]),
        (keys.Header("SUBJECT", "GRÜSSE"), [3]),
        (keys.Header("from", "jürgen"), [3]),
        (keys.Header("Subject", "xend"), [4]),
        (keys.Header("X-Own", "secret v"), [3]),
        (keys.Header("X-Own", ""), [3]),
        (keys.Header("Subject", ""), [1, 2, 3, 4]),
        (keys.Text("über den wolken"), [3]),
        (keys.Body("ÜBER"), [3]),
        (keys.Body("second"), [2]),
        (keys.Body("beta"), []),
        (keys.Text("beta"), [2]),
        (keys.Text("needle"), []),  # in a part that is no text
        (keys.Dated(True, "on", JAN3), [3]),
        (keys.Dated(True, "before", JAN3 + 1), [3]),
        (keys.Dated(True, "since", JAN3 + 1), []),
        (keys.Dated(False, "on", FIRST), [1]),
        (keys.Dated(False, "on", FIRST + 1), [2]),  # the day that its own zone shows
        (keys.Dated(False, "since", FIRST + 10), [3, 4, 5]),
        (keys.Not(keys.Flag("\\Seen", True)), [2, 3, 5]),
        (keys.And((keys.Flag("\\Seen", True), keys.Header("Subject", "end"))), [4]),
        (keys.Or((keys.Body("first"), keys.Header("Subject", "beta"))), [1, 2]),
    ],
)  # fmt: skip
def test_keys(full: Rig, key: keys.Key, uids: list[int]) -> None:
    assert find(full, key) == uids


_leaf = st.sampled_from(
    [
        keys.Flag("\\Seen", True), keys.Flag("Kw", False), keys.Size(True, 100), keys.Uids(((2, 4),)),
        keys.Header("Subject", "a"), keys.Body("body"), keys.Text("a"), keys.Dated(False, "since", FIRST + 5),
    ]
)  # fmt: skip
_tree = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda each: keys.And(tuple(each))),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: keys.Or(tuple(each))),
        inner.map(keys.Not),
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(_tree)
def test_any_tree_is_the_logic_of_its_leaves(full: Rig, tree: keys.Key) -> None:
    def expected(key: keys.Key) -> set[int]:
        match key:
            case keys.And(parts):
                return set.intersection(*map(expected, parts))
            case keys.Or(parts):
                return set.union(*map(expected, parts))
            case keys.Not(inner):
                return {1, 2, 3, 4, 5} - expected(inner)
            case _:
                return set(find(full, key))

    assert find(full, tree) == sorted(expected(tree))


def test_age_and_day_of_saving(tmp_path: Path) -> None:
    """RFC 5032 and RFC 8514. UTC, and the moment of the search."""
    now = 20 * DAY + 100.0
    rig = Rig(tmp_path / "s1", clock=ManualClock(now))
    rig.append(
        new(internaldate=now, saved_at=DAY),
        new(internaldate=now - 60, saved_at=2 * DAY - 1),
        new(internaldate=now - 61, internaldate_zone=600, saved_at=2 * DAY),
    )
    assert find(rig, keys.Within(False, 60)) == [1, 2]
    assert find(rig, keys.Within(True, 60)) == [3]
    assert find(rig, keys.Within(True, 0xFFFF_FFFF)) == []
    assert find(rig, keys.Saved("on", FIRST + 1)) == [1, 2]
    assert find(rig, keys.Saved("before", FIRST + 2)) == [1, 2]
    assert find(rig, keys.Saved("since", FIRST + 2)) == [3]
    rig.close()


def test_windows_cover_the_mailbox(full: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailplat.store.search._WINDOW", 2)
    assert find(full, keys.All()) == [1, 2, 3, 4, 5]


def test_a_search_that_takes_too_long(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(search_seconds=0.0))
    rig.fill(3)
    assert find(rig, keys.Header("Subject", "Number 1")) == [2]
    with pytest.raises(LimitReached):
        find(rig, keys.Text("x"))
    rig.close()


def test_no_mailbox(rig: Rig) -> None:
    with pytest.raises(NotFound):
        rig.shard.search(HOME, 77, keys.All())
