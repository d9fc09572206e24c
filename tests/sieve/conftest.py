from tests.directory.conftest import clock, database, directory, postgres, postgres_template, sqlite_template

__all__ = ["clock", "database", "directory", "postgres", "postgres_template", "sqlite_template"]
