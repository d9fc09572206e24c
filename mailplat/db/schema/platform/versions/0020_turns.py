"""Turns of the migration's engine, and which of its workers are there."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "migration_turn",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("runner", sa.String(64), nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("worked", sa.Double, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
    )
    op.create_table(
        "migration_worker",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("incarnation", sa.String(32), nullable=False),
        sa.Column("place", sa.String(128), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sa.Column("busy", sa.Boolean, nullable=False),
    )
