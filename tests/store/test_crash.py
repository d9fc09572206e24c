"""The crash table of the store, row by row: kill -9 after each named step, then a new process looks.

Held for every row: what was acknowledged is there exactly once, under the UID that was told; what was not is there
once or not at all, whole; an operation is there all or not at all; no UID is given twice; MODSEQ does not run back;
`verify` finds nothing once it has swept. MAILPLAT_CRASH_ALL=1 dies at every single occurrence of each step.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mailplat.core.errors import StaleEpoch
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.identity import Refused
from mailplat.store.repair import rebuild, verify
from mailplat.store.vault.finding import find
from tests.store.conftest import Rig, letter, new
from tests.store.crash import Deaf

ROOT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL

# What must be among the steps of a day: the crash table in mailplat/store/__init__.py.
TABLE = (
    "append.write", "append.fsync", "append.syncfs", "append.link", "append.rename", "append.dirsync",
    "append.commit", "index.apply", "index.commit", "copy.link", "copy.commit", "create.mkdir",
    "create.dirsync", "mailbox.write", "mailbox.fsync", "mailbox.rename", "mailbox.dirsync", "account.dirsync",
    "account.write", "account.fsync", "account.rename", "names.rename", "names.dirsync", "sweep.rename",
    "sweep.unlink", "vault.mkdir", "vaultbox.write", "vaultbox.fsync", "vaultbox.rename", "vaultbox.dirsync",
    "vault.rename", "vault.dirsync", "shardfile.write", "shardfile.fsync", "shardfile.rename",
    "shardfile.dirsync", "serial.commit", "owner.write", "owner.fsync", "owner.rename", "owner.dirsync",
    "tombstones.mark", "tombstones.remove", "rendered.make",
)  # fmt: skip

Mailbox = tuple[int, str]
Contents = dict[Mailbox, dict[int, str]]


def run_days(root: Path, armed: list[str]) -> list[dict[str, Any]]:
    root.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.store.crash", str(root)]
    lines = "".join(f"{step}\n" for step in armed)
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, cwd=ROOT, check=True, timeout=250
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def occurrences(steps: dict[str, int]) -> list[str]:
    """Each step at its first and its last occurrence; each at all of them with MAILPLAT_CRASH_ALL."""
    if os.environ.get("MAILPLAT_CRASH_ALL"):
        return [f"{name}:{n}" for name, count in steps.items() for n in range(1, count + 1)]
    return [f"{name}:{n}" for name, count in sorted(steps.items()) for n in sorted({1, count})]


@dataclass
class Expected:
    """What the ledger says must be there; `maybe`: the same if the operation in flight was done."""

    told: Contents = field(default_factory=dict)
    expunged: set[tuple[Mailbox, int]] = field(default_factory=set)
    ever: dict[Mailbox, int] = field(default_factory=dict)  # highest UID that anybody was told of
    gone: set[int] = field(default_factory=set)  # accounts removed
    vaulted: Counter[str] = field(
        default_factory=Counter
    )  # what was expunged, with its mailbox or account too

    def apply(self, entry: dict[str, Any], told: list[int]) -> None:
        account, arguments = entry["account"], entry["arguments"]
        match entry["verb"], arguments:
            case "append", (name, texts):
                for uid, text in zip(told, texts, strict=True):
                    self._put((account, name), uid, text)
            case "deliver", (name, text, accounts):
                for uid, each in zip(told, accounts, strict=True):
                    self._put((each, name), uid, text)
            case ("copy" | "move") as verb, (name, uid, target):
                text = self.told[account, name][uid]
                self._put((account, target), told[0], text)
                if verb == "move":
                    del self.told[account, name][uid]
                    self.expunged.add(((account, name), uid))
            case "replace", (name, uid, text, target):
                self.vaulted[self.told[account, name].pop(uid)] += 1
                self.expunged.add(((account, name), uid))
                self._put((account, target), told[0], text)
            case "expunge", (name, uids):
                for uid in uids:
                    self.vaulted[self.told[account, name].pop(uid)] += 1
                    self.expunged.add(((account, name), uid))
            case "delete", (name,):
                self.vaulted.update(self.told.pop((account, name)).values())
                del self.ever[account, name]
            case "remove", ():
                self.gone.add(account)
                for mailbox in [each for each in self.told if each[0] == account]:
                    self.vaulted.update(self.told.pop(mailbox).values())
                    del self.ever[mailbox]
            case "create", (name,):
                self.told.setdefault((account, name), {})

    def _put(self, mailbox: Mailbox, uid: int, text: str) -> None:
        assert uid > self.ever.get(mailbox, 0), "a UID was given twice"
        self.ever[mailbox] = uid
        self.told.setdefault(mailbox, {})[uid] = text

    def counts(self) -> dict[Mailbox, Counter[str]]:
        return {mailbox: Counter(found.values()) for mailbox, found in self.told.items() if found}


def read_ledger(path: Path) -> tuple[Expected, dict[str, Any] | None]:
    """What was acknowledged, and the operation that was in flight."""
    expected = Expected()
    pending = None
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        if "verb" in entry:
            pending = entry
        else:
            assert pending is not None
            expected.apply(pending, entry["told"])
            pending = None
    return expected, pending


def guesses(entry: dict[str, Any]) -> list[int]:
    """UIDs for an operation whose answer nobody heard: any new ones do, only contents are compared."""
    match entry["verb"], entry["arguments"]:
        case "append", (_, texts):
            return [10**9 + n for n in range(len(texts))]
        case "deliver", (_, _, accounts):
            return [10**9 for _ in accounts]
        case _:
            return [10**9]


def contents(shard: Shard, accounts: range = range(1, 4)) -> Contents:
    found: Contents = {}
    for account_id in accounts:
        home = Residence(account_id, "s1", 1)
        for mailbox in shard.mailboxes(home):
            octets = dict(shard.octets_many(home, mailbox.id, None))
            found[account_id, mailbox.name] = {uid: text.decode() for uid, text in octets.items()}
    return found


def check(folder: Path) -> None:
    expected, pending = read_ledger(folder / "ledger")
    maybe = None
    if pending is not None:
        maybe, _ = read_ledger(folder / "ledger")
        maybe.apply(pending, guesses(pending))
    shard = Shard("s1", folder / "s1", Deaf(), upkeep=False)
    try:
        found = contents(shard)
        counts = {mailbox: Counter(each.values()) for mailbox, each in found.items() if each}
        assert counts in (expected.counts(), maybe.counts() if maybe else None)
        if counts == expected.counts():
            for mailbox, told in expected.told.items():
                assert told == found.get(mailbox, {}), mailbox
        check_changes(shard, expected, found)
        check_subjects(shard, found)
        report = verify(shard, sweep_hours=0)
        assert report.problems == []
        again = verify(shard, sweep_hours=0)
        assert (again.swept, again.problems) == (0, [])
        after = {mailbox: Counter(each.values()) for mailbox, each in contents(shard).items() if each}
        assert after in (counts, maybe.counts() if maybe else None)  # what was in flight may be adopted
        assert list(shard.tmp.iterdir()) == []
        check_vault(shard, counts, expected, maybe)
    finally:
        shard.close()
    check_numbers(folder, expected)


def check_subjects(shard: Shard, found: Contents) -> None:
    """What is known of each message is of that one, whether it was rendered before the crash or is now."""
    for (account, name), texts in found.items():
        home = Residence(account, "s1", 1)
        rows = shard.rows(home, shard.mailbox(home, name).id, None, ("uid", "subject"))
        assert dict(rows) == {
            uid: text.split("\r\n", 1)[0].removeprefix("Subject: ") for uid, text in texts.items()
        }


def check_changes(shard: Shard, expected: Expected, found: Contents) -> None:
    """Whoever knew a message hears that it went, also where that is half forgotten."""
    for (account, name), uid in expected.expunged:
        home = Residence(account, "s1", 1)
        since = shard.changes(home, shard.mailbox(home, name).id, 1)
        if since.present is None:
            assert uid in since.expunged
        else:
            assert list(since.present) == sorted(found[account, name])


def check_vault(shard: Shard, counts: dict[Mailbox, Counter[str]], expected: Expected, maybe: Any) -> None:
    """Whatever was done away with, and only that, is in the vault: its file in place, under a row."""
    done = expected if counts == expected.counts() else maybe
    found = Counter(
        (shard.path / item.path).read_bytes().decode()
        for account_id in range(1, 4)
        for item in find(shard.site, [account_id])
    )
    assert found == done.vaulted
    assert len([each for each in (shard.path / "vault").rglob("m*/*") if ".json" not in each.name]) == sum(
        found.values()
    )


def check_numbers(folder: Path, expected: Expected) -> None:
    """The next message gets a UID that nobody was told of, also when the index is made again from the files."""
    for fresh in (False, True):
        rig = Rig(folder / "s1")
        if fresh:
            rig.store.close()
            for path in (folder / "s1").glob("index.db*"):
                path.unlink()
            rig.rebuild()
        for (account_id, name), highest in expected.ever.items():
            home = Residence(account_id, "s1", 1)
            if account_id not in expected.gone and any(
                each.name == name for each in rig.shard.mailboxes(home)
            ):
                before = rig.shard.mailbox(home, name)
                (done,) = rig.append(new(), mailbox=name, home=home)
                assert done.uid > highest
                assert done.modseq > before.modseq
        assert verify(rig.shard, sweep_hours=0).problems == []
        rig.close()


@pytest.mark.timeout(300)  # some 75 processes, each with many an fsync
def test_every_row_of_the_table(tmp_path: Path) -> None:
    (dry,) = run_days(tmp_path / "dry", [""])
    assert dry["status"] == 0
    assert set(TABLE) <= set(dry["steps"]), set(TABLE) - set(dry["steps"])
    check(tmp_path / "dry" / "0")
    armed = occurrences(dry["steps"])
    for number, result in enumerate(run_days(tmp_path / "days", armed)):
        assert result["status"] == KILLED, armed[number]
        try:
            check(tmp_path / "days" / str(number))
        except BaseException as error:
            error.add_note(f"died after {armed[number]}")
            raise


def test_a_removed_account_stays_closed(tmp_path: Path) -> None:
    (done,) = run_days(tmp_path, [""])
    assert done["status"] == 0
    shard = Shard("s1", tmp_path / "0" / "s1", Deaf(), upkeep=False)
    with pytest.raises(StaleEpoch):
        shard.grant(3, 1)
    shard.close()


def test_a_rebuild_that_is_killed_is_completed_by_the_next(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1")
    home = Residence(1, "s1", 1)
    rig.shard.create(home, "Box")
    asyncio.run(rig.store.append(home, "INBOX", [new(letter(str(n)), flags=("kw",)) for n in range(4)]))
    asyncio.run(rig.store.append(home, "Box", [new(letter(str(n))) for n in range(4)]))
    rig.shard.settle_names()
    wanted = contents(rig.shard)
    box = rig.shard.mailbox(home, "Box").id
    rig.close()
    for path in (tmp_path / "s1").glob("index.db*"):
        path.unlink()
    folder = next((tmp_path / "s1").glob(f"accounts/*/1/.m{box}"))
    path = next((folder / "cur").iterdir())
    os.rename(path, folder / "new" / path.name)  # by hand: rebuild has to put it back
    root = tmp_path / "runs"
    root.mkdir()

    def prepare(count: int) -> None:
        for number in range(count):
            shutil.copytree(tmp_path / "s1", root / str(number) / "s1")

    prepare(1)
    (dry,) = run_days(root, [""])
    assert dry["status"] == 0
    assert "rebuild.rename" in dry["steps"]
    shutil.rmtree(root)
    armed = occurrences(dry["steps"])
    prepare(len(armed))
    for number, result in enumerate(run_days(root, armed)):
        assert result["status"] == KILLED, armed[number]
        shard = Shard("s1", root / str(number) / "s1", Deaf(), upkeep=False, mend=True)
        rebuild(shard)
        assert contents(shard) == wanted, armed[number]
        assert verify(shard, sweep_hours=0).problems == [], armed[number]
        shard.close()


def test_an_adoption_that_is_killed_is_completed_by_the_next(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1")
    rig.append(new(letter("ours")))
    rig.shard.settle_names()
    folder = rig.shard.site.account_folder(1)
    rig.close()
    (folder / "new" / "whole").write_bytes(letter("whole"))
    (folder / "cur" / "bare:2,S").write_bytes(b"Subject: bare\n\ntext\n")
    root = tmp_path / "runs"
    shutil.copytree(tmp_path / "s1", root / "0" / "s1")
    (dry,) = run_days(root, [""])
    assert dry["status"] == 0
    armed = [each for each in occurrences(dry["steps"]) if each.startswith("foreign.")]
    assert {each.partition(":")[0].partition(".")[2] for each in armed} == {
        "write", "fsync", "rename", "link", "dirsync", "commit", "original", "kept",
    }  # fmt: skip
    shutil.rmtree(root)
    for number in range(len(armed)):
        shutil.copytree(tmp_path / "s1", root / str(number) / "s1")
    for number, result in enumerate(run_days(root, armed)):
        assert result["status"] == KILLED, armed[number]
        path = root / str(number) / "s1"
        with pytest.raises(Refused, match="shard rebuild"):
            Shard("s1", path, Deaf(), upkeep=False)
        shard = Shard("s1", path, Deaf(), upkeep=False, mend=True)
        rebuild(shard)
        found = Counter(contents(shard, range(1, 2))[1, "INBOX"].values())
        assert found.pop("Subject: bare\r\n\r\ntext\r\n") in (1, 2), armed[number]
        assert found == {letter("ours").decode(): 1, letter("whole").decode(): 1}, armed[number]
        assert next(path.glob("originals/1/*/*")).read_bytes() == b"Subject: bare\n\ntext\n"
        report = verify(shard, sweep_hours=0)
        assert report.problems == [], armed[number]
        shard.close()
