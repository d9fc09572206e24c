"""What a census has read; revision 0019 in `mailplat/db/schema/platform/versions/`."""

import sqlalchemy as sa

from migration.tables import metadata

account = sa.Table(
    "migration_census",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("backend", sa.String(64), nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False),  # Unix time
    sa.Column("facts", sa.Text, nullable=False),  # JSON, facts.Facts
    sa.Column("trouble", sa.Text, nullable=False),  # why it could not be read; "": it was
)
