"""A quota for a domain: what all its accounts may keep together."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("domain", sa.Column("quota", sa.BigInteger, nullable=False, server_default="0"))
