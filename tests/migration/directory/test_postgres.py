"""The same where our own directory is in PostgreSQL."""

from pathlib import Path

from migration.directory.gone import Removal
from migration.directory.report import CHANGED, GONE, REMOVED
from migration.ledger import PLANNED, RUNNING, Ledger
from tests.migration.directory.house import DOMAIN, OTHER, SECRET, House
from tests.postgres import create_database, postgres

__all__ = ["postgres"]

# Orders of text differ from one database to the next.
NAMES = [f"{letter}{mark}{number:03}" for letter in "aZä" for mark in ("", "-", "_") for number in range(60)]


def test_taken_over_changed_and_removed(tmp_path: Path, postgres: str) -> None:
    here = House(tmp_path / "house", url=create_database(postgres))
    here.write("users", "".join(f"{name}@{DOMAIN}:{SECRET}\n" for name in NAMES))
    here.write("virtual", "".join(f"list-{name}@{DOMAIN} {name}@{DOMAIN}\n" for name in NAMES))
    path = here.describe(
        'format = "dovecot-passwd-file"\nfile = "users"', 'format = "postfix-virtual"\nfile = "virtual"'
    )
    report = here.take_over(path)
    assert report.figures == {"account added": len(NAMES), "alias added": len(NAMES)}
    assert here.take_over(path).writes == 0
    ledger = Ledger(here.platform.database, here.platform.clock)
    ledger.plan(DOMAIN, ["s1"])
    ledger.set_plan(DOMAIN, RUNNING, expected={PLANNED})
    left = NAMES[:-10]
    here.write("users", "".join(f"{name}@{DOMAIN}:{OTHER}\n" for name in left))
    here.take_over(path)
    assert len([move for move in ledger.moves(DOMAIN) if move.halted]) == 10
    here.write("users", "".join(f"{name}@{DOMAIN}:{SECRET}\n" for name in left))
    report = here.take_over(path, removal=Removal(True, 10))
    assert [len(here.told(change)) for change in (CHANGED, GONE, REMOVED)] == [len(left), 10, 10]
    assert {each.address.local for each in here.directory.accounts()} == set(left)
    assert here.take_over(path, removal=Removal(True)).writes == 0
    here.close()
