"""Directories of legacy platforms: which are taken over again and again, and what came from them."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "migration_directory",
        sa.Column("backend", sa.String(64), primary_key=True),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("ended", sa.Double, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("figures", sa.Text, nullable=False),
    )
    op.create_table(
        "migration_directory_account",
        sa.Column("key", sa.String(320), primary_key=True),
        sa.Column("backend", sa.String(64), nullable=False),
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("quota", sa.BigInteger, nullable=True),
        sa.Column("active", sa.Boolean, nullable=True),
        sa.Column("gone_since", sa.Double, nullable=False),
        sa.Column("halted", sa.Boolean, nullable=False),
    )
    op.create_index("migration_directory_account_of", "migration_directory_account", ["backend", "key"])
    op.create_table(
        "migration_directory_alias",
        sa.Column("source", sa.String(320), primary_key=True),
        sa.Column("backend", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("gone_since", sa.Double, nullable=False),
    )
    op.create_index("migration_directory_alias_of", "migration_directory_alias", ["backend", "source"])
    secret = sa.table("secret", sa.column("name", sa.String), sa.column("octets", sa.LargeBinary))
    op.bulk_insert(secret, [{"name": "directory-digest", "octets": secrets.token_bytes(32)}])
