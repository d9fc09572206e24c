"""App passwords, keys for SCRAM, what a domain allows of both, and secrets that all processes share."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for name in ("app_passwords_only", "scram"):
        op.add_column("domain", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "app_password",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("label", sa.String(80), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(80), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=True),
        sa.UniqueConstraint("account_id", "label", name="app_password_label"),
        sa.UniqueConstraint("account_id", "digest", name="app_password_digest"),
    )
    op.create_table(
        "scram_key",
        sa.Column(
            "account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("made_for", sa.String(64), nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("iterations", sa.Integer, nullable=False),
        sa.Column("stored_key", sa.LargeBinary, nullable=False),
        sa.Column("server_key", sa.LargeBinary, nullable=False),
    )
    made = op.create_table(
        "secret",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("octets", sa.LargeBinary, nullable=False),
    )
    op.bulk_insert(made, [{"name": "scram-salt", "octets": secrets.token_bytes(32)}])
