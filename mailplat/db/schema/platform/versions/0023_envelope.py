"""What senders ask for, kept while a message is queued: TLS all the way (RFC 8689), notifications (RFC 3461)."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column(
        "queue_message", sa.Column("require_tls", sa.Boolean, nullable=False, server_default=sa.false())
    )
    for table, name in (
        ("queue_message", "ret"),
        ("queue_message", "envid"),
        ("queue_recipient", "notify"),
        ("queue_recipient", "orcpt"),
    ):
        op.add_column(table, sa.Column(name, sa.Text, nullable=False, server_default=""))
