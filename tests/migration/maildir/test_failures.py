"""What a mounted Maildir can do to a migration, by the numbers of the research's list where it has one."""

import asyncio
import bz2
import contextlib
import gzip
import lzma
import os
import threading
from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput, NotFound, Unavailable
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.spool import MEMORY_LIMIT
from migration.errors import Halt, Misbehaviour
from migration.sources.imap_account import ImapAccount
from migration.sources.maildir import octets, reading, uidlist
from migration.sources.maildir.location import Template, parse
from tests.migration.house import client
from tests.migration.maildir.conftest import Legacy
from tests.migration.maildir.trees import dovecot, maildir, message, opened
from tests.until import until


def location(tmp: Path) -> str:
    return f"{tmp}/mail/%d/%n/Maildir"


async def test_source_lists_zero_messages(tmp_path: Path) -> None:
    """12: a disk that is not mounted, an account that is not there, a folder that cannot be read."""
    root = dovecot(tmp_path / "mail")
    async with opened(location(tmp_path), tmp_path) as source:
        assert (await source.survey()).statuses["INBOX"].messages == 3
        (root / "cur").rename(root / "cur.away")
        (root / "cur").symlink_to("cur")  # ELOOP, whoever asks
        with pytest.raises(Unavailable, match="cur"):
            await source.survey()
        (root / "cur").unlink()
        with pytest.raises(Unavailable, match="mounted"):
            await source.survey()
        (root / "cur.away").rename(root / "cur")
        (tmp_path / "mail").rename(tmp_path / "away")
        with pytest.raises(Unavailable, match="is it mounted"):
            await source.survey()
        (tmp_path / "mail").mkdir()
        with pytest.raises(Unavailable, match="empty; is it mounted"):
            await source.survey()
        (tmp_path / "mail" / "other.test").mkdir()
        with pytest.raises(Unavailable, match=r"Is .* mounted"):
            await source.survey()


async def test_a_list_of_uids_that_went_away(tmp_path: Path) -> None:
    root = dovecot(tmp_path / "mail")
    async with opened(location(tmp_path), tmp_path) as source:
        whole = (root / "dovecot-uidlist").read_bytes()
        (root / "dovecot-uidlist").write_bytes(whole[:-2])  # its last line is being written
        with pytest.raises(Unavailable, match=r"1 messages have no UID, such as 3\.file"):
            await source.survey()
        (root / "dovecot-uidlist").unlink()
        with pytest.raises(Unavailable, match="3 messages have no UID"):
            await source.survey()


async def test_a_list_of_uids_that_goes_back(tmp_path: Path) -> None:
    """Between the survey and a look, too: what it does not name any more is not gone."""
    root = dovecot(tmp_path / "mail")
    whole = (root / "dovecot-uidlist").read_bytes()
    async with opened(location(tmp_path), tmp_path) as source:
        inbox = (await source.survey()).mailboxes[0]
        (root / "dovecot-uidlist").write_bytes(b"3 V77 N3\n1 :1.file\n2 :2.file\n")
        with pytest.raises(Unavailable, match="an older state"):
            await source.examine(inbox)
        (root / "dovecot-uidlist").unlink()
        with pytest.raises(Unavailable, match="went away"):
            await source.examine(inbox)
        (root / "dovecot-uidlist").write_bytes(whole)
        assert (await source.examine(inbox)).uidvalidity == 77
        assert len(await source.scan()) == 3
        (root / "dovecot-uidlist").write_bytes(whole.replace(b"V77", b"V78"))
        with pytest.raises(Unavailable, match="UIDVALIDITY changed"):
            await source.scan()
        assert (await source.examine(inbox)).uidvalidity == 78  # the engine halts for it


async def test_rename_storm(tmp_path: Path) -> None:
    """readdir may leave out what is renamed meanwhile: a flag that changes must not look like a deletion."""
    count = 2000
    root = dovecot(tmp_path / "mail", count)
    stop = threading.Event()

    def storm() -> None:
        flags = ["S"] * (count + 1)
        while not stop.is_set():
            for uid in range(1, count + 1):
                other = "S" if flags[uid] == "FS" else "FS"
                os.rename(root / "cur" / f"{uid}.file:2,{flags[uid]}", root / "cur" / f"{uid}.file:2,{other}")
                flags[uid] = other

    thread, answers = threading.Thread(target=storm), 0
    async with opened(location(tmp_path), tmp_path) as source:
        inbox = (await source.survey()).mailboxes[0]
        thread.start()
        try:
            for _ in range(5):
                with contextlib.suppress(Unavailable):  # renamed faster than they can be listed
                    await source.examine(inbox)
                    assert len(await source.scan()) == count
                    assert len(await source.fetch(range(1, count + 1))) > 0
                    answers += 1
        finally:
            stop.set()
            thread.join()
        assert answers
        await source.examine(inbox)
        assert len(await source.fetch(range(1, count + 1))) == count


async def test_flags_changed_during_copy(tmp_path: Path) -> None:
    """15: a file that has another name by now is found again by the part that stays; one that is gone is left out."""
    root = dovecot(tmp_path / "mail")
    async with opened(location(tmp_path), tmp_path) as source:
        inbox = (await source.survey()).mailboxes[0]
        await source.examine(inbox)
        assert len(await source.scan()) == 3
        os.rename(root / "cur" / "1.file:2,S", root / "cur" / "1.file:2,FS")
        (root / "cur" / "2.file:2,S").unlink()
        assert [each.uid for each in await source.fetch([1, 2, 3])] == [1, 3]
        assert [each.uid for each in await source.scan(details=True, uids=[1, 2])] == [1]
        listed = [(each.uid, each.flags) for each in await source.scan()]
        assert listed == [(1, (r"\Flagged", r"\Seen")), (3, (r"\Seen",))]


async def test_a_batch_lists_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """24: in a mailbox of 700,000 a listing for each batch would be the end."""
    dovecot(tmp_path / "mail")
    async with opened(location(tmp_path), tmp_path) as source:
        await source.examine((await source.survey()).mailboxes[0])
        monkeypatch.delattr(reading, "files")
        assert len(await source.fetch([1, 2])) == len(await source.scan(details=True, uids=[1, 2])) == 2


async def test_links_lead_nowhere(tmp_path: Path) -> None:
    root = dovecot(tmp_path / "mail")
    (tmp_path / "secret").write_bytes(b"Subject: secret\n\n")
    (root / "cur" / "2.file:2,S").unlink()
    (root / "cur" / "2.file:2,S").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "cur" / "9.fifo")
    (root / "dovecot-uidlist").write_text("3 V77 N10\n1 :1.file\n2 :2.file\n3 :3.file\n9 :9.fifo\n")
    async with opened(location(tmp_path), tmp_path) as source:
        await source.examine((await source.survey()).mailboxes[0])
        assert [each.uid for each in await source.fetch([1, 2, 3, 9])] == [1, 3]
        maildir(tmp_path / "elsewhere")
        (root / ".Out").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(Halt, match="out of"):
            await source.survey()
        (root / ".Out").unlink()
        # Another disk of the same mount is where it belongs.
        inside = maildir(tmp_path / "mail" / "disk2" / "Sent")
        (inside / "dovecot-uidlist").write_text("1 5 1\n")
        (root / ".Sent").symlink_to(inside)
        assert (await source.survey()).statuses["Sent"].uidvalidity == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="gives links to others, as root")
@pytest.mark.parametrize("relative", [True, False])
async def test_a_users_own_link_leads_to_nobody_elses_mail(tmp_path: Path, relative: bool) -> None:
    """With a shell, or over FTP, any user can make one; the move reads as root."""
    root = dovecot(tmp_path / "mail")
    private = maildir(tmp_path / "mail/other.test/bob/Maildir/.Private")
    (private / "dovecot-uidlist").write_text("1 5 1\n")
    link = root / ".Stolen"
    link.symlink_to("../../../other.test/bob/Maildir/.Private" if relative else private)
    os.lchown(link, 1000, 1000)
    async with opened(location(tmp_path), tmp_path) as source:
        with pytest.raises(Halt, match="must belong to root"):
            await source.survey()
        os.lchown(link, 0, 0)  # an administrator's: bob shares it
        assert (await source.survey()).statuses["Stolen"].uidvalidity == 5
        link.unlink()
        (maildir(root.parent / "archive") / "dovecot-uidlist").write_text("1 6 1\n")
        link.symlink_to("../archive")
        os.lchown(link, 1000, 1000)
        assert (await source.survey()).statuses["Stolen"].uidvalidity == 6


async def test_links_that_are_no_mailboxes(tmp_path: Path) -> None:
    """Beside folders in folders lies what else a user has: Pigeonhole's link to the active script, for one."""
    root = dovecot(tmp_path / "mail")
    (maildir(root / "Sent") / "dovecot-uidlist").write_text("1 5 1\n")
    (tmp_path / "out.sieve").write_text("keep;")
    (root / "active.sieve").write_text("keep;")
    (root / ".dovecot.sieve").symlink_to("active.sieve")
    (root / "gone").symlink_to("nowhere")
    (root / "out").symlink_to(tmp_path / "out.sieve")
    async with opened(f"{location(tmp_path)}:LAYOUT=fs", tmp_path) as source:
        assert [each.name for each in (await source.survey()).mailboxes] == ["INBOX", "Sent"]
        (root / "out").unlink()
        (root / "out").symlink_to(maildir(tmp_path / "elsewhere"))
        with pytest.raises(Halt, match="out of"):
            await source.survey()


def test_names_of_accounts_never_lead_out() -> None:
    template = Template("/mnt/mail/%d/%1n/%1.2n/%n")
    assert template.path("Ada.L@Old.test") == Path("/mnt/mail/old.test/a/da/ada.l")
    assert template.mount == Path("/mnt/mail")
    for account in ("..@old.test", "a/b@old.test", "ada@..", "a\0b@old.test"):
        with pytest.raises(Halt, match="in a path"):
            template.path(account)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("~/Maildir", "absolute"),
        ("/mnt/mail/Maildir", "neither %u nor %n"),
        ("/mnt/mail/../%n", "without"),
        ("/%n", "a folder that all accounts are in"),
        ("/mnt/%h/%n", "the variables are"),
        ("/mnt/%n:LAYOUT=index", "LAYOUT"),
        ("/mnt/%n:DIRNAME=msgs", "DIRNAME"),
        ("courier:/mnt/%n:CONTROL=/x/%n", "CONTROL"),
        ("/mnt/%n:SUBSCRIPTIONS=../x", "not the name of a file"),
        ("/mnt/%n:TZ=Nowhere/Town", "no such time zone"),
        ("/mnt/%n" + "x" * 1000, "characters"),
    ],
)
def test_locations_that_cannot_be_read(text: str, why: str) -> None:
    """19: refused when the backend is added, not guessed."""
    with pytest.raises(InvalidInput, match=why):
        parse(text)


def body(folder: Path, content: bytes, every_lf: bool = False) -> tuple[bytes, bool]:
    """What is sent of a file; whether that is the file itself."""
    path = folder / "message"
    path.write_bytes(content)
    ends = octets.LineEnds(every_lf, b"\0" if every_lf else b"\x80")
    read = octets.read(os.open(path, os.O_RDONLY), len(content), path, ends, folder, 2**31)
    try:
        return read.octets(), not read.in_memory
    finally:
        read.close()


def test_nul_bare_lf_and_large_messages(tmp_path: Path) -> None:
    """20: in memory and from disk, CR and LF in different reads too."""
    chunk = MEMORY_LIMIT
    for pad in (0, chunk - 1, chunk, 3 * chunk):
        content = b"a\r" + b"x" * pad + b"\r\nb\nc\r\r\n\0\r"
        wanted = content.replace(b"b\nc", b"b\r\nc").replace(b"\0", b"\x80")
        assert body(tmp_path, content)[0] == wanted
        assert body(tmp_path, content, every_lf=True)[0] == content.replace(b"\n", b"\r\n")
    clean = b"line\r\n" * chunk
    assert body(tmp_path, clean) == (clean, True)


def test_compressed_files(tmp_path: Path) -> None:
    content = b"Subject: x\n\n" + b"line\n" * 100_000
    wanted = content.replace(b"\n", b"\r\n")
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        assert body(tmp_path, compress(content))[0] == wanted
        with pytest.raises(octets.Damaged):
            body(tmp_path, compress(content)[:-9])
    for head in (b"\x28\xb5\x2f\xfd", b"Dovecot-LZ4\r*\x9b\xc5", b"CRYPTED\x03\x07"):
        with pytest.raises(Misbehaviour, match="over IMAP"):
            body(tmp_path, head + b"...")


async def test_a_damaged_file_is_not_given(tmp_path: Path) -> None:
    """20: the engine asks for it again, and halts with its UID. A few octets that would become too many, too."""
    root = dovecot(tmp_path / "mail", 4)
    message(root, "4.file:2,S", gzip.compress(b"line\n" * 200_000))
    message(root, "2.file:2,S", gzip.compress(b"Subject: 2\n\n")[:-4])
    async with opened(location(tmp_path), tmp_path, limits=SourceLimits(message=1_000_000)) as source:
        await source.examine((await source.survey()).mailboxes[0])
        assert [each.uid for each in await source.fetch([1, 2, 3, 4])] == [1, 3]
        assert [each.uid for each in await source.scan(uids=[2, 4])] == [2, 4]


def test_lists_of_uids() -> None:
    said = uidlist.parse(b"3 V7 N3 G0\n1 :a\n2 Pold W12 O3 G9 Xy :b,S=10:2,S\n9 :c\n", "list")
    assert (said.uidvalidity, said.uidnext) == (7, 10)
    assert said.entries == {
        "a": uidlist.Entry(1),
        "b,S=10": uidlist.Entry(2, "old", 3, 12),
        "c": uidlist.Entry(9),
    }
    assert uidlist.parse(b"1 7 9\n1 a\n2 b\n3 a\n", "list").entries == {
        "b": uidlist.Entry(2),
        "a": uidlist.Entry(3),
    }
    lines = (b"2 :a\n2 :b\n", b"x :a\n", b"1\n", b"4294967296 :a\n")
    for broken in (b"", b"2 V7 N9\n", b"3 N9\n1 :a\n", *(b"3 V7 N9\n" + each for each in lines)):
        with pytest.raises(Misbehaviour):
            uidlist.parse(broken, "list")


async def test_uidls_and_their_order(tmp_path: Path) -> None:
    """21: P is a UIDL of its own, O a place; %f is the name of the file."""
    root = dovecot(tmp_path / "mail")
    (root / "dovecot-uidlist").write_text("3 V77 N10\n1 :1.file\n2 Pkept :2.file\n3 O1 :3.file\n")
    async with opened(location(tmp_path), tmp_path) as source:
        await source.examine((await source.survey()).mailboxes[0])
        assert list((await source.uidls("%v.%u")).items()) == [(3, "77.3"), (1, "77.1"), (2, "kept")]
        assert list((await source.uidls("%f")).values()) == ["3.file", "1.file", "kept"]
        assert list((await source.uidls("")).values())[1] == "000000010000004d"


@pytest.mark.interop
async def test_more_than_26_keywords(legacy: Legacy, tmp_path: Path) -> None:
    """17: the rest is in Dovecot's index only; the server is asked for the flags of such a mailbox."""
    user = legacy.user("crlf")
    with client(legacy.server, user) as imap:
        imap.create_folder("Labels")
        for number in range(31):
            imap.append("Labels", b"Subject: %d\r\n\r\n" % number, [f"Label-{number}"])
    async with legacy.source("crlf") as source:
        survey = await source.survey()
        await source.examine(next(each for each in survey.mailboxes if each.name == "Labels"))
        here = {each.uid: set(each.flags) for each in await source.scan(details=True)}
    assert here == {number + 1: {f"Label-{number}"} for number in range(31)}


@pytest.mark.interop
async def test_the_wrong_tree_is_noticed(legacy: Legacy) -> None:
    """9, 19: files are believed only where the server says the same."""
    mail = legacy.server.mail
    for layout, text, why in (
        ("plus", f"{mail}/%d/%n/Maildir:LAYOUT=fs", "is in the tree and not over IMAP"),
        ("plus", f"{mail}/%d/crlf%9.1n/Maildir", "UIDVALIDITY|is over IMAP|is in the tree"),  # another's
        ("fs", f"{mail}/%d/%n/Maildir:LAYOUT=fs", "have no UID"),  # without CONTROL=
    ):
        async with legacy.source(layout, maildir=text) as source:
            with pytest.raises(Unavailable, match=why):
                await source.survey()


@pytest.mark.interop
async def test_mail_gets_its_uid_from_the_server(legacy: Legacy, tmp_path: Path) -> None:
    """Ours would be another message's tomorrow."""
    legacy.deliver("plus", "1200000000.late.host", b"Subject: late\n\n")
    async with legacy.source("plus") as source:
        survey = await source.survey()
        status = await source.examine(survey.mailboxes[0])
        newest = (await source.fetch([(status.uidnext or 1) - 1]))[0].body.octets()
        assert newest == b"Subject: late\r\n\r\n"
        # What comes after the server was asked waits for the next round.
        legacy.deliver("plus", "1200000001.later.host", b"Subject: later\n\n")
        assert await source.examine(survey.mailboxes[0]) == status
        survey = await source.survey()
        assert survey.statuses["INBOX"].messages == status.messages + 1
    imap = await ImapAccount.open(legacy.backend("plus"), legacy.user("plus"), tmp_path)
    assert (await imap.survey()).statuses["INBOX"].uidnext == survey.statuses["INBOX"].uidnext
    await imap.close()


async def test_nothing_was_examined(tmp_path: Path) -> None:
    dovecot(tmp_path / "mail")
    async with opened(location(tmp_path), tmp_path) as source:
        with pytest.raises(NotFound):
            await source.scan()


async def test_whoever_leaves_leaves_no_file_open(tmp_path: Path) -> None:
    """A fence that ends while large messages are read: they are closed when the disk has given them."""
    root = dovecot(tmp_path / "mail", 1)
    message(root, "1.file:2,S", b"line\r\n" * MEMORY_LIMIT)
    async with opened(location(tmp_path), tmp_path) as source:
        await source.examine((await source.survey()).mailboxes[0])
        before = len(os.listdir("/proc/self/fd"))
        reading = [asyncio.create_task(source.fetch([1])) for _ in range(8)]
        await asyncio.sleep(0)
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await until(lambda: len(os.listdir("/proc/self/fd")) == before)
        (kept,) = await source.fetch([1])
        assert len(os.listdir("/proc/self/fd")) == before + 1
        kept.body.close()


async def test_nothing_is_written(tmp_path: Path) -> None:
    """Not even a time stamp, below the mount."""
    root = dovecot(tmp_path / "mail")
    maildir(root / ".Sent")
    (root / ".Sent" / "dovecot-uidlist").write_text("1 5 1\n")

    def picture() -> dict[Path, tuple[int, int, int]]:
        return {
            path: (status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            for path in (tmp_path / "mail").rglob("*")
            for status in (path.stat(),)
        }

    before = picture()
    async with opened(location(tmp_path), tmp_path) as source:
        for mailbox in (await source.survey()).mailboxes:
            await source.examine(mailbox)
            await source.scan(details=True)
        for each in await source.fetch([1, 2, 3]):
            each.body.close()
    assert picture() == before
