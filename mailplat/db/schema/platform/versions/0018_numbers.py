"""UIDs of messages that come from a platform with POP3 only; whether what an IMAP platform gives is compressed."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column(
        "backend", sa.Column("imap_compress", sa.Boolean, nullable=False, server_default=sa.false())
    )
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
