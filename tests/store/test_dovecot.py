"""A real Dovecot that serves an account's folder, as a user with a shell may start one: nothing it wrote is lost."""

import imaplib
import os
import pwd
from pathlib import Path

from mailplat.store.repair import problems, rebuild, verify
from tests.dovecot import Dovecot, _open_the_way
from tests.store.conftest import HOME, Rig, letter, new

ANN = "ann@example.test"


def hand_over(folder: Path) -> None:
    """To the user that Dovecot works as."""
    if os.geteuid() == 0:
        owner = pwd.getpwnam("nobody")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        _open_the_way(folder)


def test_what_a_dovecot_wrote(rig: Rig, tmp_path: Path) -> None:
    rig.append(*(new(letter(f"N{n}"), flags=("Work",)) for n in range(3)))
    rig.shard.settle_names()
    folder = rig.shard.site.account_folder(1)
    hand_over(folder)
    (tmp_path / "dovecot").mkdir()
    settings = f"mail_location = maildir:{folder}\n"
    server = Dovecot(tmp_path / "dovecot", [(ANN, "pass")], settings=settings)
    try:
        client = imaplib.IMAP4("127.0.0.1", server.imap_port)
        client.login(ANN, "pass")
        assert client.select("INBOX")[1] == [b"3"], server.log()
        client.append("INBOX", r"(\Seen)", None, letter("By Dovecot"))
        client.create("Work/2020")
        client.append("Work/2020", None, None, letter("Filed"))
        client.store("1", "+FLAGS", r"(\Flagged)")
        client.store("2", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
    finally:
        server.stop()
    assert (folder / "dovecot-uidlist").exists()
    report = verify(rig.shard)
    kinds = sorted({problem.kind for problem in report.problems})
    assert kinds == [problems.FOREIGN, problems.MISSING, problems.NAME, problems.UNKNOWN]
    rebuild(rig.shard)
    rows = rig.shard.rows(HOME, rig.inbox.id, None, ["uid", "subject", "flags"])
    assert [(uid, subject) for uid, subject, _ in rows[:2]] == [(1, "N0"), (3, "N2")]
    assert "\\Flagged" in rows[0][2]
    uid, subject, flags = rows[2]
    assert uid > 3
    assert (subject, flags) == ("By Dovecot", ("\\Seen",))
    assert rig.shard.octets(HOME, rig.inbox.id, uid) == letter("By Dovecot"), "Dovecot keeps LF on disk"
    filed = rig.shard.mailbox(HOME, "Work/2020")
    assert list(dict(rig.shard.octets_many(HOME, filed.id, None)).values()) == [letter("Filed")]
    assert verify(rig.shard, sweep_hours=0).problems == []
