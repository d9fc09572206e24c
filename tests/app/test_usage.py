"""`mailplat serve` counts and keeps."""

import imaplib
import smtplib
from pathlib import Path

import pytest

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from tests.rig import ONE_WORKER, running

LETTER = "From: a@b.test\r\nTo: ann@example.test\r\nSubject: hello\r\n\r\nbody\r\n"


def test_a_day_of_a_small_platform(tmp_path: Path) -> None:
    with running(tmp_path / "platform", **ONE_WORKER, MAILPLAT_USAGE__FLUSH="3600") as rig:
        rig.call("domain", "add", "example.test")
        rig.add_account("ann@example.test", "secret")
        with smtplib.LMTP("127.0.0.1", rig.ports["lmtp"]) as lmtp:
            lmtp.sendmail("a@b.test", ["ann@example.test"], LETTER)
        with imaplib.IMAP4("127.0.0.1", rig.ports["imap"]) as imap:
            with pytest.raises(imaplib.IMAP4.error):
                imap.login("ann@example.test", "wrong")
            imap.login("ann@example.test", "secret")
            imap.select(readonly=True)
            imap.fetch("1", "(BODY.PEEK[])")
        assert rig.stop() == 0  # what was not written yet is written at a stop
        platform = Platform(load(rig.config, rig.environment))
        rows = platform.usage.read(0, 1e12)
        platform.close()
        assert {(row.domain, row.home.partition(":")[0]) for row in rows} == {("example.test", "shard")}

        def total(name: str) -> int:
            return sum(getattr(row.counts, name) for row in rows)

        assert [total(name) for name in ("logins", "refused", "delivered", "failed")] == [1, 1, 1, 0]
        assert total("octets") > len(LETTER)
