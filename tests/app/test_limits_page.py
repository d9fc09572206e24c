"""docs/limits.md says what the code says."""

from tests.app.limits_page import PAGE, TABLES, page, reasons


def test_the_page_is_the_code() -> None:
    assert PAGE.read_text() == page(), "make it anew: python -m tests.app.limits_page > docs/limits.md"


def test_every_limit_has_a_reason() -> None:
    for table, limits, _ in TABLES:
        assert [name for name, text in reasons(limits).items() if len(text) < 20] == [], table
