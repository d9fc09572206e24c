"""Real clients: imaplib, imapclient, mbsync, curl."""

import asyncio
import imaplib
import shutil
import subprocess
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.access.imap.conftest import DOMAIN, PASSWORD, Rig, message

USER = f"user@{DOMAIN}"


def through_imaplib(port: int) -> None:
    with imaplib.IMAP4("127.0.0.1", port) as client:
        assert client.login(USER, PASSWORD)[0] == "OK"
        assert client.create("Work")[0] == "OK"
        for number in range(3):
            status, _ = client.append(
                "INBOX", "(\\Seen)", imaplib.Time2Internaldate(1e9), message(str(number))
            )
            assert status == "OK"
        assert client.select("INBOX") == ("OK", [b"3"])
        status, fetched = client.fetch("1:*", "(UID BODY.PEEK[])")
        assert [item[1] for item in fetched if isinstance(item, tuple)] == [message(str(n)) for n in range(3)]
        assert client.search(None, "SUBJECT", '"1"') == ("OK", [b"2"])
        assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
        assert client.expunge() == ("OK", [b"1"])
        assert client.uid("COPY", "2:3", "Work")[0] == "OK"
        assert client.status("Work", "(MESSAGES)") == ("OK", [b"Work (MESSAGES 2)"])
        assert len(client.list()[1]) == 2
        assert client.noop()[0] == "OK"
        assert client.close()[0] == "OK"


def through_imapclient(port: int) -> None:
    with IMAPClient("127.0.0.1", port, ssl=False) as client:
        client.login(USER, PASSWORD)
        assert client.has_capability("MOVE")
        assert client.namespace().personal == (("", "/"),)
        client.create_folder("Entwürfe/Ältere")
        assert "Entwürfe/Ältere" in [name for _, _, name in client.list_folders()]
        client.append("INBOX", message("one"), flags=[b"\\Flagged"])
        client.append("INBOX", message("two"))
        assert client.select_folder("INBOX")[b"EXISTS"] == 2
        fetched = client.fetch([1, 2], ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "RFC822.SIZE", "INTERNALDATE"])
        assert [item[b"ENVELOPE"].subject for item in fetched.values()] == [b"one", b"two"]
        assert fetched[1][b"RFC822.SIZE"] == len(message("one"))
        assert client.search(["FLAGGED"]) == [1]
        assert client.search("SUBJECT two") == [2]
        client.add_flags([1], [b"$Work"])
        assert client.get_flags([1])[1] == (b"\\Flagged", b"$Work")
        client.move([2], "Entwürfe/Ältere")
        client.idle()
        assert client.idle_check(timeout=0) in ([], [(b"OK", b"Still here")])
        client.idle_done()
        assert client.folder_status("Entwürfe/Ältere", ["MESSAGES"])[b"MESSAGES"] == 1
        client.delete_folder("Entwürfe/Ältere")
        assert client.capabilities()


@pytest.mark.parametrize("session", [through_imaplib, through_imapclient])
async def test_python_clients(rig: Rig, session: object) -> None:
    await asyncio.to_thread(session, rig.port)  # type: ignore[arg-type]


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


async def execute(*command: str, **environment: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, env=environment or None
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def messages_in(folder: Path) -> list[Path]:
    return sorted([*folder.glob("cur/*"), *folder.glob("new/*")])


@pytest.mark.interop
async def test_mbsync_both_ways(rig: Rig, tmp_path: Path) -> None:
    program = need("mbsync")
    await rig.deliver(*(message(str(number)) for number in range(20)))
    setup = await rig.login("INBOX")
    await setup.ok("CREATE Work/Entw&APw-rfe")
    await setup.ok("COPY 1:5 Work/Entw&APw-rfe")
    local = tmp_path / "local"
    local.mkdir()
    config = tmp_path / "mbsyncrc"
    config.write_text(
        f"""
IMAPAccount there
Host 127.0.0.1
Port {rig.port}
User {USER}
Pass {PASSWORD}
{"TLSType" if "TLSType" in (await execute(program, "--help")) else "SSLType"} None
AuthMechs LOGIN

IMAPStore far
Account there

MaildirStore near
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""
    )
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    await execute(program, "-c", str(config), "-a", **home)
    assert len(messages_in(local / "INBOX")) == 20
    one = messages_in(local / "INBOX")[0]
    one.rename(local / "INBOX" / "cur" / f"{one.name.partition(':')[0]}:2,FS")
    (local / "INBOX" / "new" / "1.2.local").write_bytes(message("from here").replace(b"\r\n", b"\n"))
    await setup.ok("STORE 20 +FLAGS (\\Deleted)")
    await setup.ok("EXPUNGE")
    await execute(program, "-c", str(config), "-a", **home)
    await setup.ok("NOOP")
    assert await setup.ok("SEARCH FLAGGED SEEN") != [b"* SEARCH"]
    assert await setup.ok('UID SEARCH SUBJECT "from here"') == [b"* SEARCH 21"]
    assert len(messages_in(local / "INBOX")) == 20


@pytest.mark.interop
async def test_curl(rig: Rig, tmp_path: Path) -> None:
    program = need("curl")
    upload = tmp_path / "upload.eml"
    upload.write_bytes(message("by curl"))
    url = f"imap://127.0.0.1:{rig.port}"
    login = ("-s", "-S", "--user", f"{USER}:{PASSWORD}")
    await execute(program, *login, "-T", str(upload), f"{url}/INBOX")
    assert (await execute(program, *login, f"{url}/INBOX;MAILINDEX=1")).encode() == message(
        "by curl"
    ).replace(b"\r\n", b"\n")
    assert "* LIST" in await execute(program, *login, url)
    assert "* SEARCH 1" in await execute(program, *login, f"{url}/INBOX?SUBJECT%20curl")
