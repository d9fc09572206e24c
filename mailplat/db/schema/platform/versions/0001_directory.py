"""Directory: domains, accounts, aliases, backends, routes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("domain", sa.Column("name", sa.String(255), primary_key=True))
    op.create_table(
        "account",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(320), nullable=False, unique=True),
        sa.Column("local", sa.String(64), nullable=False),
        sa.Column("domain", sa.String(255), sa.ForeignKey("domain.name"), nullable=False),
        sa.Column("password_hash", sa.String(512), nullable=False),
        sa.Column("quota", sa.BigInteger, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_account_domain", "account", ["domain"])
    op.create_table(
        "alias",
        sa.Column("source", sa.String(320), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("domain", sa.String(255), sa.ForeignKey("domain.name"), nullable=False),
        sa.Column("target_local", sa.String(64), nullable=False),
        sa.Column("target_domain", sa.String(255), nullable=False),
    )
    op.create_index("ix_alias_domain", "alias", ["domain"])
    op.create_table(
        "backend",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("imap", sa.String(300), nullable=False),
        sa.Column("imap_tls", sa.String(16), nullable=False),
        sa.Column("pop3", sa.String(300), nullable=False),
        sa.Column("pop3_tls", sa.String(16), nullable=False),
        sa.Column("relay", sa.String(300), nullable=False),
        sa.Column("master_user", sa.String(255), nullable=False),
        sa.Column("master_password", sa.String(255), nullable=False),
        sa.Column("master_style", sa.String(16), nullable=False),
    )
    op.create_table(
        "route",
        sa.Column(
            "account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("home", sa.String(80), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("fence_deadline", sa.Double, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_route_home", "route", ["home"])
    op.create_index("ix_route_changed", "route", ["changed"])
    changes = op.create_table(
        "route_change",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(changes, [{"id": 1, "last": 0}])
    op.create_table(
        "route_watcher",
        sa.Column("process", sa.String(80), primary_key=True),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
