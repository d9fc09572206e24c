import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dovecot import Dovecot
from tests.migration.engines import Engines
from tests.migration.house import DOMAIN, MASTER, PASSWORD, House, backend_of

# Accounts on the module's Dovecot; every test takes its own.
USERS = [f"user{number:03}@{DOMAIN}" for number in range(300)]


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    # Not below pytest's own folder: another run of pytest shuts that for the user that Dovecot runs as.
    with tempfile.TemporaryDirectory(prefix="mailplat-migration-") as root:
        server = Dovecot(Path(root), [(user, PASSWORD) for user in USERS], MASTER)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def _free() -> list[str]:
    return list(USERS)


@pytest.fixture
def user(_free: list[str]) -> str:
    """An account at the source that nobody used before."""
    return _free.pop()


@pytest.fixture
def house(tmp_path: Path, dovecot: Dovecot) -> Iterator[Callable[..., House]]:
    """Opens houses; closes them."""
    opened: list[House] = []

    def open_house(*users: str, **backend: str) -> House:
        opened.append(House(tmp_path / "house", backend_of(dovecot, **backend), list(users)))
        return opened[-1]

    yield open_house
    for each in opened:
        each.close()


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    started = Engines()
    yield started
    started.close()
