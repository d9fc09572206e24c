"""What lies beside mail, read from a mount: as Dovecot and Pigeonhole wrote it, and as they should not have."""

import asyncio
import os
import smtplib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.errors import InvalidInput, MailplatError, Unavailable
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.rights import render
from mailplat.sieve import scripts, vacation
from mailplat.sieve.scripts import Scripts
from mailplat.sieve.vacation import answer_key
from migration.beside import answers
from migration.beside.findings import findings, members
from migration.errors import Halt, Misbehaviour
from migration.sources.maildir import acl, location
from migration.sources.maildir.home import HomeFolder
from tests.dovecot import Dovecot
from tests.migration.beside.house import KEEP, ODD, write_scripts
from tests.migration.house import House, client, letter
from tests.migration.way_back import Desk, move_here
from tests.until import until

VACATION = b'require ["vacation"];\r\nvacation :days 7 :handle "away" :addresses "%b" "I am away.";\r\n'


@pytest.mark.interop
@pytest.mark.timeout(120)
async def test_an_account_moves_from_a_mount(
    legacy: Dovecot,
    users: Callable[[], str],
    open_house: Callable[..., House],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    owner, bob = users(), users()
    with client(legacy, owner) as imap:
        imap.create_folder("Team")
        imap.append("Team", letter(1))
    (legacy.maildir(owner) / ".Team" / "dovecot-acl").write_text(f"user={bob} lrs\n")
    script = VACATION % owner.encode()
    await write_scripts(legacy, owner, {"away": script, "odd": ODD}, "away")
    with smtplib.LMTP("127.0.0.1", legacy.lmtp_port) as lmtp:
        lmtp.sendmail(
            "Sender@Far.test", [owner], f"From: s@far.test\r\nTo: {owner}\r\nSubject: hello\r\n\r\nhi\r\n"
        )
    memory = legacy.maildir(owner).parent / ".dovecot.lda-dupes"
    await until(memory.exists)
    house = open_house(
        owner,
        bob,
        managesieve="",
        maildir=f"{legacy.mail}/%d/%n/Maildir:HOME={legacy.mail}/%d/%n",
    )
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    await asyncio.to_thread(main, ["migrate", "backend", "check", "old", "--account", owner])
    assert f"{owner}: 2 scripts; active: away; 1 answers of a vacation" in capsys.readouterr().out
    await move_here(house)
    number = house.accounts[owner].id
    with house.platform.database.read() as connection:
        assert scripts.read(connection, number) == Scripts({"away": script, "odd": ODD}, "away")
        known = vacation.of(connection, number)
    assert known.keys() == {answer_key("sender@far.test", "away")}, "Pigeonhole's key is ours"
    week = 7 * 86_400
    assert abs(next(iter(known.values())) - house.platform.clock.now() - week) < 3600
    desk = Desk(house, owner)
    entries = desk.shard.acl(desk.home, desk.box("Team").id)
    assert {key: render(entry.rights) for key, entry in entries.items()} == {bob: "lrs"}
    certified = members(house.platform.database, number)
    assert certified["vacation_answers"] == {"source": "mount", "unread": "", "answers": 1, "others": 0}
    assert certified["shared"]["source"] == "mount"
    texts = [text for _, text in findings(house.platform.database, number, house.move(owner).moved)]
    assert texts == ["Sieve script 'away' is stored and does not run yet"]


def home(tmp_path: Path, more: str = "") -> HomeFolder:
    text = f"{tmp_path}/mnt/%n/Maildir:HOME={tmp_path}/mnt/%n{more}"
    return HomeFolder(location.parse(text), "ann@x.test", SourceLimits())


@pytest.fixture
def ann(tmp_path: Path) -> Path:
    folder = tmp_path / "mnt" / "ann"
    (folder / "sieve" / "tmp").mkdir(parents=True)
    return folder


def test_scripts_of_a_home(tmp_path: Path, ann: Path) -> None:
    (ann / "sieve" / "main.sieve").write_bytes(KEEP)
    (ann / "sieve" / "Grüße.sieve").write_bytes(ODD)
    (ann / "sieve" / "main.svbin").write_bytes(b"compiled")
    (ann / "sieve" / ".hidden.sieve").write_bytes(b"")
    assert home(tmp_path).scripts() == Scripts({"main": KEEP, "Grüße": ODD})
    # As the server knows the folder, which may be another path than ours.
    (ann / ".dovecot.sieve").symlink_to("/var/vmail/x.test/ann/sieve/main.sieve")
    assert home(tmp_path).scripts().active == "main"
    (ann / ".dovecot.sieve").unlink()
    (ann / ".dovecot.sieve").write_bytes(b"stop;")
    assert home(tmp_path).scripts() == Scripts(
        {"main": KEEP, "Grüße": ODD, "dovecot.orig": b"stop;"}, "dovecot.orig"
    )
    other = tmp_path / "scripts" / "ann"
    other.mkdir(parents=True)
    (other / "a.sieve").write_bytes(KEEP)
    (ann / ".dovecot.sieve").unlink()
    assert home(tmp_path, f":SIEVE={tmp_path}/scripts/%n").scripts() == Scripts({"a": KEEP})


@pytest.mark.parametrize("target", ["/etc/passwd", "sieve/gone.sieve", "other/main.sieve"])
def test_where_the_link_leads_is_not_followed(tmp_path: Path, ann: Path, target: str) -> None:
    (ann / "sieve" / "main.sieve").write_bytes(KEEP)
    (ann / ".dovecot.sieve").symlink_to(target)
    with pytest.raises(Unavailable, match="leads to"):
        home(tmp_path).scripts()


def test_nothing_outside_of_the_mount_is_read(tmp_path: Path, ann: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root")
    (ann / "sieve" / "main.sieve").symlink_to(secret)
    with pytest.raises(MailplatError):
        home(tmp_path).scripts()
    (ann / "sieve" / "main.sieve").unlink()
    os.mkfifo(ann / "sieve" / "pipe.sieve")
    with pytest.raises(Unavailable, match="plain file"):
        home(tmp_path).scripts()
    with pytest.raises(Halt):
        HomeFolder(location.parse(f"/mnt/%n/Maildir:HOME={tmp_path}/mnt/%n"), "..@x.test", SourceLimits())
    with pytest.raises(InvalidInput):
        location.parse("/mnt/%n/Maildir:HOME=~")


def test_a_home_that_is_not_there(tmp_path: Path, ann: Path) -> None:
    (ann / "sieve" / "tmp").rmdir()
    (ann / "sieve").rmdir()
    assert home(tmp_path).scripts() == Scripts()
    assert home(tmp_path).answers() is None
    ann.rmdir()
    (tmp_path / "mnt" / "bob").mkdir()
    with pytest.raises(Unavailable, match="HOME="):
        home(tmp_path).scripts()


def record(until_: int, key: bytes, user: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}III", until_, len(key), len(user)) + key + user


KEY = b"k" * 16


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_memory(order: str) -> None:
    octets = struct.pack(f"{order}I", 2)
    octets += record(100, KEY, b"Ann@X.test", order) + record(90, KEY, b"ann@x.test", order)
    octets += record(100, b"z" * 16, b"bob@x.test", order) + record(100, b"<1@x>-b@x", b"ann@x.test", order)
    found = answers.parse(octets, "ann@x.test")
    assert (found.answers, found.others) == ({KEY: 100.0}, 2)
    for end in range(5, len(octets)):
        try:
            assert answers.parse(octets[:end], "ann@x.test").others < 2
        except Misbehaviour:
            continue


@pytest.mark.parametrize(
    "octets",
    [
        b"\x02\0",
        b"\x01\0\0\0",
        b"\x03\0\0\0",
        struct.pack("<qII", 1_700_000_000, 16, 3) + KEY + b"ann",  # of Dovecot 1.0
        b"\x02\0\0\0" + record(1, b"", b"a"),
        b"\x02\0\0\0" + record(1, KEY, b""),
        b"\x02\0\0\0" + struct.pack("<III", 1, 4097, 1) + b"x" * 4098,
        b"\x02\0\0\0" + record(1, KEY, b"a") + b"\0",
    ],
)
def test_no_memory(octets: bytes) -> None:
    with pytest.raises(Misbehaviour, match="lda-dupes"):
        answers.parse(octets, "a")
    assert answers.parse(b"", "a").answers == {}


def test_lists_of_rights() -> None:
    text = (
        "# comment\n\nowner lrwstipekxa\nuser=bob@x.test lr\n-user=bob@x.test w\n"
        '"user=with blank" lrs\n"group=a \\"b\\"" l\ngroup-override=boss lr\nanyone l\nauthenticated\n'
        "user=carl :lookup read strange\nuser=dora lr :write-seen\n"
    )
    assert acl.parse(text.encode(), "here") == [
        ("owner", "lrwstipekxa"),
        ("bob@x.test", "lr"),
        ("-bob@x.test", "w"),
        ("with blank", "lrs"),
        ('$a "b"', "l"),
        ("!$boss", "lr"),
        ("anyone", "l"),
        ("authenticated", ""),
        ("carl", "lr?"),
        ("dora", "lrs"),
    ]
    for bad in ("bob lr", "user= lr", '"user=bob lr', "user=bob lr extra"):
        with pytest.raises(Misbehaviour):
            acl.parse(bad.encode(), "here")
