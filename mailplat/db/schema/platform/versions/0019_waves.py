"""A census of legacy platforms, waves, and accounts that are to be copied afresh."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column(
        "migration_move", sa.Column("afresh", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "migration_census",
        sa.Column("account_id", sa.Integer, primary_key=True),
        sa.Column("backend", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("trouble", sa.Text, nullable=False),
    )
    op.create_index("ix_migration_census_backend", "migration_census", ["backend"])
    op.create_table(
        "migration_wave",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("resumes", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("approved_by", sa.String(255), nullable=False),
        sa.Column("approved_at", sa.Double, nullable=False),
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("baking_since", sa.Double, nullable=False),
        sa.Column("done", sa.Double, nullable=False),
        sa.Column("forgiven", sa.Text, nullable=False),
    )
    op.create_table(
        "migration_wave_domain",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("wave", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("breach", sa.Text, nullable=False),
        sa.Column("fate", sa.String(16), nullable=False),
    )
    op.create_index("ix_migration_wave_domain_wave", "migration_wave_domain", ["wave"])
