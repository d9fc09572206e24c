"""Databases of other platforms: PostfixAdmin's schema, queries of one's own; only read."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.db.engine import Database
from migration.directory import formats, sizes
from migration.directory.entries import AccountEntry, DomainAliasEntry, DomainEntry, Entry
from tests.migration.directory.reading import DOMAIN, lists, remarks
from tests.postgres import create_database, postgres

__all__ = ["postgres"]

# PostfixAdmin 3.3, the columns that matter and some that do not; {flag} is its type of a yes or no.
SCHEMA = """
CREATE TABLE domain (domain varchar(255) PRIMARY KEY, description varchar(255), aliases int, mailboxes int,
    maxquota bigint, quota bigint, transport varchar(255), backupmx {flag}, active {flag});
CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password varchar(255), name varchar(255),
    maildir varchar(255), quota bigint, local_part varchar(255), domain varchar(255), active {flag});
CREATE TABLE alias (address varchar(255) PRIMARY KEY, goto text, domain varchar(255), active {flag});
CREATE TABLE alias_domain (alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255), active {flag});
INSERT INTO domain VALUES ('ALL', '', 0, 0, 0, 0, '', {no}, {yes});
INSERT INTO domain VALUES ('moving.test', 'Moving', 0, 0, 0, 2048, 'virtual', {no}, {yes});
INSERT INTO domain VALUES ('backup.test', '', 0, 0, 0, 0, 'relay', {yes}, {yes});
INSERT INTO domain VALUES ('off.test', '', 0, 0, 0, 0, 'virtual', {no}, {no});
INSERT INTO mailbox VALUES ('ada@moving.test', '$1$hush$5v8Z7xqyZKqbSl2nsQ1gP1', 'Ada', 'm/ada/', 1073741824, 'ada',
    'moving.test', {yes});
INSERT INTO mailbox VALUES ('bob@moving.test', '{{SHA512-CRYPT}}$6$hush$x', 'Bob', 'm/bob/', -1, 'bob', 'moving.test',
    {no});
INSERT INTO alias VALUES ('ada@moving.test', 'ada@moving.test', 'moving.test', {yes});
INSERT INTO alias VALUES ('@moving.test', 'ada@moving.test,bob@moving.test', 'moving.test', {yes});
INSERT INTO alias VALUES ('quiet@moving.test', 'ada@moving.test', 'moving.test', {no});
INSERT INTO alias_domain VALUES ('twin.test', 'moving.test', {yes});
"""


def read(folder: Path, **options: object) -> list[Entry]:
    found = formats.find("sql")
    return list(found.read(found.options.model_validate({"format": "sql", **options}), folder))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        with sqlite3.connect(tmp_path / "postfixadmin.db") as made:
            made.executescript(SCHEMA.format(flag="tinyint", yes="1", no="0"))
        made.close()
        return "sqlite:///postfixadmin.db"
    found = create_database(request.getfixturevalue("postgres"))
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(SCHEMA.format(flag="boolean", yes="true", no="false").encode())
    return found


def test_postfixadmin(tmp_path: Path, url: str) -> None:
    (tmp_path / "url").write_text(f"{url}\n")
    entries = read(tmp_path, url_file="url", preset="postfixadmin")
    assert [(each.name, each.quota) for each in entries if isinstance(each, DomainEntry)] == [
        (DOMAIN, 2 << 30)
    ]
    people = [each for each in entries if isinstance(each, AccountEntry)]
    assert [(str(each.address), each.quota, each.active) for each in people] == [
        ("ada@moving.test", 1 << 30, True),
        ("bob@moving.test", 0, False),
    ]
    assert [each.password_hash for each in people] == [
        "{CRYPT}$1$hush$5v8Z7xqyZKqbSl2nsQ1gP1",
        "{SHA512-CRYPT}$6$hush$x",
    ]
    assert lists(entries) == {
        "ada@moving.test": ["ada@moving.test"],
        "@moving.test": ["ada@moving.test", "bob@moving.test"],
    }
    assert [each.name for each in entries if isinstance(each, DomainAliasEntry)] == ["twin.test"]
    assert remarks(entries) == ""


def test_queries_of_ones_own(tmp_path: Path, url: str) -> None:
    query = "SELECT username AS address, '{PLAIN}hush' AS password, 'x' || quota AS quota FROM mailbox"
    entries = read(tmp_path, url=url, accounts=query + " WHERE active")
    [ada] = [each for each in entries if isinstance(each, AccountEntry)]
    assert (str(ada.address), ada.password_hash, ada.quota) == ("ada@moving.test", "{PLAIN}hush", None)
    assert "accounts, row 1: ada@moving.test: 'x1073741824' is no size" in remarks(entries)
    with pytest.raises(InvalidInput, match="query aliases has no column targets"):
        read(tmp_path, url=url, aliases="SELECT address AS source, goto FROM alias")
    with pytest.raises((InvalidInput, Unavailable), match="nowhere"):
        read(tmp_path, url=url, accounts="SELECT * FROM nowhere")


def test_it_is_only_read(tmp_path: Path, url: str) -> None:
    """Not even by a query that would write; of an SQLite file not the journal's kind either."""
    here = url.startswith("sqlite")
    writing = (
        "DELETE FROM mailbox RETURNING username AS address" if here else "SELECT lo_create(0) AS address"
    )
    with pytest.raises((InvalidInput, Unavailable), match=r"read-?\s?only"):
        read(tmp_path, url=url, accounts=writing)
    read(tmp_path, url=url, preset="postfixadmin")
    if here:
        with sqlite3.connect(tmp_path / "postfixadmin.db") as kept:
            assert kept.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert kept.execute("SELECT count(*) FROM mailbox").fetchone() == (2,)
        kept.close()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["postfixadmin.db"]


def test_a_foreign_database_takes_no_writes(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a?b.db") as made:
        made.execute("CREATE TABLE x (y int)")
    made.close()
    database = Database(sa.URL.create("sqlite", database=str(tmp_path / "a?b.db")), foreign=True)
    with pytest.raises(Unavailable, match="readonly"), database.write() as connection:
        connection.exec_driver_sql("INSERT INTO x VALUES (1)")
    database.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"preset": "postfixadmin"}, "url or url_file"),
        ({"preset": "vmail", "url": "sqlite:///x"}, "'vmail' is no preset; known: postfixadmin"),
        ({"url": "sqlite:///x"}, "needs a preset"),
        ({"preset": "postfixadmin", "url": "mysql://u:hush@h/n"}, "MySQL and MariaDB are not read"),
        ({"preset": "postfixadmin", "url": "oracle://u:hush@h/n"}, "use sqlite"),
        ({"preset": "postfixadmin", "url": "sqlite:///nowhere.db?password=hush"}, "unable to open"),
        ({"preset": "postfixadmin", "url_file": "nowhere"}, "nowhere: No such file"),
    ],
)
def test_what_cannot_be_right(tmp_path: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises((InvalidInput, Unavailable)) as refused:
        read(tmp_path, **options)
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_password_of_the_url_is_told_to_nobody(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        read(tmp_path, url="postgresql://ada:hush@127.0.0.1:1/mail?password=hush", preset="postfixadmin")
    assert "hush" not in str(refused.value)


def test_a_quota_may_be_numeric(tmp_path: Path, url: str) -> None:
    query = "SELECT username AS address, quota * 1.0 AS quota FROM mailbox WHERE quota > 0"
    [ada] = [each for each in read(tmp_path, url=url, accounts=query) if isinstance(each, AccountEntry)]
    assert ada.quota == 1 << 30


@pytest.mark.parametrize("quota", ["Infinity", "-Infinity", "NaN", "1E+5000"])
def test_a_numeric_that_is_no_number_of_octets_is_refused(quota: str) -> None:
    """PostgreSQL has all of these."""
    with pytest.raises(InvalidInput, match="no size of a quota"):
        sizes.cell(Decimal(quota))
