"""What is remembered of legacy directories; revision 0017 in `mailplat/db/schema/platform/versions/`."""

import sqlalchemy as sa

from migration.tables import metadata

# Descriptions that are taken over again and again (drift.py), one of a backend.
source = sa.Table(
    "migration_directory",
    metadata,
    sa.Column("backend", sa.String(64), primary_key=True),
    sa.Column("file", sa.Text, nullable=False),  # of the description, absolute
    sa.Column("began", sa.Double, nullable=False),  # Unix time, of the last time
    sa.Column("ended", sa.Double, nullable=False),  # of the last that came to its end
    sa.Column("note", sa.Text, nullable=False),  # why the last did not; ""
    sa.Column("figures", sa.Text, nullable=False),  # JSON: what it did
)

# Accounts that a backend's directory has named, with what it said of them the last time: what has not changed there
# since is not taken again over what was changed here.
account = sa.Table(
    "migration_directory_account",
    metadata,
    sa.Column("key", sa.String(320), primary_key=True),  # Address.key
    sa.Column("backend", sa.String(64), nullable=False),
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64)),  # of the password hash, keyed; NULL: it did not say
    sa.Column("quota", sa.BigInteger),
    sa.Column("active", sa.Boolean),
    sa.Column("gone_since", sa.Double, nullable=False, default=0.0),  # Unix time; 0.0: it is there
    sa.Column("halted", sa.Boolean, nullable=False, default=False),  # its move was, because it is gone
    sa.Index("migration_directory_account_of", "backend", "key"),
)

alias = sa.Table(
    "migration_directory_alias",
    metadata,
    sa.Column("source", sa.String(320), primary_key=True),  # as the directory's
    sa.Column("backend", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # of the targets that were taken; "": none were
    sa.Column("gone_since", sa.Double, nullable=False, default=0.0),
    sa.Index("migration_directory_alias_of", "backend", "source"),
)
