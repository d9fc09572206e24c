"""What the users of each domain get, hour by hour (mailplat/usage)."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    counters = (
        "logins",
        "refused",
        "users",
        "prompted",
        "octets",
        "delivered",
        "deferred",
        "failed",
        "delay_ms",
        "later_10",
        "later_60",
        "later_600",
    )
    op.create_table(
        "usage",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),  # Unix time
        sa.Column("home", sa.String(80), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counters),
    )
    op.create_index("usage_hour", "usage", ["hour"])
