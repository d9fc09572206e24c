"""The shards that the platform has made, and the platform's own identity."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "shard",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("identity", sa.String(80), nullable=False),
    )
