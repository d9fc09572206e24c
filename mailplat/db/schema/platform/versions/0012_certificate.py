"""Certificates of moves: what the source said of each message, what was read again, approvals, the key that signs;
and credentials with which the platform reads an account over IMAP, once."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "reading_pass",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
    )
    op.create_table(
        "migration_digest",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("mailbox", sa.String(1000), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("first_uid", sa.BigInteger, nullable=False),
        sa.Column("last_uid", sa.BigInteger, nullable=False),
        sa.Column("records", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "migration_digest_place", "migration_digest", ["account_id", "mailbox", "uidvalidity", "first_uid"]
    )
    op.create_table(
        "migration_manifest",
        sa.Column("account_id", sa.Integer, primary_key=True),
        sa.Column("mailbox", sa.String(1000), primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("numbers", sa.Text, nullable=False),
    )
    op.create_table(
        "migration_manifest_part",
        sa.Column("account_id", sa.Integer, primary_key=True),
        sa.Column("mailbox", sa.String(1000), primary_key=True),
        sa.Column("first_uid", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("flags", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "migration_evidence",
        sa.Column("account_id", sa.Integer, primary_key=True),
        sa.Column("moved", sa.Double, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "migration_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Integer, nullable=False, index=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_table(
        "migration_approval",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("item", sa.String(16), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "migration_certificate",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("domain", sa.String(255), nullable=False, index=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("grade", sa.String(16), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    secret = sa.table("secret", sa.column("name", sa.String), sa.column("octets", sa.LargeBinary))
    op.bulk_insert(secret, [{"name": "certificate-key", "octets": secrets.token_bytes(32)}])
