"""Queue: messages on their way out, one row a recipient that is not settled yet."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "queue_message",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("spool", sa.Text, nullable=False),  # which spool directory has the file
        sa.Column("sender_local", sa.Text, nullable=False),
        sa.Column("sender_domain", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),  # 7BIT, 8BITMIME
        sa.Column("utf8", sa.Boolean, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),  # octets of the file
        sa.Column("arrived", sa.Double, nullable=False),  # Unix time
        sa.Column("peer_address", sa.Text, nullable=False),
        sa.Column("peer_helo", sa.Text, nullable=False),
        sa.Column("peer_account", sa.Text, nullable=False),  # who logged in to submit it, "" for nobody
    )
    op.create_table(
        "queue_recipient",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("message_id", sa.Text, sa.ForeignKey("queue_message.id"), nullable=False),
        sa.Column("spool", sa.Text, nullable=False),
        sa.Column("local", sa.Text, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),  # 0: not one of our accounts
        sa.Column("state", sa.Text, nullable=False),  # waiting, held, leased
        sa.Column(
            "due", sa.Double, nullable=False
        ),  # not before this time; of a leased one, the lease's deadline
        sa.Column(
            "lease", sa.BigInteger, nullable=False
        ),  # grows with every lease: an older one settles nothing
        sa.Column("worker", sa.Text, nullable=False),  # who leased it last
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reply_code", sa.Integer, nullable=False),  # of the last attempt, 0 before the first
        sa.Column("reply_status", sa.Text, nullable=False),
        sa.Column("reply_text", sa.Text, nullable=False),
        sa.Column("remote", sa.Text, nullable=False),
        sqlite_autoincrement=True,  # a recipient's number is part of a dedupe key: never used twice
    )
    op.create_index("queue_recipient_due", "queue_recipient", ["spool", "due"])
    op.create_index("queue_recipient_message", "queue_recipient", ["message_id"])
    op.create_index("queue_recipient_account", "queue_recipient", ["account_id"])
    op.create_index("queue_recipient_domain", "queue_recipient", ["domain"])
    op.create_index("queue_message_arrived", "queue_message", ["arrived"])
