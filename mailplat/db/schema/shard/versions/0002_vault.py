"""The vault: what was expunged, deleted or removed and can still be brought back, and legal holds.

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# SQLite numbers rows itself only where the type is spelled INTEGER.
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "vault",
        sa.Column("id", _Number, primary_key=True, autoincrement=True),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("mailbox", sa.Text, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("internaldate", sa.BigInteger, nullable=False),
        sa.Column("zone", sa.Integer, nullable=False),
        sa.Column("flags", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("placed", sa.SmallInteger, nullable=False),
        sa.Column("restored", sa.Integer, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("vault_account", "vault", ["account_id", "at"])
    op.create_index("vault_at", "vault", ["at"])
    waiting = sa.text("placed = 0")
    op.create_index(
        "vault_waiting", "vault", ["mailbox_id", "file"], sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_table(
        "vault_owner",
        sa.Column("account_id", _Number, primary_key=True, autoincrement=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("removed_at", sa.BigInteger, nullable=True),
        sa.Column("held_at", sa.BigInteger, nullable=True),
        sa.Column("hold_reason", sa.Text, nullable=False),
        sa.Column("hold_by", sa.Text, nullable=False),
    )
