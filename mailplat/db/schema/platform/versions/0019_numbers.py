"""UIDs of messages that come from a platform with POP3 only."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "migration_number",
        sa.Column(
            "account_id",
            sa.Integer,
            sa.ForeignKey("migration_move.account_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("uid", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("uidl", sa.String(70), nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),  # Unix seconds: its date where its header says none
    )
