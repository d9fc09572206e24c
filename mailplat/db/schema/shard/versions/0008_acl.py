"""Rights of others on mailboxes (RFC 4314).

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "acl",
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("grantee_id", sa.BigInteger, nullable=False),
        sa.Column("rights", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "account_id", "identifier"),
        sqlite_with_rowid=False,
    )
    op.create_index("acl_account", "acl", ["account_id", "grantee_id"])
