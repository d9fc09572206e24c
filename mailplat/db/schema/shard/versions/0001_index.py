"""The index of a shard: accounts, mailboxes, messages, expunged UIDs.

What each table and column is for stands in `mailplat/store/index/tables.py`; a test compares the two.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite numbers rows itself only where the type is spelled INTEGER.
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _accounts()
    _mailboxes()
    _messages()
    _ways_in_and_out()


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", _Number, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("described", sa.SmallInteger, nullable=False),
        sa.Column("closed", sa.SmallInteger, nullable=False),
    )
    op.create_index(
        "account_undescribed",
        "account",
        ["account_id"],
        sqlite_where=sa.text("described = 0"),
        postgresql_where=sa.text("described = 0"),
    )
    op.create_table(
        "subscription",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "name"),
        sqlite_with_rowid=False,
    )


def _mailboxes() -> None:
    op.create_table(
        "mailbox",
        sa.Column("id", _Number, primary_key=True, autoincrement=True),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("special_use", sa.Text, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("uidnext", sa.BigInteger, nullable=False),
        sa.Column("modseq", sa.BigInteger, nullable=False),
        sa.Column("uid_ceiling", sa.BigInteger, nullable=False),
        sa.Column("modseq_ceiling", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("unseen", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("backfills", sa.BigInteger, nullable=False),
        sa.Column("named", sa.BigInteger, nullable=False),
        sa.Column("described", sa.SmallInteger, nullable=False),
        sa.UniqueConstraint("account_id", "name", name="mailbox_name"),
        sqlite_autoincrement=True,
    )
    lagging = sa.text("named < modseq OR described = 0")
    op.create_index("mailbox_lagging", "mailbox", ["id"], sqlite_where=lagging, postgresql_where=lagging)
    op.create_table(
        "keyword",
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "flagset",
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("mask", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "id"),
        sa.UniqueConstraint("mailbox_id", "mask", name="flagset_mask"),
        sqlite_with_rowid=False,
    )


def _messages() -> None:
    op.create_table(
        "message",
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
        sa.Column("modseq", sa.BigInteger, nullable=False),
        sa.Column("flagset", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("internaldate", sa.BigInteger, nullable=False),
        sa.Column("zone", sa.Integer, nullable=False),
        sa.Column("saved_at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("uidl", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("mailbox_id", "uid"),
        sqlite_with_rowid=False,
    )
    op.create_index("message_modseq", "message", ["mailbox_id", "modseq"])
    op.create_table(
        "rendering",
        sa.Column("id", _Number, primary_key=True, autoincrement=False),
        sa.Column("header_size", sa.BigInteger, nullable=False),
        sa.Column("sent", sa.BigInteger, nullable=True),
        sa.Column("sent_day", sa.BigInteger, nullable=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("cc", sa.Text, nullable=False),
        sa.Column("bcc", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("bodystructure", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "expunged",
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("modseq", sa.BigInteger, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "modseq", "uid"),
        sqlite_with_rowid=False,
    )


def _ways_in_and_out() -> None:
    op.create_table(
        "dedupe",
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
        sa.Column("modseq", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("dedupe_at", "dedupe", ["at"])
    op.create_table(
        "leaving",
        sa.Column("id", _Number, primary_key=True, autoincrement=True),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("mailbox_id", sa.BigInteger, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("leaving_account", "leaving", ["account_id"])
