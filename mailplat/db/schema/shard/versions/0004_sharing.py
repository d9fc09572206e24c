"""Which messages share a file, and what is in the vault, counted: the shard's figures without a walk of its files.

What each column is for stands in `mailplat/store/index/tables.py`; a test compares the two. `shared.links` and
`figures` are kept by triggers, so that whatever adds or removes a row counts. An index is SQLite.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# SQLite numbers rows itself only where the type is spelled INTEGER.
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_MORE = "UPDATE shared SET links = links + 1 WHERE id = NEW.shared;"
_FEWER = (
    "UPDATE shared SET links = links - 1 WHERE id = OLD.shared;"
    " DELETE FROM shared WHERE id = OLD.shared AND links <= 0;"
)
_TRIGGERS = [
    trigger
    for table in ("message", "vault")
    for trigger in (
        f"CREATE TRIGGER {table}_shared_in AFTER INSERT ON {table} WHEN NEW.shared IS NOT NULL BEGIN {_MORE} END",
        f"CREATE TRIGGER {table}_shared_out AFTER DELETE ON {table} WHEN OLD.shared IS NOT NULL BEGIN {_FEWER} END",
        f"CREATE TRIGGER {table}_shared_set AFTER UPDATE OF shared ON {table} BEGIN {_MORE} {_FEWER} END",
    )
] + [
    "CREATE TRIGGER vault_figures_in AFTER INSERT ON vault BEGIN UPDATE figures SET"
    " vault_messages = vault_messages + 1, vault_octets = vault_octets + NEW.size; END",
    "CREATE TRIGGER vault_figures_out AFTER DELETE ON vault BEGIN UPDATE figures SET"
    " vault_messages = vault_messages - 1, vault_octets = vault_octets - OLD.size; END",
]


def upgrade() -> None:
    op.add_column("message", sa.Column("shared", sa.BigInteger, nullable=True))
    op.add_column("vault", sa.Column("shared", sa.BigInteger, nullable=True))
    op.create_table(
        "shared",
        sa.Column("id", _Number, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("links", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "figures",
        sa.Column("id", _Number, primary_key=True, autoincrement=False),
        sa.Column("vault_messages", sa.BigInteger, nullable=False),
        sa.Column("vault_octets", sa.BigInteger, nullable=False),
        sa.Column("counted", sa.SmallInteger, nullable=False),
    )
    # Where there is mail already nobody knows yet which of it shares files: `verify` finds out.
    op.execute(
        "INSERT INTO figures (id, vault_messages, vault_octets, counted)"
        " SELECT 1, count(*), coalesce(sum(size), 0), NOT EXISTS (SELECT 1 FROM message) AND count(*) = 0 FROM vault"
    )
    for trigger in _TRIGGERS:
        op.execute(trigger)
    op.create_index(
        "leaving_mailbox", "leaving", ["mailbox_id"]
    )  # folders of the vault wait for what is in them
