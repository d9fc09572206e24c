"""Whether an account may be cut over although no password of it is known here."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "migration_move",
        sa.Column("unknown_password_allowed", sa.Boolean, nullable=False, server_default=sa.false()),
    )
