"""Databases: the one place that knows the dialects, the group-commit writer, and the schema's revisions.

SQLAlchemy Core, synchronous, called from bounded threads (`core.executors`). `engine` is the only module that
makes engines; `driver` runs SQLite's statements that clients wait for; `writer` groups many small writes into one
commit; `schema/` holds two histories of Alembic revisions, `platform` (directory, queue, ledger) and `shard` (the
index beside a shard's files).

Invariants: a write transaction begins with BEGIN IMMEDIATE on SQLite (a deferred one that upgrades fails at
once under load, whatever the busy timeout); no transaction is held across an await; a commit that returned is
on disk (synchronous=FULL).
"""
