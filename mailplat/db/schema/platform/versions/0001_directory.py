"""Directory: domains, accounts, aliases, backends, routes."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    pass
