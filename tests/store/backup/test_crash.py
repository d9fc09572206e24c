"""The crash table of backups (mailplat/store/backup/__init__.py), row by row: kill -9 behind each named step, then a
new process looks, and does the same again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.core.errors import Unavailable
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.backup import Catalogue, Repository, back_up, prune, restore_shard, verify
from mailplat.store.repair import verify as verify_shard
from mailplat.store.vault.finding import find
from mailplat.store.vault.prune import purge
from tests.store.backup.conftest import Letters, letters
from tests.store.backup.crash import Deaf
from tests.store.conftest import HOME, Rig, letter, new
from tests.store.test_crash import KILLED, ROOT, occurrences

BOB = Residence(2, "s1", 1)

RUN = {
    "backup.link", "backup.dirsync", "backup.known", "backup.snapshot",
    "backup.directory", "backup.manifest", "backup.half", "backup.point", "backup.pointsync",
}  # fmt: skip
COPY = {"backup.copy", "backup.sync", "backup.rename"}
PRUNE = {"prune.point", "prune.dirsync", "prune.known", "prune.object"}
RESTORE = {
    "restore.index", "restore.file", "restore.sync", "restore.ready.write", "restore.ready.fsync",
    "restore.ready.rename", "restore.ready.dirsync", "restore.aside", "restore.swap", "restore.vault",
    "restore.dirsync", "restore.done",
}  # fmt: skip


# Where the last occurrence leaves something else than the first one does.
LAST_TOO = {
    "backup.dirsync",
    "prune.object",
    "restore.file",
    "restore.aside",
    "restore.swap",
    "restore.dirsync",
}


class Crew:
    """One process for all: that it imports the store takes longer than what it does."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.store.backup.crash"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def play(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        played: dict[str, Any] = json.loads(self.process.stdout.readline())
        return played

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


class Stage:
    """A folder that each verb is tried in: a shard `s1`, its `backup`, and another shard to be replaced, `target`."""

    def __init__(self, root: Path, crew: Crew) -> None:
        self.root = root
        self.crew = crew
        self.template = root / "template"
        rig = Rig(self.template / "s1")
        rig.shard.grant(2, 1)
        rig.append(*(new(letter(f"Number {n}"), internaldate=10.0**9) for n in range(3)))
        rig.append(new(letter("Flagged"), flags=("\\Flagged", "word")))
        rig.append(*(new(letter(f"For Bob {n}")) for n in range(2)), home=BOB)
        rig.shard.expunge_uids(BOB, rig.shard.mailbox(BOB, "INBOX").id, [(2, 2)])
        rig.shard.settle_names()
        rig.shard.sweep()
        self.letters = letters(rig.shard)
        rig.close()

    def prepare(self, verb: str, number: int) -> Path:
        folder = self.root / f"{verb}{number}"
        shutil.copytree(self.template, folder)
        return folder

    def walk(self, verb: str, table: set[str]) -> list[tuple[Path, str]]:
        """The verb in a folder of its own for each step, killed behind it."""
        dry = self.prepare(verb, 0)
        result = self.crew.play(f"{verb} {dry}")
        assert result["status"] == 0
        assert table <= set(result["steps"]), table - set(result["steps"])
        armed = [
            each
            for each in occurrences({name: result["steps"][name] for name in table})
            if each.partition(":")[0] in LAST_TOO or each.endswith(":1")
        ]
        walked = []
        for number, step in enumerate(armed, 1):
            folder = self.prepare(verb, number)
            assert self.crew.play(f"{verb} {folder} {step}")["status"] == KILLED, step
            walked.append((folder, step))
        return walked


@pytest.fixture
def stage(tmp_path: Path, crew: Crew) -> Stage:
    return Stage(tmp_path, crew)


def take(folder: Path) -> None:
    shard = Shard("s1", folder / "s1", Deaf(), upkeep=False)
    back_up(shard, Repository.create(folder / "backup", "s1"), [(1, "ann@example.test")], lambda: b"records")
    shard.close()


def whole(folder: Path) -> int:
    """How many points there are, each of them complete in every octet."""
    repository = Repository.open(folder / "backup")
    report = verify(repository, deep=True)
    assert report.problems == []
    return report.points


def look(path: Path, vault: list[int] | None = None) -> Letters:
    """What is in the shard; `vault`: UIDs in Bob's."""
    shard = Shard("s1", path, Deaf(), upkeep=False)
    found = letters(shard)
    assert verify_shard(shard, sweep_hours=0).problems == []
    if vault is not None:
        assert [item.uid for item in find(shard.site, [2])] == vault
    shard.close()
    return found


@pytest.mark.parametrize(("verb", "table"), [("run", RUN - COPY), ("copy", COPY)])
def test_a_run(stage: Stage, verb: str, table: set[str]) -> None:
    """By links, and where there are none."""
    take(stage.template)
    rig = Rig(stage.template / "s1")  # new since that point
    rig.append(*(new(letter(f"More {n}"), internaldate=10.0**9) for n in range(3)))
    stage.letters = letters(rig.shard)
    rig.close()
    for folder, step in stage.walk(verb, table):
        named = step.startswith(("backup.point:", "backup.pointsync"))
        assert whole(folder) == (2 if named else 1), step
        take(folder)
        assert list((folder / "backup" / "tmp").iterdir()) == [], step
        assert whole(folder) == (3 if named else 2), step
    repository = Repository.open(folder / "backup")  # of the last one
    with Catalogue(repository, repository.point()) as catalogue:
        restore_shard(folder / "again", catalogue, Deaf())
    assert look(folder / "again") == stage.letters, step


def test_a_prune(stage: Stage) -> None:
    take(stage.template)
    rig = Rig(stage.template / "s1")
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 3)])
    purge(rig.shard.site, 1)
    purge(rig.shard.site, 2)
    rig.shard.sweep()
    rig.close()
    take(stage.template)
    for folder, step in stage.walk("prune", PRUNE):
        assert whole(folder) == 1, step
        prune(Repository.open(folder / "backup"), 1)
        objects = [path for path in (folder / "backup" / "objects").rglob("*") if path.is_file()]
        assert len(objects) == 3, step
        assert list((folder / "backup" / "tmp").iterdir()) == [], step
        take(folder)
        assert whole(folder) == 2, step


def test_a_restore(stage: Stage) -> None:
    take(stage.template)
    rig = Rig(stage.template / "target")
    other = Residence(9, "s1", 1)
    rig.shard.grant(9, 1)
    rig.deliver([(other, "INBOX", 0)], new(letter("What was there before")))
    rig.shard.sweep()
    rig.close()
    there = look(stage.template / "target")
    replaced = False
    for folder, step in stage.walk("restore", RESTORE):
        target = folder / "target"
        if (target / "restoring.json").exists():
            with pytest.raises(Unavailable, match="half restored"):
                Shard("s1", target, Deaf(), upkeep=False)
        elif step != "restore.done:1":
            assert look(target) == there, step  # the shard is as it was
        repository = Repository.open(folder / "backup")
        with Catalogue(repository, repository.point()) as catalogue:
            report = restore_shard(target, catalogue, Deaf(), replace=True)
        replaced = replaced or report.finished
        assert look(target, [2]) == stage.letters, step
        assert not (target / "restoring").exists()
        kept = [path.read_bytes() for path in target.glob("replaced-*/accounts/*/9/**/*.M*")]
        assert kept == [letter("What was there before")], step  # set aside, never removed
        assert whole(folder) == 1, step
    assert replaced
