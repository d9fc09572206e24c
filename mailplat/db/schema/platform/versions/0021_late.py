"""A process names the accounts whose changed routes it has not acted on yet."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("route_watcher", sa.Column("late", sa.JSON, nullable=False, server_default="[]"))
