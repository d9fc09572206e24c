"""Queue: messages on their way out, one row a recipient."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass
