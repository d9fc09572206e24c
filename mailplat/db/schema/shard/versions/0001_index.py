"""The index of a shard: accounts, mailboxes, messages, expunged UIDs."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    pass
