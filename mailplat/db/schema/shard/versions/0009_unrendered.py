"""Messages whose rendering is made later.

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two. Empty at first: every
message of before has its rendering.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "unrendered",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
    )
