"""How an account's clients spell mailbox names."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("account", sa.Column("separator", sa.String(1), nullable=False, server_default="/"))
    op.add_column("account", sa.Column("prefix", sa.String(255), nullable=False, server_default=""))
