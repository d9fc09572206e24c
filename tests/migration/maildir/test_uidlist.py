"""The list of UIDs that is looked at again and again is parsed when it changed."""

import pytest

from migration.sources.maildir import uidlist

ONE = b"3 V1700000000 N3 Gabc\n1 :a\n"
TWO = ONE + b"2 W120 :b\n"


def test_the_same_octets_are_the_same_list() -> None:
    latest = uidlist.Latest()
    first = latest.parse(ONE, "list")
    assert latest.parse(ONE, "list") is first
    assert [each.uid for each in first.entries.values()] == [1]
    assert [each.uid for each in latest.parse(TWO, "list").entries.values()] == [1, 2]
    assert [each.uid for each in latest.parse(ONE, "list").entries.values()] == [1]


def test_a_long_one_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uidlist, "_REMEMBERED", len(ONE))
    latest = uidlist.Latest()
    assert latest.parse(TWO, "list") is not latest.parse(TWO, "list")
    assert latest.parse(ONE, "list") is latest.parse(ONE, "list")
