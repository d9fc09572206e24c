"""Moves between shards, and shards that are being drained."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "shard_drain",
        sa.Column("shard", sa.String(64), primary_key=True),
        sa.Column("targets", sa.Text, nullable=False),  # names, separated by blanks; "": by placement
        sa.Column("since", sa.Double, nullable=False),  # Unix time, as all times here
        sa.Column("note", sa.Text, nullable=False),  # what keeps it from going on
    )
    op.create_table(
        "migration_shard_move",
        sa.Column(
            "account_id", sa.Integer, primary_key=True
        ),  # it may be removed while its copy is still there
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("shard", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),  # move, drain
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("came_from", sa.String(20), nullable=False),  # the route's state before the fence
        sa.Column("fence_epoch", sa.BigInteger, nullable=False),
        sa.Column("halted", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("rounds", sa.Integer, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("copied", sa.BigInteger, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.Double, nullable=False),
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("moved", sa.Double, nullable=False),
        sa.Column("released", sa.Boolean, nullable=False),
        sa.Column("fence_ms", sa.Integer, nullable=False),
        sa.Column("phases", sa.Text, nullable=False),
        sa.Column("verified", sa.Text, nullable=False),
        sa.Column("aborts", sa.Integer, nullable=False),
    )
    op.create_index("migration_shard_move_domain", "migration_shard_move", ["domain"])
    op.create_table(
        "migration_shard_mailbox",
        _of_move(),
        sa.Column("name", sa.String(1000), primary_key=True),
        sa.Column("wire", sa.LargeBinary, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("uidnext", sa.BigInteger, nullable=True),
        sa.Column("modseq", sa.BigInteger, nullable=True),
        sa.Column("messages", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "migration_shard_round",
        _of_move(),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("gone", sa.BigInteger, nullable=False),
        sa.Column("mailboxes", sa.BigInteger, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
    )


def _of_move() -> sa.Column[int]:
    move = sa.ForeignKey("migration_shard_move.account_id", ondelete="CASCADE")
    return sa.Column("account_id", sa.Integer, move, primary_key=True)
