"""Ledger of the migration engine: moves, mailboxes, UID maps."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
