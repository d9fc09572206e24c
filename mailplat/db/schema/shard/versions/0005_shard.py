"""Which shard an index belongs to, and how new it is.

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "shard",
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
    )
