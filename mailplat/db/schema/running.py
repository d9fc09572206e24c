"""The call of Alembic."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config

from mailplat.db.engine import Database

# Alembic hands the connection to env.py through a global: two upgrades at once would each get the other's.
_one_at_a_time = threading.Lock()


def config(history: str) -> Config:
    found = Config()
    here = Path(__file__).parent
    found.set_main_option("script_location", str(here))
    found.set_main_option("version_locations", str(here / history / "versions"))
    found.set_main_option("path_separator", "os")
    return found


def upgrade(database: Database, history: str) -> None:
    """To the newest revision, in one transaction."""
    alembic = config(history)
    with _one_at_a_time, database.write() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")
