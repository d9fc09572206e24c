"""A database of the legacy platform: by a preset for a schema that is known, or by queries of one's own.

    accounts       columns of cells.py
    aliases        source, targets (a list)
    domains        domain, and quota where all accounts of it share one
    alias_domains  alias_domain, target_domain

The database is only read, in one transaction a query; rows are fetched as they are used.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.db.engine import Database
from mailplat.directory.names import domain_key
from migration.directory import cells, sizes
from migration.directory.addresses import aliases, split
from migration.directory.entries import DomainAliasEntry, DomainEntry, Entries, Remark
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

# In this order: a domain is there before its accounts.
_QUERIES = ("domains", "accounts", "aliases", "alias_domains")

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
        for name in _QUERIES:
            if name in queries:
                yield from _entries(database, name, queries[name], options.scheme)
    finally:
        database.close()


def _queries(options: Options) -> dict[str, str]:
    """Raises InvalidInput."""
    if options.preset and options.preset not in PRESETS:
        raise InvalidInput(f"{options.preset!r} is no preset; known: {', '.join(PRESETS)}")
    own = {name: getattr(options, name) for name in _QUERIES if getattr(options, name)}
    queries = {**PRESETS.get(options.preset, {}), **own}
    if not queries:
        raise InvalidInput(
            f"format sql needs a preset ({', '.join(PRESETS)}), or queries: {', '.join(_QUERIES)}"
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


def _need(row: Mapping[str, Any], name: str, *columns: str) -> None:
    for column in columns:
        if column not in row:
            raise InvalidInput(f"query {name} has no column {column}; write SELECT ... AS {column}")


def _entries(database: Database, name: str, query: str, scheme: str) -> Entries:
    needed = {
        "domains": ("domain",),
        "accounts": ("address",),
        "aliases": ("source", "targets"),
        "alias_domains": ("alias_domain", "target_domain"),
    }[name]
    for place, row in _rows(database, name, query):
        _need(row, name, *needed)
        if name == "accounts":
            yield from cells.account(row, place, scheme)
            continue
        try:
            if name == "domains":
                yield DomainEntry(domain_key(cells.text(row["domain"])), place, sizes.cell(row.get("quota")))
            elif name == "aliases":
                yield from aliases(cells.text(row["source"]), split(cells.text(row["targets"])), place)
            else:
                name, target = (domain_key(cells.text(row[column])) for column in needed)
                yield DomainAliasEntry(name, target, place)
        except InvalidInput as error:
            yield Remark(place, str(error))
