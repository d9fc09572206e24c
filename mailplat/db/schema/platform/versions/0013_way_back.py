"""The way back of a move: where it begins, how far it is."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for column in (
        sa.Column("rollback", sa.Boolean, nullable=False, server_default=sa.false()),  # asked for
        sa.Column("renumbering_allowed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("renumbered", sa.BigInteger, nullable=False, server_default="0"),  # messages with new UIDs
        sa.Column(
            "returned", sa.Double, nullable=False, server_default="0"
        ),  # everything was on both sides then
        sa.Column("rolled_back", sa.Double, nullable=False, server_default="0"),  # when; 0.0: it was not
        sa.Column("password_then", sa.String(512), nullable=False, server_default=""),  # hash at the commit
    ):
        op.add_column("migration_move", column)
    op.create_table(
        "migration_origin",
        sa.Column(
            "account_id",
            sa.Integer,
            sa.ForeignKey("migration_move.account_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("object_id", sa.String(255), primary_key=True),  # of our mailbox
        sa.Column("name", sa.String(1000), nullable=False),  # ours, as the backend has it
        sa.Column("wire", sa.LargeBinary, nullable=False),  # the backend's; empty: it cannot be opened there
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),  # the backend's
        sa.Column("first", sa.BigInteger, nullable=False),  # UIDs below it were on both sides at the commit
        sa.Column("below", sa.BigInteger, nullable=False),  # UIDs below it have gone back since
        sa.Column("modseq", sa.BigInteger, nullable=False),  # ours at the commit
        sa.Column(
            "seen_modseq", sa.BigInteger, nullable=False
        ),  # ours when both sides were the same; 0: never
        sa.Column("uidnext", sa.BigInteger, nullable=True),  # the backend's then, as the next two
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("highest", sa.BigInteger, nullable=True),
    )
