"""Tables of revision 0012; which module keeps what is in the package's docstring."""

import sqlalchemy as sa

from migration.tables import metadata

digest = sa.Table(
    "migration_digest",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),  # of two rows for a message the higher holds
    sa.Column("account_id", sa.Integer, nullable=False),
    sa.Column("mailbox", sa.String(1000), nullable=False),
    sa.Column("uidvalidity", sa.BigInteger, nullable=False),
    sa.Column("first_uid", sa.BigInteger, nullable=False),
    sa.Column("last_uid", sa.BigInteger, nullable=False),
    sa.Column("records", sa.LargeBinary, nullable=False),  # digests.RECORD, by UID
)

manifest = sa.Table(
    "migration_manifest",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("mailbox", sa.String(1000), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),  # of the fence
    sa.Column("numbers", sa.Text, nullable=False),  # JSON, manifest.Numbers
)

part = sa.Table(
    "migration_manifest_part",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("mailbox", sa.String(1000), primary_key=True),
    sa.Column("first_uid", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("flags", sa.LargeBinary, nullable=False),  # zlib of lines "UID flag flag"
)

evidence = sa.Table(
    "migration_evidence",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("moved", sa.Double, nullable=False),  # of the commit that it speaks of
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("content", sa.Text, nullable=False),  # JSON, evidence.Evidence
)

event = sa.Table(
    "migration_event",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Integer, nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),  # JSON
)

approval = sa.Table(
    "migration_approval",
    metadata,
    sa.Column("domain", sa.String(255), primary_key=True),
    sa.Column("item", sa.String(16), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("who", sa.String(255), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

certificate = sa.Table(
    "migration_certificate",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("domain", sa.String(255), nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("grade", sa.String(16), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)
