"""The ledgers' tables; revisions 0003, 0007, 0013 and 0018 to 0020 of `mailplat/db/schema/platform/versions/`."""

from dataclasses import dataclass

import sqlalchemy as sa

metadata = sa.MetaData()

backend = sa.Table(
    "migration_backend",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("uidl_format", sa.String(64), nullable=False),
)

plan = sa.Table(
    "migration_plan",
    metadata,
    sa.Column("domain", sa.String(255), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)

move = sa.Table(
    "migration_move",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("domain", sa.String(255), nullable=False, index=True),
    sa.Column("backend", sa.String(64), nullable=False),
    sa.Column("shard", sa.String(64), nullable=False),
    sa.Column("cutover", sa.Boolean, nullable=False, default=False),
    sa.Column("halted", sa.Text, nullable=False, default=""),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("rounds", sa.Integer, nullable=False, default=0),
    sa.Column("quiet", sa.Integer, nullable=False, default=0),
    sa.Column("total", sa.BigInteger, nullable=False, default=0),
    sa.Column("copied", sa.BigInteger, nullable=False, default=0),
    sa.Column("octets", sa.BigInteger, nullable=False, default=0),
    sa.Column("unknown_password_allowed", sa.Boolean, nullable=False, default=False),
    sa.Column("deletions_allowed", sa.BigInteger, nullable=False, default=0),
    sa.Column("afresh", sa.Boolean, nullable=False, default=False),
    sa.Column("uidl_format", sa.String(64), nullable=False, default=""),
    sa.Column("dropped", sa.Text, nullable=False, default="[]"),
    sa.Column("began", sa.Double, nullable=False, default=0.0),
    sa.Column("moved", sa.Double, nullable=False, default=0.0),
    sa.Column("released", sa.Boolean, nullable=False, default=False),
    sa.Column("fence_ms", sa.Integer, nullable=False, default=0),
    sa.Column("phases", sa.Text, nullable=False, default="{}"),
    sa.Column("verified", sa.Text, nullable=False, default="{}"),
    sa.Column("aborts", sa.Integer, nullable=False, default=0),
    sa.Column("sweeps", sa.Integer, nullable=False, default=0),
    sa.Column("sweep_at", sa.Double, nullable=False, default=0.0),
    sa.Column("strays", sa.Integer, nullable=False, default=0),
    sa.Column("late_flags", sa.Integer, nullable=False, default=0),
    sa.Column("rollback", sa.Boolean, nullable=False, default=False),
    sa.Column("renumbering_allowed", sa.Boolean, nullable=False, default=False),
    sa.Column("renumbered", sa.BigInteger, nullable=False, default=0),
    sa.Column("returned", sa.Double, nullable=False, default=0.0),
    sa.Column("rolled_back", sa.Double, nullable=False, default=0.0),
    sa.Column("password_then", sa.String(512), nullable=False, default=""),
)

# Where the way back begins: what each mailbox was on both sides at the commit, and how far it has gone back since.
origin = sa.Table(
    "migration_origin",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("object_id", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(1000), nullable=False),
    sa.Column("wire", sa.LargeBinary, nullable=False),
    sa.Column("uidvalidity", sa.BigInteger, nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("below", sa.BigInteger, nullable=False),
    sa.Column("modseq", sa.BigInteger, nullable=False),
    sa.Column("seen_modseq", sa.BigInteger, nullable=False),
    sa.Column("uidnext", sa.BigInteger),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("highest", sa.BigInteger),
)

# UIDs of messages whose source has none, by what it knows them by.
number = sa.Table(
    "migration_number",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("uid", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("uidl", sa.String(70), nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
)

# Between shards. The address is kept here: a copy of an account that was removed meanwhile is still to be removed.
shard_move = sa.Table(
    "migration_shard_move",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True),
    sa.Column("address", sa.String(320), nullable=False),
    sa.Column("domain", sa.String(255), nullable=False, index=True),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("shard", sa.String(64), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),  # shardmoves.Stage
    sa.Column("cause", sa.String(16), nullable=False),  # asked for by "move" or by "drain"
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
    sa.Column("came_from", sa.String(20), nullable=False, default=""),  # the route's state before the fence
    sa.Column("fence_epoch", sa.BigInteger, nullable=False, default=0),
    sa.Column("halted", sa.Text, nullable=False, default=""),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("rounds", sa.Integer, nullable=False, default=0),
    sa.Column("total", sa.BigInteger, nullable=False, default=0),
    sa.Column("copied", sa.BigInteger, nullable=False, default=0),
    sa.Column("octets", sa.BigInteger, nullable=False, default=0),
    sa.Column("asked", sa.Double, nullable=False),
    sa.Column("began", sa.Double, nullable=False, default=0.0),
    sa.Column("moved", sa.Double, nullable=False, default=0.0),
    sa.Column("released", sa.Boolean, nullable=False, default=False),
    sa.Column("fence_ms", sa.Integer, nullable=False, default=0),
    sa.Column("phases", sa.Text, nullable=False, default="{}"),
    sa.Column("verified", sa.Text, nullable=False, default="{}"),
    sa.Column("aborts", sa.Integer, nullable=False, default=0),
)

# The turn of an account in the engine (turns.py); kind: of moves.
turn = sa.Table(
    "migration_turn",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("runner", sa.String(64), nullable=False, default=""),
    sa.Column("due_at", sa.Double, nullable=False, default=0.0),
    sa.Column("worked", sa.Double, nullable=False, default=0.0),
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column(
        "away", sa.Double, nullable=False, default=0.0, server_default="0"
    ),  # Unix time, see turns.Turn
    sa.Column("deaths", sa.Integer, nullable=False, default=0),
)

# Workers of the engine (presence.py).
worker = sa.Table(
    "migration_worker",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("incarnation", sa.String(32), nullable=False),
    sa.Column("place", sa.String(128), nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
    sa.Column("busy", sa.Boolean, nullable=False, default=False),
)


def _mailboxes(name: str) -> sa.Table:
    """How far each mailbox is: what the source said when everything up to it was here. UIDs are the same on both
    sides, so the store's own UIDs say which messages are here; no map is needed beside them."""
    return sa.Table(
        name,
        metadata,
        sa.Column("account_id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(1000), primary_key=True),
        sa.Column("wire", sa.LargeBinary, nullable=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("uidnext", sa.BigInteger),
        sa.Column("modseq", sa.BigInteger),
        sa.Column("messages", sa.BigInteger, nullable=False),
    )


def _rounds(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("account_id", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("gone", sa.BigInteger, nullable=False),
        sa.Column("mailboxes", sa.BigInteger, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
    )


@dataclass(frozen=True, slots=True)
class Tables:
    """Of one kind of moves."""

    move: sa.Table
    mailbox: sa.Table
    round: sa.Table


LEGACY = Tables(move, _mailboxes("migration_mailbox"), _rounds("migration_round"))
SHARDS = Tables(shard_move, _mailboxes("migration_shard_mailbox"), _rounds("migration_shard_round"))
