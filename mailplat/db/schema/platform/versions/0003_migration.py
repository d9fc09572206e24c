"""Ledger of the migration engine: plans, moves, watermarks of mailboxes, rounds."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "migration_backend",
        sa.Column("name", sa.String(64), sa.ForeignKey("backend.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("uidl_format", sa.String(64), nullable=False),
    )
    op.create_table(
        "migration_plan",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),  # planned, running, paused
        sa.Column("created", sa.Double, nullable=False),  # Unix time, as all times here
    )
    op.create_table(
        "migration_move",
        sa.Column(
            "account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("backend", sa.String(64), nullable=False),
        sa.Column("shard", sa.String(64), nullable=False),
        sa.Column("cutover", sa.Boolean, nullable=False),  # asked for
        sa.Column("halted", sa.Text, nullable=False),  # why a person has to look, "" when none has to
        sa.Column("note", sa.Text, nullable=False),  # the last thing that went wrong and is tried again
        sa.Column("rounds", sa.Integer, nullable=False),
        sa.Column("quiet", sa.Integer, nullable=False),  # rounds in a row that were within the budget
        sa.Column("total", sa.BigInteger, nullable=False),  # messages that the source showed last
        sa.Column("copied", sa.BigInteger, nullable=False),  # messages here
        sa.Column("octets", sa.BigInteger, nullable=False),  # copied, all rounds together
        sa.Column("deletions_allowed", sa.BigInteger, nullable=False),  # by a person, for the next round
        sa.Column("uidl_format", sa.String(64), nullable=False),  # found at the source, "" before
        sa.Column("dropped", sa.Text, nullable=False),  # flags that could not be kept, JSON list
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("moved", sa.Double, nullable=False),  # when the commit was; 0.0 before
        sa.Column("released", sa.Boolean, nullable=False),  # held mail was let go after the commit
        sa.Column("fence_ms", sa.Integer, nullable=False),
        sa.Column("phases", sa.Text, nullable=False),  # of the fence, JSON: name -> ms
        sa.Column("verified", sa.Text, nullable=False),  # what the last comparison counted, JSON
        sa.Column("aborts", sa.Integer, nullable=False),
        sa.Column("sweeps", sa.Integer, nullable=False),
        sa.Column("sweep_at", sa.Double, nullable=False),  # the next one
        sa.Column("strays", sa.Integer, nullable=False),
        sa.Column("late_flags", sa.Integer, nullable=False),  # flags changed at the source after the commit
    )
    op.create_index("migration_move_domain", "migration_move", ["domain"])
    op.create_table(
        "migration_mailbox",
        sa.Column(
            "account_id",
            sa.Integer,
            sa.ForeignKey("migration_move.account_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("name", sa.String(1000), primary_key=True),  # ours
        sa.Column("wire", sa.LargeBinary, nullable=False),  # the source's
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("uidnext", sa.BigInteger, nullable=True),
        sa.Column("modseq", sa.BigInteger, nullable=True),
        sa.Column("messages", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "migration_round",
        sa.Column(
            "account_id",
            sa.Integer,
            sa.ForeignKey("migration_move.account_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),  # copy, delta, fence, sweep
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("gone", sa.BigInteger, nullable=False),
        sa.Column("mailboxes", sa.BigInteger, nullable=False),  # created, renamed, deleted, subscribed
        sa.Column("octets", sa.BigInteger, nullable=False),
    )
