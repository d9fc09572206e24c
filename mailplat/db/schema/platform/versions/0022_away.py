"""Since when the platform of a move could not be reached."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("migration_turn", sa.Column("away", sa.Double, nullable=False, server_default="0"))
