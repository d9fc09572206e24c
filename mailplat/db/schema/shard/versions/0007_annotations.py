"""Annotations of mailboxes and accounts (RFC 5464).

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "annotation",
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "account_id", "name"),
        sqlite_with_rowid=False,
    )
