"""Where the mail of a backend lies, when it is on a mount."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("backend", sa.Column("maildir", sa.String(1000), nullable=False, server_default=""))
