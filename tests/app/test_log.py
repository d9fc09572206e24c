"""Lines of the log."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from mailplat.app import log
log.configure("info", STYLE)
structlog.get_logger().info("ready", worker=1)
try:
    raise OSError("disk full")
except OSError:
    structlog.get_logger().exception("failed")
"""


@pytest.mark.skipif(not hasattr(os, "pipe2"), reason="pipes that keep writes apart are Linux's")
@pytest.mark.parametrize("style", ["console", "json"])
def test_each_event_is_written_by_one_call(style: str) -> None:
    """Workers share one log: what is written in two pieces may get another's line between them."""
    reader, writer = os.pipe2(os.O_DIRECT)  # packets: a read gives what one write(2) gave
    program = f"STYLE = {style!r}\n{PROGRAM}"
    subprocess.run([sys.executable, "-c", program], stderr=writer, check=True)
    os.close(writer)
    written = []
    while octets := os.read(reader, 65536):
        written.append(octets)
    os.close(reader)
    assert [b"ready" in each for each in written] == [True, False]
    assert b"disk full" in written[1]
    assert all(each.endswith(b"\n") for each in written)


HOSTILE = """
import logging, structlog
from mailplat.app import log
log.configure("info", "console")
said = "\\x1b]0;owned\\x07\\x9b2J\\u202e\\rOK"
structlog.get_logger().info(said, reason=said)
logging.getLogger("library").warning(said)
try:
    raise OSError(said)
except OSError:
    structlog.get_logger().exception("failed")
"""


def test_what_others_say_controls_no_terminal() -> None:
    """A log is read with `tail -f`."""
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, check=True)
    lines = done.stderr.decode()
    assert lines.count("OK") >= 4
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(lines)
    assert len(lines.splitlines()) > 3
