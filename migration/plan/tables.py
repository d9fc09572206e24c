"""Waves as they were applied, and how far they are; revision 0019 in `mailplat/db/schema/platform/versions/`."""

import sqlalchemy as sa

from migration.tables import metadata

wave = sa.Table(
    "migration_wave",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("plan", sa.String(64), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("terms", sa.Text, nullable=False),  # JSON: the rest of document.WaveTerms
    sa.Column("state", sa.String(16), nullable=False),  # states.WaveState
    sa.Column("resumes", sa.String(16), nullable=False, default=""),  # PAUSED, HALTED: the state before
    sa.Column("reason", sa.Text, nullable=False, default=""),  # why it is there, or what it waits for
    sa.Column("approved_by", sa.String(255), nullable=False, default=""),
    sa.Column("approved_at", sa.Double, nullable=False, default=0.0),  # Unix time, as all below
    sa.Column("began", sa.Double, nullable=False, default=0.0),
    sa.Column("baking_since", sa.Double, nullable=False, default=0.0),
    sa.Column("done", sa.Double, nullable=False, default=0.0),
    sa.Column("forgiven", sa.Text, nullable=False, default="{}"),  # JSON: stored.Stored
)

domain = sa.Table(
    "migration_wave_domain",
    metadata,
    sa.Column("domain", sa.String(255), primary_key=True),
    sa.Column("wave", sa.String(64), nullable=False, index=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("breach", sa.Text, nullable=False, default=""),  # what its gate said
    sa.Column("fate", sa.String(16), nullable=False, default=""),  # stored.RETURNING and so on
)
