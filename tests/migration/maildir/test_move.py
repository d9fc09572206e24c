"""Accounts move from files while a live Dovecot delivers into them and its users work: nothing is lost, doubled or
renumbered, and clients' numbers hold."""

import contextlib
import itertools
import json
import smtplib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.route import RouteState
from migration.sources.pop3 import read_uidls
from tests.migration.house import DOMAIN, MASTER, House, client, content_of, letter, subscriptions_of
from tests.migration.maildir.conftest import Legacy
from tests.until import until

pytestmark = pytest.mark.interop


@contextlib.asynccontextmanager
async def moving(legacy: Legacy, layout: str, tmp: Path, **backend: str) -> AsyncIterator[House]:
    user = legacy.user(layout)
    here = House(tmp / "house", legacy.backend(layout, **backend), [user])
    try:
        here.plan()
        async with here.engine():
            yield here
    finally:
        here.close()


def work(legacy: Legacy, layout: str, closed: threading.Event, worked: threading.Event) -> None:
    """A user, an LMTP client and a program that writes into new/, until the door is closed."""
    user = legacy.user(layout)
    with client(legacy.server, user) as imap, smtplib.LMTP("127.0.0.1", legacy.server.lmtp_port) as lmtp:
        for number in itertools.count():
            lmtp.sendmail("a@x.test", [user], letter(number))
            legacy.deliver(layout, f"13000{number:05}.program.host", b"Subject: %d\n\nLF\n" % number)
            imap.select_folder("INBOX")
            uids = imap.search()
            imap.add_flags(uids[number % len(uids)], [("\\Seen", "\\Flagged", "$Later")[number % 3]])
            imap.append("Sent", letter(10_000 + number))
            if number % 4 == 0 and number < 32:
                imap.delete_messages([uids[5]])
                imap.uid_expunge([uids[5]])
            if number == 8:
                imap.create_folder("Late/Deep")
                imap.rename_folder("Archive", "Old")
                imap.subscribe_folder("Late/Deep")
            if number >= 12:
                worked.set()
            if closed.wait(0.02):
                return


async def test_an_account_moves_from_files(legacy: Legacy, tmp_path: Path) -> None:
    closed, worked = threading.Event(), threading.Event()
    user = legacy.user("fs")
    worker = threading.Thread(target=work, args=(legacy, "fs", closed, worked))
    worker.start()
    try:
        async with moving(legacy, "fs", tmp_path) as here:
            await until(worked.is_set)
            await here.reach(RouteState.READY)
            closed.set()
            worker.join()
            # The last one of a program that knows nothing of fences: it is in the last delta.
            legacy.deliver("fs", "1400000000.last.host", b"Subject: last\n\n")
            here.ledger.request_cutover(DOMAIN)
            await here.reach(RouteState.NEW)
            await until(lambda: here.move(user).released)
            there = content_of(legacy.server, user)
            mine = here.content(user)
            assert {name: mine.pop(name, None) for name in there} == there
            assert not any(rows for _, rows in mine.values())  # parents that our store makes
            assert here.subscriptions(user) == subscriptions_of(legacy.server, user)
            assert here.uidls(user) == [uidl for uidl, _ in await read_uidls(legacy.backend("fs"), user)]
            with client(legacy.server, user) as imap:
                status = imap.folder_status("INBOX", ["UIDNEXT", "HIGHESTMODSEQ"])
            residence = here.residence(user)
            shard = here.platform.store.shard(residence.shard)
            inbox = shard.mailbox(residence, "INBOX")
            assert (inbox.uidnext, inbox.modseq > status[b"HIGHESTMODSEQ"]) == (status[b"UIDNEXT"], True)
            assert "Late/Deep" in there
            assert "Old/März & April/INBOX" in there
            # What comes after the commit is a stray: swept, with a UID of ours.
            legacy.deliver("fs", "1500000000.stray.host", b"Subject: stray\n\n")
            await until(lambda: here.move(user).strays)
            rows = shard.rows(residence, inbox.id, None, ("uid",))
            assert [uid for (uid,) in rows][-1] >= status[b"UIDNEXT"]
    finally:
        closed.set()
        worker.join()


async def test_names_stay_behind_their_prefix(legacy: Legacy, tmp_path: Path) -> None:
    """INBOX.Sent is what clients know."""
    user = legacy.user("utf8")
    async with moving(legacy, "utf8", tmp_path) as here:
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        mine = here.content(user)
        assert set(mine) >= {"INBOX", "INBOX/Sent", "INBOX/Archive/März & April/INBOX"}
        there = {name.replace(".", "/"): rows for name, rows in content_of(legacy.server, user).items()}
        assert {name: mine[name] for name in there} == there


async def test_an_unmounted_disk_deletes_nothing(legacy: Legacy, tmp_path: Path) -> None:
    """12: the account waits, as it is, and goes on when the disk is back."""
    user, mount = legacy.user("crlf"), tmp_path / "mount"
    mount.symlink_to(legacy.server.mail)  # Dovecot has the disk, we have not
    async with moving(legacy, "crlf", tmp_path, maildir=f"{mount}/%d/%n/Maildir") as here:
        await here.reach(RouteState.READY)
        before = here.content(user)
        mount.unlink()
        mount.mkdir()
        await until(lambda: "is it mounted" in here.move(user).note)
        assert here.content(user) == before
        mount.rmdir()
        mount.symlink_to(legacy.server.mail)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        assert here.content(user) == before


def test_the_backend_is_checked_before_anything_moves(
    legacy: Legacy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """19: both views of an account are compared, UIDLs too."""
    here = House(tmp_path / "house", None, [])
    here.close()
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    (tmp_path / "secret").write_text(MASTER[1])
    server, mail = legacy.server, legacy.server.mail

    def add(name: str, location: str, *more: str) -> int:
        words = f"migrate backend add {name} --imap 127.0.0.1:{server.imap_port} --imap-tls none"
        words += (
            f" --pop3 127.0.0.1:{server.pop3_port} --pop3-tls none --relay lmtp:127.0.0.1:{server.lmtp_port}"
        )
        words += f" --master-user {MASTER[0]} --master-password-file {tmp_path}/secret"
        return main([*words.split(), "--maildir-path", location, *more])

    def check(name: str) -> str:
        main(["migrate", "backend", "check", name, "--account", legacy.user("plus"), "--json"])
        row = next(row for row in json.loads(capsys.readouterr().out) if row["check"] == "maildir")
        return f"{row['result']}: {row['detail']}"

    assert add("good", f"{mail}/%d/%n/Maildir") == 0
    assert add("layout", f"{mail}/%d/%n/Maildir:LAYOUT=fs") == 0
    assert add("format", f"{mail}/%d/%n/Maildir", "--uidl-format", "%v.%u") == 0
    assert add("bad", "~/Maildir") != 0
    capsys.readouterr()
    assert check("good").endswith("as over IMAP; UIDLs as over POP3")
    assert "LAYOUT" in check("layout")
    assert "see --uidl-format" in check("format")
