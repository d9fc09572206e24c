import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime import collation
from mailplat.wire.mime.collation import unicode_casemap


@pytest.mark.parametrize(
    ("one", "other"),
    [("abc", "ABC"), ("Ä", "ä"), ("ä", "a\u0308"), ("ĳ", "IJ"), ("Ǆ", "ǆ"), ("ſ", "s"), ("ⅷ", "VIII")],
)
def test_equal(one: str, other: str) -> None:
    assert unicode_casemap(one) == unicode_casemap(other)


def test_order() -> None:
    """By titlecase: "_" lies between upper and lower case."""
    assert sorted(["_", "b", "A", "é", "f", "E"], key=unicode_casemap) == ["A", "b", "E", "é", "f", "_"]
    assert unicode_casemap("ß") == "ß"  # one character for another, never "SS"


@given(st.text())
def test_as_the_rfc_has_it(text: str) -> None:
    titles = [each.title() if len(each.title()) == 1 else each for each in text]
    assert unicode_casemap(text) == "".join(unicodedata.normalize("NFKD", each) for each in titles)


@given(st.text(), st.text())
def test_order_of_points_is_order_of_octets(one: str, other: str) -> None:
    a, b = unicode_casemap(one), unicode_casemap(other)
    assert (a < b) == (a.encode("utf-8", "surrogatepass") < b.encode("utf-8", "surrogatepass"))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collation, "MAX_KNOWN", 10)
    monkeypatch.setattr(collation, "_TITLES", collation._Titles())
    text = "".join(map(chr, range(0x100, 0x200)))
    assert unicode_casemap(text) == unicode_casemap(text)
    assert len(collation._TITLES) == 10
