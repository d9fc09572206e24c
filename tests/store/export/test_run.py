"""The files of an export, and what it does while the shard changes."""

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.core.errors import DiskFull, InvalidInput, Unavailable
from mailplat.store import export
from mailplat.store.export import Owner
from mailplat.store.export.files import Files
from mailplat.store.export.picture import Message
from mailplat.store.repair import verify
from tests.store.conftest import HOME, Rig, letter, new
from tests.store.export.conftest import ANN, Exit


def test_a_mailbox_as_a_maildir(rig: Rig, exit_: Exit) -> None:
    rig.append(new(letter("One"), flags=("\\Seen", "\\Flagged", "first"), internaldate=10.0**9, uid=7))
    rig.append(new(letter("Two"), flags=("second",), uidl="legacy-UIDL%1:2", internaldate=-86_400.0, uid=9))
    rig.shard.settle_names()
    octets = {uid: rig.shard.octets(HOME, rig.inbox.id, uid) for uid in (7, 9)}
    report = exit_.take()
    assert (report.messages, report.linked, report.copied, report.gone) == (2, 2, 0, 0)
    assert report.octets == sum(len(each or b"") for each in octets.values())
    head = (exit_.maildir / "dovecot-uidlist").read_text().splitlines()[0].split()
    assert head[:3] == ["3", f"V{rig.inbox.uidvalidity}", "N10"]
    lines = exit_.uidlist()
    assert list(lines) == [7, 9]
    assert lines[9].startswith("Plegacy-UIDL%1:2 :")
    files = {path.name.partition(":")[0]: path for path in (exit_.maildir / "cur").iterdir()}
    one, two = (files[lines[uid].rpartition(":")[2]] for uid in (7, 9))
    assert one.name.endswith(f",S={len(octets[7] or b'')}:2,FSa")
    assert two.name.endswith(f",S={len(octets[9] or b'')}:2,b")
    assert (one.read_bytes(), two.read_bytes()) == (octets[7], octets[9])
    assert (one.stat().st_mtime, two.stat().st_mtime) == (10.0**9, -86_400.0)
    assert (exit_.maildir / "dovecot-keywords").read_text() == "0 first\n1 second\n"
    number = f"{rig.inbox.uidvalidity:08x}"
    assert (exit_.maildir / "dovecot-uidvalidity").read_text() == number
    assert (exit_.maildir / f"dovecot-uidvalidity.{number}").exists()


def test_nothing_is_for_others_to_read(rig: Rig, exit_: Exit) -> None:
    rig.fill(2)
    exit_.take(link=False)
    for path in (exit_.folder, *exit_.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_link_shares_the_file_and_a_copy_does_not(rig: Rig, exit_: Exit, tmp_path: Path) -> None:
    rig.fill(3)
    exit_.take()
    ours = {path.stat().st_ino for path in rig.files()}
    assert {path.stat().st_ino for path in (exit_.maildir / "cur").iterdir()} == ours
    copied = Exit(rig, tmp_path / "copied")
    report = copied.take(link=False)
    assert (report.linked, report.copied) == (0, 3)
    assert not {path.stat().st_ino for path in (copied.maildir / "cur").iterdir()} & ours


def test_another_file_system_gets_copies(rig: Rig, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not os.access(elsewhere, os.W_OK) or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system that we may write to")
    rig.append(new(letter("Old"), internaldate=10.0**9))
    rig.append(new(letter("Large", "x\r\n" * 1_000_000)))
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        there = Exit(rig, Path(folder) / "export")
        report = there.take()
        assert (report.linked, report.copied) == (0, 2)
        copies = sorted((there.maildir / "cur").iterdir(), key=lambda path: path.stat().st_size)
        assert [path.read_bytes() for path in copies] == [
            rig.shard.octets(HOME, rig.inbox.id, uid) for uid in (1, 2)
        ]
        assert copies[0].stat().st_mtime == 10.0**9


@pytest.mark.parametrize(
    "text",
    ["a\r\nb\r\n", "a\nb\n", "a\r\nb\nc\n\r\n\r", "\n" * 3, "x" * ((1 << 20) - 1) + "\r\n\n" + "y" * 10],
)
def test_virtual_size_counts_every_line_with_crlf(rig: Rig, exit_: Exit, text: str) -> None:
    octets = text.encode()
    rig.append(new(octets))
    exit_.take(link=False)
    wanted = len(octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert exit_.uidlist()[1].startswith(f"W{wanted} :")


def test_a_file_whose_date_is_not_the_internaldate_is_copied(rig: Rig, exit_: Exit) -> None:
    rig.append(new(internaldate=10.0**9), new(internaldate=10.0**9 + 1))
    touched = rig.files()[0]
    os.utime(touched, (5, 5))
    report = exit_.take()
    assert (report.linked, report.copied) == (1, 1)
    dates = sorted(path.stat().st_mtime for path in (exit_.maildir / "cur").iterdir())
    assert dates == [10.0**9, 10.0**9 + 1]
    assert touched.stat().st_mtime == 5


def test_names_of_another_program_do_not_reach_the_tree(rig: Rig, exit_: Exit) -> None:
    rig.append(new(letter("By hand"), flags=("\\Seen",)))
    (file,) = rig.files()
    name = "by\nhand 1 :2,S"  # as an earlier release adopted it
    file.rename(rig.shard.site.account_folder(1) / "cur" / name)
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql("UPDATE message SET name = ?", (name,))
    exit_.take()
    (line,) = exit_.uidlist().values()
    (path,) = (exit_.maildir / "cur").iterdir()
    assert path.name == f"{line.removeprefix(':')}:2,S"
    assert path.name.partition(",")[0].endswith(f".U{rig.inbox.uidnext - 1}.export")


def test_keywords_beyond_26_are_named_with_their_messages(rig: Rig, exit_: Exit) -> None:
    names = [f"k{number:02}" for number in range(30)]
    rig.append(*(new(letter(name), flags=(name,)) for name in names))
    rig.append(*(new(letter(name), flags=(name, "\\Seen")) for name in names[-3:]))  # these are used twice
    report = exit_.take()
    kept = [line.split()[1] for line in (exit_.maildir / "dovecot-keywords").read_text().splitlines()]
    assert kept == [*names[-3:], *names[:23]]
    dropped = [note.text for note in report.remarks if note.kind == "keyword"]
    assert dropped == [
        f"{name} is left out of 1 messages, UIDs {uid}"
        for name, uid in zip(names[23:27], (24, 25, 26, 27), strict=True)
    ]
    files = {
        path.name.partition(":2,")[0]: path.name.partition(":2,")[2]
        for path in (exit_.maildir / "cur").iterdir()
    }
    assert files[exit_.uidlist()[33][1:]] == "Sc"
    assert files[exit_.uidlist()[24][1:]] == ""
    assert [note["text"] for note in exit_.manifest["remarks"] if note["kind"] == "keyword"] == dropped


def test_a_uidl_that_is_none_is_left_out(rig: Rig, exit_: Exit) -> None:
    rig.append(new(uidl="good"), new(uidl="bad"))
    with rig.shard.site.database.write() as connection:  # as a rebuild may find it in a file's name
        connection.exec_driver_sql("UPDATE message SET uidl = 'b d\n3 :x' WHERE uid = 2")
    report = exit_.take()
    assert [line.startswith("Pgood") for line in exit_.uidlist().values()] == [True, False]
    assert [(note.kind, note.text[:5]) for note in report.remarks] == [("uidl", "UID 2")]


def test_what_changes_meanwhile_leaves_one_moment(
    rig: Rig, exit_: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fill(3)
    rig.shard.create(HOME, "Box")
    rig.fill(2, mailbox="Box")
    rig.shard.create(HOME, "Target")
    opened = Files._open
    done: list[int] = []

    def late(self: Files, *arguments: object) -> object:
        """As the second file is reached, much else changes."""
        done.append(1)
        if len(done) == 2:
            rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 2)])
            rig.shard.move(HOME, rig.inbox.id, [(3, 3)], "Target")
            rig.append(new(letter("New"), flags=("word",)))
            rig.shard.delete(HOME, "Box")
            rig.shard.sweep()
        return opened(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Files, "_open", late)
    report = exit_.take()
    assert (report.messages, report.linked, report.gone, report.problems) == (2, 2, 0, [])
    assert list(exit_.uidlist()) == [4]  # not the first one, which was held already
    assert list(exit_.uidlist(".Target")) == [1]  # what was moved is in one mailbox
    assert not (exit_.maildir / ".Box").exists()
    assert not (exit_.folder / ".held").exists()
    (path,) = (exit_.maildir / "cur").iterdir()
    assert path.name.endswith(":2,a")


def test_an_account_that_never_holds_still(rig: Rig, exit_: Exit, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.fill(2)
    opened = Files._open

    def late(self: Files, *arguments: object) -> object:
        """The newest message is expunged as it is reached, and another one comes."""
        message = arguments[-1]
        assert isinstance(message, Message)
        if message.uid == rig.inbox.uidnext - 1:
            rig.fill(1)
            rig.shard.expunge_uids(HOME, rig.inbox.id, [(message.uid, message.uid)])
            rig.shard.sweep()
        return opened(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Files, "_open", late)
    report = exit_.take()
    assert (report.messages, report.gone, report.problems) == (1, 1, [])
    assert list(exit_.uidlist()) == [1]
    assert exit_.manifest["totals"]["gone"] == 1


def test_an_account_that_is_removed_meanwhile(rig: Rig, exit_: Exit, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.fill(3)
    opened = Files._open

    def late(self: Files, *arguments: object) -> object:
        rig.shard.remove_account(HOME)
        rig.shard.sweep()
        monkeypatch.undo()
        return opened(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Files, "_open", late)
    report = exit_.take()
    assert (report.accounts, report.messages, report.gone) == (0, 0, 1)
    assert sorted(path.name for path in exit_.folder.iterdir()) == [
        "dovecot.conf.example",
        "manifest.json",
        "passwd",
    ]


def test_a_name_that_changes_meanwhile_is_found(
    rig: Rig, exit_: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fill(3)
    hold = Files._hold

    def late(self: Files, *arguments: object) -> object:
        rig.shard.store_flags(HOME, rig.inbox.id, None, "add", ["\\Seen"])
        rig.shard.settle_names()
        return hold(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Files, "_hold", late)
    report = exit_.take()
    assert (report.messages, report.gone, report.problems) == (3, 0, [])
    assert all(path.name.endswith(":2,") for path in (exit_.maildir / "cur").iterdir())  # as the moment was


def test_a_file_that_is_missing_or_cut_is_a_problem(rig: Rig, exit_: Exit) -> None:
    rig.fill(3)
    first, second, _ = sorted(
        rig.files(), key=lambda path: int(path.name.partition("Q")[2].partition(",")[0])
    )
    first.unlink()
    os.truncate(second, 10)
    report = exit_.take()
    assert [note.kind for note in report.problems] == ["missing", "size"]
    assert "UID 1" in report.problems[0].text
    assert list(exit_.uidlist()) == [2, 3]
    assert ",S=10" in exit_.uidlist()[2]
    assert report.messages == 2
    assert [note["mailbox"] for note in exit_.manifest["problems"]] == ["INBOX", "INBOX"]


def test_a_link_in_place_of_a_file_is_not_followed(rig: Rig, exit_: Exit, tmp_path: Path) -> None:
    rig.fill(1)
    (path,) = rig.files()
    path.unlink()
    (tmp_path / "secret").write_text("not his")
    path.symlink_to(tmp_path / "secret")
    report = exit_.take()
    assert [note.kind for note in report.problems] == ["missing"]
    assert list((exit_.maildir / "cur").iterdir()) == []


def test_the_shard_is_as_it_was(rig: Rig, exit_: Exit) -> None:
    rig.fill(3)
    rig.shard.settle_names()
    before = {path: (path.stat().st_mtime, path.read_bytes()) for path in rig.files()}
    exit_.take()
    assert {path: (path.stat().st_mtime, path.read_bytes()) for path in rig.files()} == before
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_only_an_empty_folder_outside_the_shard(rig: Rig, exit_: Exit) -> None:
    exit_.folder.mkdir()
    exit_.take()
    with pytest.raises(InvalidInput, match="not empty"):
        exit_.take()
    for folder in (rig.path / "export", rig.path.parent, rig.path):
        with pytest.raises(InvalidInput, match="inside the other"):
            export.export(rig.shard, folder, "dovecot", [ANN])
    with pytest.raises(InvalidInput, match="known: dovecot"):
        export.export(rig.shard, exit_.folder.with_name("other"), "mbox", [ANN])
    assert not exit_.folder.with_name("other").exists()
    with pytest.raises(InvalidInput, match="configuration"):
        export.export(rig.shard, exit_.folder.with_name("100%"), "dovecot", [ANN])


def test_on_a_full_disk_it_stays_marked(rig: Rig, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small tmpfs")
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mount.stderr.strip()}")
    try:
        rig.append(new(letter("Large", "x\r\n" * 200_000)))
        there = Exit(rig, small / "export")
        with pytest.raises(DiskFull):
            there.take()
        assert (there.folder / "INCOMPLETE").exists()
        assert not (there.folder / "manifest.json").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_folder_that_is_taken_away_meanwhile(
    rig: Rig, exit_: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fill(1)
    hold = Files._hold

    def late(self: Files, *arguments: object) -> object:
        shutil.rmtree(exit_.folder)
        return hold(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Files, "_hold", late)
    with pytest.raises(Unavailable):
        exit_.take()


def test_accounts_that_nobody_knows_or_that_are_gone(rig: Rig, exit_: Exit) -> None:
    rig.fill(1)
    report = exit_.take(Owner(1), Owner(2, Address("bob", "example.test")))
    assert (report.accounts, report.gone) == (1, 1)
    assert (exit_.folder / "account-1" / "dovecot-uidlist").exists()
    assert not (exit_.folder / "example.test").exists()
    assert (exit_.folder / "passwd").read_bytes() == b""
    assert [note.kind for note in report.remarks] == ["directory"]


def test_two_accounts_never_share_a_folder(rig: Rig, exit_: Exit) -> None:
    locals_ = ("a.b", ".a", "..", "a/b", "a=2Fb", "A+b", "-x", "ä", "a b", "%41", "cur")
    owners = []
    for number, local in enumerate(locals_, 1):
        rig.shard.grant(number, 1)
        owners.append(Owner(number, Address(local, "example.test"), "{PLAIN}x"))
    exit_.take(*owners)
    paths = [entry["path"] for entry in exit_.manifest["accounts"]]
    assert len(set(paths)) == len(locals_)
    for path in paths:
        assert (exit_.folder / path).resolve().parent == exit_.folder / "example.test"
    passwd = [line.split(":") for line in (exit_.folder / "passwd").read_text().splitlines()]
    homes = {fields[0]: fields[5] for fields in passwd}
    assert homes["a.b@example.test"] == homes["cur@example.test"] == ""  # mail_home makes it
    assert homes["a/b@example.test"] == str(exit_.folder / "example.test" / "a=2Fb")
    assert homes["a=2fb@example.test"] == str(exit_.folder / "example.test" / "a=3D2fb")
