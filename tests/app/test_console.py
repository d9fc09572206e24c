"""Tables on an admin's terminal."""

import json
import os
import pty
import subprocess
import sys

import pytest

from mailplat.app.console import show, to_json


def test_a_sender_cannot_write_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Subjects of the vault are shown; an escape sequence or a turned line in one must not be."""
    subject = "\x1b]0;owned\x07 invoice \u202egnp.exe\nroot\t\u00e9\u4e2d"
    show([{"subject": subject}], ["subject"], as_json=False)
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].endswith("\u00e9\u4e2d")
    assert not {"\x1b", "\x07", "\u202e", "\t"} & set(printed)
    assert len(printed.splitlines()) == 2


# A title of a window, a line in C1, one turned around, an end of line.
HOSTILE = "\x1b]0;owned\x07 \x9b2J \u202egnp.exe\x7f \u00e9\u4e2d\n\ttwo"


def test_json_is_the_same_for_programs_and_harmless_for_people() -> None:
    text = to_json({"subject": HOSTILE, "a": [1, None, "\U0001f600"]})
    assert json.loads(text) == {"subject": HOSTILE, "a": [1, None, "\U0001f600"]}
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "\u00e9\u4e2d" in text, "letters are shown"


PROGRAM = """
import sys
from mailplat.app.console import guard_terminal
guard_terminal()
print(TEXT)
print(TEXT, file=sys.stderr)
"""


def test_whatever_a_command_prints_controls_no_terminal() -> None:
    """Into a file or a pipe it goes as it is."""
    command = [sys.executable, "-c", f"TEXT = {HOSTILE!r}\n{PROGRAM}"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    piped = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert piped.stdout.decode() == piped.stderr.decode() == HOSTILE + "\n"
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, stderr=theirs, check=True, env=environment)
    os.close(theirs)
    printed = os.read(ours, 65536).decode()
    os.close(ours)
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\x7f"} & set(printed)
    assert printed.count("\u00e9\u4e2d") == 2
    assert printed.count("\ttwo") == 2
