"""Tables of revision 0016."""

import sqlalchemy as sa

metadata = sa.MetaData()

# `account` is the directory's; rows go with it (the revision has the foreign keys).
script = sa.Table(
    "sieve_script",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("octets", sa.LargeBinary, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("changed", sa.Double, nullable=False),  # Unix time
)

answer = sa.Table(
    "vacation_answer",
    metadata,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, primary_key=True),  # vacation.answer_key
    sa.Column("until", sa.Double, nullable=False),  # Unix time
)
