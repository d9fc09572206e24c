"""Tables on an admin's terminal."""

import pytest

from mailplat.app.console import show


def test_a_sender_cannot_write_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Subjects of the vault are shown; an escape sequence or a turned line in one must not be."""
    subject = "\x1b]0;owned\x07 invoice \u202egnp.exe\nroot\t\u00e9\u4e2d"
    show([{"subject": subject}], ["subject"], as_json=False)
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].endswith("\u00e9\u4e2d")
    assert not {"\x1b", "\x07", "\u202e", "\t"} & set(printed)
    assert len(printed.splitlines()) == 2
