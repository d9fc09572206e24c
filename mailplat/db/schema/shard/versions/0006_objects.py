"""The first words of messages, and what messages and mailboxes are known by (RFC 8970, RFC 8474).

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two. The columns are empty at
first, so that the upgrade of a shard of any size is done at once: rows get their values when somebody asks for them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("rendering", sa.Column("preview", sa.Text, nullable=True))
    op.add_column("rendering", sa.Column("email_id", sa.Text, nullable=True))
    op.add_column("mailbox", sa.Column("object_id", sa.Text, nullable=True))
