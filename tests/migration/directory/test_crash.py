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

# step -> accounts and aliases that are there when the takeover has died right after it. Each goes on where the one
# before it died; of a batch that is ours already nothing is written, and so no step is passed.
STEPS = (
    ("directory.staged", 0, 0),
    ("directory.domains", 0, 0),
    ("directory.accounts", 500, 0),
    ("directory.accounts", 600, 0),
    ("directory.aliases", 600, 500),
    ("directory.aliases", 600, 600),
)


@pytest.fixture
def killed() -> Iterator[Engines]:
    started = Engines(SERVER)
    yield started
    started.close()


def sources(here: House, names: range) -> Path:
    here.write("users", "".join(f"u{n:04}@new.test:{{PLAIN}}p{n}\n" for n in names))
    here.write("virtual", "".join(f"a{n:04}@new.test u{n:04}@new.test\n" for n in range(COUNT)))
    return here.describe(
        'format = "dovecot-passwd-file"\nfile = "users"',
        'format = "postfix-virtual"\nfile = "virtual"',
        head="add_domains = true",
    )


def test_killed_after_each_step(here: House, killed: Engines, tmp_path: Path) -> None:
    path = sources(here, range(COUNT))
    for step, accounts, aliases in STEPS:
        assert killed.run(here.root, step) == -signal.SIGKILL
        people, lists = here.content()
        assert (len(people), len(lists)) == (accounts, aliases), step
        audited = len(here.platform.audit.entries(action="directory", limit=10_000))
        domains = len(here.directory.domains()) - 1
        assert audited == accounts + aliases + domains, "a line for each, in its transaction"
        assert list(folder_of(here.platform).glob("staging.db")), "with hashes in it"
    report = here.take_over(path)
    assert (report.writes, report.figures["account as there"]) == (0, COUNT)
    whole = House(tmp_path / "whole")
    whole.take_over(sources(whole, range(COUNT)))
    assert here.content() == whole.content(), "what one that nobody kills makes"
    whole.close()
    # A hundred are gone.
    sources(here, range(100, COUNT))
    for step, left, since in (("directory.marked", COUNT, 100), ("directory.removed", COUNT - 100, 0)):
        assert killed.run(here.root, step) == -signal.SIGKILL
        assert len(here.directory.accounts()) == left
        here.take_over(path)
        assert here.details(GONE).count("gone at the legacy platform since 20") == since
    assert here.take_over(path, removal=Removal(True)).writes == 0
