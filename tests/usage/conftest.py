"""The table on each database that it can live in."""

from tests.directory.conftest import database, postgres, postgres_template, sqlite_template

__all__ = ["database", "postgres", "postgres_template", "sqlite_template"]
