"""Alembic's entry: the connection is handed in by `schema.upgrade`, the transaction is the caller's."""

import sqlalchemy as sa
from alembic import context

# An arbitrary number, the same in every process: who upgrades this PostgreSQL database.
ADVISORY_LOCK = 7_268_419_001

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
context.configure(
    connection=connection,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
context.run_migrations()
