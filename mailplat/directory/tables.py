"""The directory's tables; their revisions are in `db/schema/platform/versions`."""

import sqlalchemy as sa

metadata = sa.MetaData()

domain = sa.Table(
    "domain",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),  # A-labels, lower case
    sa.Column(
        "quota", sa.BigInteger, nullable=False, server_default="0"
    ),  # octets of all its accounts; 0: no limit
    sa.Column("app_passwords_only", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("scram", sa.Boolean, nullable=False, server_default=sa.false()),  # keys are made and kept
)

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(320), nullable=False, unique=True),  # Address.key: what is looked up
    sa.Column("local", sa.String(64), nullable=False),  # as it was given
    sa.Column("domain", sa.String(255), sa.ForeignKey("domain.name"), nullable=False, index=True),
    sa.Column("password_hash", sa.String(512), nullable=False),
    sa.Column("quota", sa.BigInteger, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    # Of mailbox names, as its clients spell them: types.Account.
    sa.Column("separator", sa.String(1), nullable=False, server_default="/"),
    sa.Column("prefix", sa.String(255), nullable=False, server_default=""),
    sqlite_autoincrement=True,  # an id that was used is never used again: it names a folder of mail
)

# Passwords of single programs and devices (app_passwords.py).
app_password = sa.Table(
    "app_password",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    sa.Column("label", sa.String(80), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256, hexadecimal
    sa.Column("scope", sa.String(80), nullable=False),  # protocols, separated by blanks
    sa.Column("created", sa.Double, nullable=False),  # Unix time
    sa.Column("expires", sa.Double, nullable=True),  # Unix time; NULL: never
    sa.UniqueConstraint("account_id", "label", name="app_password_label"),
    sa.UniqueConstraint("account_id", "digest", name="app_password_digest"),
)

# What SCRAM-SHA-256 checks a proof with (scram.py).
scram_key = sa.Table(
    "scram_key",
    metadata,
    sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("made_for", sa.String(64), nullable=False),  # which password hash they belong to
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("iterations", sa.Integer, nullable=False),
    sa.Column("stored_key", sa.LargeBinary, nullable=False),
    sa.Column("server_key", sa.LargeBinary, nullable=False),
)

# Credentials of the platform itself, each for one login over IMAP (reading_passes.py).
reading_pass = sa.Table(
    "reading_pass",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256, hexadecimal
    sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),  # the client's, of the one connection
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),  # Unix time
)

# Random octets that all processes share; made by the revision.
secret = sa.Table(
    "secret",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("octets", sa.LargeBinary, nullable=False),
)

alias = sa.Table(
    "alias",
    metadata,
    sa.Column("source", sa.String(320), primary_key=True),  # Address.key, or "@domain"
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("domain", sa.String(255), sa.ForeignKey("domain.name"), nullable=False, index=True),
    sa.Column("target_local", sa.String(64), nullable=False),
    sa.Column("target_domain", sa.String(255), nullable=False),
)

backend = sa.Table(
    "backend",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("imap", sa.String(300), nullable=False),
    sa.Column("imap_tls", sa.String(16), nullable=False),
    sa.Column("pop3", sa.String(300), nullable=False),
    sa.Column("pop3_tls", sa.String(16), nullable=False),
    sa.Column("relay", sa.String(300), nullable=False),
    sa.Column("master_user", sa.String(255), nullable=False),
    sa.Column("master_password", sa.String(255), nullable=False),
    sa.Column("master_style", sa.String(16), nullable=False),
    sa.Column("maildir", sa.String(1000), nullable=False),
    sa.Column("managesieve", sa.String(300), nullable=False),
    sa.Column("managesieve_tls", sa.String(16), nullable=False),
    sa.Column("imap_compress", sa.Boolean, nullable=False),
)

route = sa.Table(
    "route",
    metadata,
    sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("home", sa.String(80), nullable=False, index=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("fence_deadline", sa.Double, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False, index=True),  # number of the change, see route_change
)

# The last number given to a change of a route; one row. Taken inside the change's transaction, so that who has
# read all changes up to a number has missed none below it.
route_change = sa.Table(
    "route_change",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
)

# What each process has seen, and acted on but for the accounts that it names: the acknowledgement that fences want.
route_watcher = sa.Table(
    "route_watcher",
    metadata,
    sa.Column("process", sa.String(80), primary_key=True),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.Column("late", sa.JSON, nullable=False, server_default="[]"),  # account ids
    sa.Column("at", sa.Double, nullable=False),  # Unix time of the last heartbeat
)

# Where to look for what others share with an account (shares.py).
share = sa.Table(
    "share",
    metadata,
    sa.Column("owner_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    # An account; 0: all of the owner's domain. Directory.remove_account drops what an account was given.
    sa.Column("grantee_id", sa.Integer, primary_key=True),
    sa.Column("domain", sa.String(255), nullable=False),  # the owner's
    sa.Column("at", sa.Double, nullable=False),  # Unix time, when a right was given last
    sa.Index("share_grantee", "grantee_id", "domain"),
)

# Shards that accounts are moved away from (drains.py).
shard_drain = sa.Table(
    "shard_drain",
    metadata,
    sa.Column("shard", sa.String(64), primary_key=True),
    sa.Column("targets", sa.Text, nullable=False),  # names, separated by blanks; "": by placement
    sa.Column("since", sa.Double, nullable=False),  # Unix time
    sa.Column("note", sa.Text, nullable=False),  # what keeps it from going on
)

# What admins did (audit.py); rows are added and never changed.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),  # never used again
    sa.Column("at", sa.Double, nullable=False),  # Unix time
    sa.Column("who", sa.String(255), nullable=False),
    sa.Column("action", sa.String(80), nullable=False),  # "vault.hold": what, in which room
    sa.Column("subject", sa.String(320), nullable=False),  # an address, a domain
    sa.Column("before", sa.Text, nullable=False),  # JSON objects
    sa.Column("after", sa.Text, nullable=False),  # also what was asked for
    sa.Index("audit_subject", "subject", "id"),
    sqlite_autoincrement=True,
)

# Shards that were ever made (shards.py), and under "" the platform's own identity.
shard = sa.Table(
    "shard",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("identity", sa.String(80), nullable=False),
)
