"""A database of the legacy platform: by a preset for a schema that is known, or by queries of one's own. The names of
the queries and the columns that each gives are those of cells.py.

The database is only read, in one transaction a query; rows are fetched as they are used.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.db.engine import Database
from migration.directory import cells
from migration.directory.entries import Entries
from migration.directory.options import Options as Plain

# Of PostfixAdmin 3: the row "ALL" is its own, backup MX domains have no accounts here. Quotas of domains are in MB.
_POSTFIXADMIN = {
    "domains": "SELECT domain, quota * 1048576 AS quota FROM domain"
    " WHERE domain <> 'ALL' AND active AND NOT backupmx",
    "accounts": "SELECT username AS address, password, quota, active FROM mailbox",
    "aliases": "SELECT address AS source, goto AS targets FROM alias WHERE active",
    "alias_domains": "SELECT alias_domain, target_domain FROM alias_domain WHERE active",
}
PRESETS: Mapping[str, Mapping[str, str]] = {"postfixadmin": _POSTFIXADMIN}

# Rows that the driver fetches at once.
_ROWS = 500


class Options(Plain):
    url: str = ""  # postgresql://user:password@host/name or sqlite:///FILE
    url_file: str = ""  # a file with it, so that a password stands in no description
    preset: str = ""
    accounts: str = ""
    aliases: str = ""
    domains: str = ""
    alias_domains: str = ""
    scheme: str = "CRYPT"  # of hashes without a tag


def read(options: Options, folder: Path) -> Entries:
    queries = _queries(options)
    database = Database(_url(options, folder), foreign=True)
    try:
        for name in cells.KINDS:
            if name in queries:
                yield from _entries(database, name, queries[name], options.scheme)
    finally:
        database.close()


def _queries(options: Options) -> dict[str, str]:
    """Raises InvalidInput."""
    if options.preset and options.preset not in PRESETS:
        raise InvalidInput(f"{options.preset!r} is no preset; known: {', '.join(PRESETS)}")
    own = {name: getattr(options, name) for name in cells.KINDS if getattr(options, name)}
    queries = {**PRESETS.get(options.preset, {}), **own}
    if not queries:
        raise InvalidInput(
            f"format sql needs a preset ({', '.join(PRESETS)}), or queries: {', '.join(cells.KINDS)}"
        )
    return queries


def _url(options: Options, folder: Path) -> str:
    """Raises InvalidInput."""
    if bool(options.url) == bool(options.url_file):
        raise InvalidInput("format sql needs url or url_file, one of them")
    url = options.url
    if options.url_file:
        path = folder / options.url_file
        try:
            url = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from error
    if url.startswith(("mysql", "mariadb")):
        raise InvalidInput(
            "MySQL and MariaDB are not read directly: export the columns that docs/migration.md names into a CSV file"
        )
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        url = prefix + str(folder.resolve() / url.removeprefix(prefix))
    return url


def _rows(database: Database, name: str, query: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Raises InvalidInput for a query that the database does not take; nothing of its parameters is in the text."""
    place = f"{database.name}, {name}"
    try:
        with database.read() as connection:
            found = connection.execution_options(yield_per=_ROWS).execute(sa.text(query))
            columns = [str(column).lower() for column in found.keys()]  # noqa: SIM118 - no mapping
            for number, row in enumerate(found, 1):
                yield f"{place}, row {number}", dict(zip(columns, row, strict=True))
    except sa.exc.DBAPIError as error:
        raise InvalidInput(f"{place}: {str(error.orig).splitlines()[0]}") from error
    except Unavailable as error:
        raise Unavailable(f"{place}: {error}") from error


def _entries(database: Database, name: str, query: str, scheme: str) -> Entries:
    """Raises InvalidInput."""
    needed, _ = cells.KINDS[name]
    for place, row in _rows(database, name, query):
        for column in needed:
            if column not in row:
                raise InvalidInput(f"query {name} has no column {column}; write SELECT ... AS {column}")
        yield from cells.entries(name, row, place, scheme)
