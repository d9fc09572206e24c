"""memmem and bytes.find say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.store.fulltext import octets

_few = st.binary(max_size=40).map(lambda each: bytes(octet % 3 for octet in each))


@given(_few, _few.filter(bool), st.integers(-3, 50))
def test_as_python_finds(haystack: bytes, needle: bytes, start: int) -> None:
    expected = haystack.find(needle, start) if 0 <= start < len(haystack) else -1
    assert octets.finder(haystack, needle)(start) == expected


def test_where_the_library_has_no_memmem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(octets, "_memmem", None)
    find = octets.finder(b"a needle, a needle", b"needle")
    assert [find(0), find(3), find(13), find(99)] == [2, 12, -1, -1]
