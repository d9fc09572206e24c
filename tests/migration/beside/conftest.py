"""A legacy platform that has what lies beside mail."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dovecot import Dovecot
from tests.migration.beside.house import USERS
from tests.migration.house import MASTER, PASSWORD, House, backend_of


@pytest.fixture(scope="session")
def legacy() -> Iterator[Dovecot]:
    with tempfile.TemporaryDirectory(prefix="mailplat-beside-") as root:
        server = Dovecot(Path(root), [(user, PASSWORD) for user in USERS], MASTER, beside=True)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def _left() -> list[str]:
    return list(USERS)


@pytest.fixture
def users(_left: list[str]) -> Callable[[], str]:
    """Each call: an account at the source that nobody used before."""
    return _left.pop


@pytest.fixture
def open_house(tmp_path: Path, legacy: Dovecot) -> Iterator[Callable[..., House]]:
    opened: list[House] = []

    def open_one(*users: str, **backend: str) -> House:
        settings = {
            "managesieve": f"127.0.0.1:{legacy.managesieve_port}",
            "managesieve_tls": "none",
            **backend,
        }
        opened.append(House(tmp_path / "house", backend_of(legacy, **settings), list(users)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
