"""Who shares mailboxes with whom: where to look for what is shared (RFC 4314)."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "share",
        sa.Column("owner_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("grantee_id", sa.Integer, primary_key=True),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_index("share_grantee", "share", ["grantee_id", "domain"])
