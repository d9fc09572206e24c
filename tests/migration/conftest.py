from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, PASSWORD, House, backend_of

# Accounts on the module's Dovecot; every test takes its own.
USERS = [f"user{number:02}@{DOMAIN}" for number in range(40)]


@pytest.fixture(scope="session")
def dovecot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    server = Dovecot(tmp_path_factory.mktemp("dovecot"), [(user, PASSWORD) for user in USERS], MASTER)
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
