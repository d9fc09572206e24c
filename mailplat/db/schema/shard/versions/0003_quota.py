"""Quota: which pool (domain) an account is counted with, the totals of pools, and warnings that are to be sent.

An index of before knows the domain of those accounts only that are under a legal hold; of the others it learns with
their next message or login, and from the directory when `mailplat serve` starts.

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("account", sa.Column("pool", sa.Text, nullable=False, server_default=""))
    op.add_column("account", sa.Column("warned", sa.Integer, nullable=False, server_default="0"))
    unknown = sa.text("pool = '' AND closed = 0")
    op.create_index(
        "account_poolless", "account", ["account_id"], sqlite_where=unknown, postgresql_where=unknown
    )
    op.create_table(
        "pool",
        sa.Column("domain", sa.Text, primary_key=True),
        sa.Column("octets", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("warned", sa.Integer, nullable=False),
    )
    op.create_table(
        "quota_warning",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("due", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "pool", "level"),
        sqlite_with_rowid=False,
    )
    due = sa.text("due = 1")
    op.create_index("quota_warning_due", "quota_warning", ["at"], sqlite_where=due, postgresql_where=due)
    _count()


def _count() -> None:
    connection = op.get_bind()
    held = connection.execute(
        sa.text(
            "SELECT a.account_id, o.address FROM account a JOIN vault_owner o ON o.account_id = a.account_id"
            " WHERE a.closed = 0"
        )
    ).fetchall()
    for account_id, address in held:
        domain = address.rpartition("@")[2].lower()
        if domain and domain.isascii():
            connection.execute(
                sa.text("UPDATE account SET pool = :domain, described = 0 WHERE account_id = :account_id"),
                {"domain": domain, "account_id": account_id},
            )
    connection.execute(
        sa.text(
            "INSERT INTO pool (domain, octets, messages, warned)"
            " SELECT pool, sum(octets), sum(messages), 0 FROM account WHERE pool <> '' GROUP BY pool"
        )
    )
