"""Sieve scripts, whom a vacation has answered, and what a move found beside the mail."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    for name, length, default in (("managesieve", 300, ""), ("managesieve_tls", 16, "starttls")):
        op.add_column("backend", sa.Column(name, sa.String(length), nullable=False, server_default=default))
    op.create_table(
        "sieve_script",
        sa.Column(
            "account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("octets", sa.LargeBinary, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("changed", sa.Double, nullable=False),  # Unix time
    )
    op.create_table(
        "vacation_answer",
        sa.Column(
            "account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("until", sa.Double, nullable=False),  # Unix time
    )
    op.create_table(
        "migration_beside",
        sa.Column(
            "account_id",
            sa.Integer,
            sa.ForeignKey("migration_move.account_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("kind", sa.String(16), primary_key=True),  # scripts, rights, answers
        sa.Column("at", sa.Double, nullable=False),  # Unix time
        sa.Column("content", sa.Text, nullable=False),  # JSON
    )
