"""The crash table of migration/directory, row by row: a child is killed right after each step, the next takeover does
what is left."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from migration.directory.drift import folder_of
from migration.directory.gone import Removal
from migration.directory.report import GONE
from tests.migration.directory.house import House
from tests.migration.engines import Engines

# A takeover in a process of its own for each line "ROOT STEP", as engines.SERVER runs engines.
SERVER = """
import os, sys
from pathlib import Path
from mailplat.core import disk
from migration.directory.gone import Removal
from tests.migration.directory.house import House

for line in sys.stdin:
    root, step = line.split()
    if (child := os.fork()) == 0:
        os.environ[disk.DIE_AT] = step
        disk._armed.update(disk._plan())
        sys.stdout = sys.stderr
        here = House(Path(root))
        here.take_over(Path(root) / "old.toml", removal=Removal(True, 1000))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

COUNT = 600  # accounts and aliases: two batches each

# step -> accounts and aliases that are there then
STEPS = {
    "directory.staged": (0, 0),
    "directory.domains": (0, 0),
    "directory.accounts:1": (500, 0),
    "directory.accounts:2": (600, 0),
    "directory.aliases:1": (600, 500),
}


@pytest.fixture(scope="module")
def killed() -> Iterator[Engines]:
    started = Engines(SERVER)
    yield started
    started.close()


def sources(here: House, names: range) -> Path:
    here.write("users", "".join(f"u{n:04}@new.test:{{PLAIN}}p{n}\n" for n in names))
    here.write("virtual", "".join(f"a{n:04}@new.test u{n:04}@new.test\n" for n in names))
    return here.describe(
        'format = "dovecot-passwd-file"\nfile = "users"',
        'format = "postfix-virtual"\nfile = "virtual"',
        head="add_domains = true",
    )


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, object]:
    """What a takeover that nobody kills makes."""
    here = House(tmp_path_factory.mktemp("whole"))
    here.take_over(sources(here, range(COUNT)))
    content = here.content()
    here.close()
    return content


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(here: House, killed: Engines, wanted: tuple[object, object], step: str) -> None:
    path = sources(here, range(COUNT))
    assert killed.run(here.root, step) == -signal.SIGKILL
    people, lists = here.content()
    assert (len(people), len(lists)) == STEPS[step]
    audited = len(here.platform.audit.entries(action="directory", limit=10_000))
    assert audited == len(people) + len(lists) + (step != "directory.staged"), (
        "a line for each, in its transaction"
    )
    assert list(folder_of(here.platform).glob("staging.db")), "with hashes in it"
    report = here.take_over(path)
    assert here.content() == wanted
    assert report.figures["account as there"] == len(people)
    assert here.take_over(path).writes == 0


@pytest.mark.parametrize(("step", "left"), [("directory.marked:1", 100), ("directory.removed:1", 0)])
def test_killed_while_it_removes(here: House, killed: Engines, step: str, left: int) -> None:
    here.take_over(sources(here, range(COUNT)))
    path = sources(here, range(100, COUNT))
    here.write("virtual", "".join(f"a{n:04}@new.test u{n:04}@new.test\n" for n in range(COUNT)))
    assert killed.run(here.root, step) == -signal.SIGKILL
    here.take_over(path)
    assert len(here.told(GONE)) == left
    assert here.details(GONE).count("since 20") == left, "marked before"
    here.take_over(path, removal=Removal(True, 100))
    assert len(here.directory.accounts()) == COUNT - 100
    assert here.take_over(path, removal=Removal(True)).writes == 0
