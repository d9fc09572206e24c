"""The index as SQLAlchemy tables: the reference for the revisions in `mailplat/db/schema/shard` (a test compares
them). Hot paths speak SQL with tuples; nothing reads or writes through these objects.

Rows of messages are small and clustered by (mailbox_id, uid): 10,000 flags are one short scan. What is
rendered once, ten times as large, lies apart.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite numbers rows itself only where the type is spelled INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")


# UIDs have 32 bits; a mailbox's number stays below 2**31.
_SHIFT = 2**32

# `message m` with its `rendering r`.
WITH_RENDERING = f"message m JOIN rendering r ON r.id = m.mailbox_id * {_SHIFT} + m.uid"
# The same with those that have none.
WITH_OR_WITHOUT = WITH_RENDERING.replace("JOIN", "LEFT JOIN")


def rendering_id(mailbox_id: int, uid: int) -> int:
    """Clusters the renderings of a mailbox by UID; the highest one of mailbox n is rendering_id(n, MAX_UID)."""
    return mailbox_id * _SHIFT + uid


def place_of(number: int) -> tuple[int, int]:
    """(mailbox, UID) of a rendering_id."""
    return divmod(number, _SHIFT)


def _partial(name: str, column: Column[int], condition: str) -> Index:
    return Index(name, column, sqlite_where=text(condition), postgresql_where=text(condition))


account = Table(
    "account",
    metadata,
    Column("account_id", _Number, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),  # granted last; every write carries it
    Column("uidvalidity", BigInteger, nullable=False),  # given last to a mailbox; the next one is higher
    Column("octets", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("described", SmallInteger, nullable=False),  # 0: mailplat-account.json lags behind
    Column(
        "closed", SmallInteger, nullable=False
    ),  # 1: moved away or removed; only a higher epoch opens it again
    Column(
        "pool", Text, nullable=False, server_default=""
    ),  # the domain it is counted with; "": not known yet
    Column("warned", Integer, nullable=False, server_default="0"),  # level of its quota reached last, percent
)
_partial("account_undescribed", account.c.account_id, "described = 0")
_partial("account_poolless", account.c.account_id, "pool = '' AND closed = 0")

pool = Table(  # totals of the accounts of a domain that live in this shard, see store/quota.py
    "pool",
    metadata,
    Column("domain", Text, primary_key=True),  # A-labels
    Column("octets", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("warned", Integer, nullable=False),  # as account.warned, of the pool in all shards
)

quota_warning = Table(  # levels that were reached
    "quota_warning",
    metadata,
    Column("account_id", BigInteger, nullable=False),  # 0: a pool's
    Column("pool", Text, nullable=False),  # "": an account's
    Column("level", Integer, nullable=False),  # percent
    Column("at", BigInteger, nullable=False),  # when; Unix seconds
    Column("due", SmallInteger, nullable=False),  # 1: nobody was told yet; 0: kept for a day
    PrimaryKeyConstraint("account_id", "pool", "level"),
    sqlite_with_rowid=False,
)
_partial("quota_warning_due", quota_warning.c.at, "due = 1")

subscription = Table(  # outlives the mailbox of that name (RFC 3501 6.3.6)
    "subscription",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "name"),
    sqlite_with_rowid=False,
)

annotation = Table(  # RFC 5464, see store/annotations.py
    "annotation",
    metadata,
    Column("mailbox_id", BigInteger, nullable=False),  # 0: the account's
    Column("account_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),  # of the entry, in lower case
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("mailbox_id", "account_id", "name"),
    sqlite_with_rowid=False,
)

acl = Table(  # RFC 4314, see store/acl.py
    "acl",
    metadata,
    Column("mailbox_id", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),  # the owner
    Column("identifier", Text, nullable=False),  # address that it was given to, "anyone"
    Column("grantee_id", BigInteger, nullable=False),  # that address's account; 0: anyone
    Column("rights", Text, nullable=False),  # letters, at least one
    PrimaryKeyConstraint("mailbox_id", "account_id", "identifier"),
    sqlite_with_rowid=False,
)
Index("acl_account", acl.c.account_id, acl.c.grantee_id)

mailbox = Table(
    "mailbox",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),  # never used again
    Column("account_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("special_use", Text, nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uidnext", BigInteger, nullable=False),
    Column("modseq", BigInteger, nullable=False),  # HIGHESTMODSEQ; grows with every change
    Column("uid_ceiling", BigInteger, nullable=False),  # as mailplat-mailbox.json says: uidnext <= ceiling
    Column("modseq_ceiling", BigInteger, nullable=False),  # the same for modseq
    Column("messages", BigInteger, nullable=False),
    Column("unseen", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("backfills", BigInteger, nullable=False),  # appends below uidnext or modseq: caches start afresh
    Column("named", BigInteger, nullable=False),  # names of files are true up to this modseq
    Column("described", SmallInteger, nullable=False),  # 0: mailplat-mailbox.json lags behind
    Column(
        "object_id", Text, nullable=True
    ),  # MAILBOXID where it has come from elsewhere, see mailboxes.object_id
    UniqueConstraint("account_id", "name", name="mailbox_name"),
    sqlite_autoincrement=True,
)
_partial("mailbox_lagging", mailbox.c.id, "named < modseq OR described = 0")

keyword = Table(  # number 0 to 25 is the letter a to z in file names; never numbered anew
    "keyword",
    metadata,
    Column("mailbox_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("mailbox_id", "number"),
    sqlite_with_rowid=False,
)

flagset = Table(  # sets that hold a keyword; a set of system flags only is its own number, 0 to 31
    "flagset",
    metadata,
    Column("mailbox_id", BigInteger, nullable=False),
    Column("id", Integer, nullable=False),  # from 32; never given another meaning
    Column("mask", Text, nullable=False),  # hexadecimal, see flagsets.py
    PrimaryKeyConstraint("mailbox_id", "id"),
    UniqueConstraint("mailbox_id", "mask", name="flagset_mask"),
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    Column("mailbox_id", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("modseq", BigInteger, nullable=False),
    Column("flagset", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),  # octets of the file
    Column("internaldate", BigInteger, nullable=False),  # Unix seconds; the file's mtime too
    Column("zone", Integer, nullable=False),  # minutes east of UTC
    Column("saved_at", BigInteger, nullable=False),  # SAVEDATE (RFC 8514)
    Column("name", Text, nullable=False),  # of the file; in cur/ when it has ":2,", else in new/
    Column("uidl", Text, nullable=True),  # NULL: UIDVALIDITY and UID
    Column("shared", BigInteger, nullable=True),  # of table `shared`; NULL: the file is this message's alone
    PrimaryKeyConstraint("mailbox_id", "uid"),
    sqlite_with_rowid=False,
)
Index("message_modseq", message.c.mailbox_id, message.c.modseq)

rendering = Table(  # wire/mime/rendering.py; one row for each message but those in `unrendered`
    "rendering",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=False),
    Column("header_size", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=True),
    Column("sent_day", BigInteger, nullable=True),
    Column("subject", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("cc", Text, nullable=False),
    Column("bcc", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("bodystructure", LargeBinary, nullable=False),
    # NULL in rows of before: store/later.py makes both when somebody asks for them
    Column("preview", Text, nullable=True),
    Column("email_id", Text, nullable=True),
)

unrendered = (
    Table(  # messages that have no row in `rendering` yet, by the id that it will have; see rendered.py
        "unrendered",
        metadata,
        Column("id", _Number, primary_key=True, autoincrement=False),
    )
)

expunged = Table(  # RFC 7162 3.2: what is gone since a MODSEQ; UID 0 is a mark of tombstones.py
    "expunged",
    metadata,
    Column("mailbox_id", BigInteger, nullable=False),
    Column("modseq", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    PrimaryKeyConstraint("mailbox_id", "modseq", "uid"),
    sqlite_with_rowid=False,
)

dedupe = Table(
    "dedupe",
    metadata,
    Column("mailbox_id", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("modseq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("mailbox_id", "key"),
    sqlite_with_rowid=False,
)
Index("dedupe_at", dedupe.c.at)

leaving = Table(  # files and folders that no row speaks of any more and that are to be removed
    "leaving",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("account_id", BigInteger, nullable=False),
    Column("mailbox_id", BigInteger, nullable=False),  # 0: the whole account; -1: that, set aside
    Column("path", Text, nullable=False),  # relative to the shard
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
Index("leaving_account", leaving.c.account_id)
Index("leaving_mailbox", leaving.c.mailbox_id)

vault = Table(  # mail that was expunged and can be brought back, see store/vault
    "vault",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("account_id", BigInteger, nullable=False),
    Column("mailbox_id", BigInteger, nullable=False),
    Column("mailbox", Text, nullable=False),  # its name at that time
    Column("uid", BigInteger, nullable=False),  # that it had; nothing gets it again
    Column("reason", Text, nullable=False),  # "expunged", "mailbox" or "account" deleted
    Column("at", BigInteger, nullable=False),  # when; its days count from here
    Column("size", BigInteger, nullable=False),
    Column("internaldate", BigInteger, nullable=False),
    Column("zone", Integer, nullable=False),
    Column("flags", Text, nullable=False),  # with keywords, separated by spaces
    Column("file", Text, nullable=False),  # its name in the mailbox
    Column("name", Text, nullable=False),  # its name in the vault, "" until it is there
    Column("placed", SmallInteger, nullable=False),  # 0: the file is still in its mailbox's folder
    Column("restored", Integer, nullable=False),  # how often, for what is kept by a hold
    Column("sender", Text, nullable=False),  # this and what follows as in `rendering`
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("shared", BigInteger, nullable=True),  # as in `message`
    sqlite_autoincrement=True,
)
Index("vault_account", vault.c.account_id, vault.c.at)
Index("vault_at", vault.c.at)
Index(
    "vault_waiting",
    vault.c.mailbox_id,
    vault.c.file,
    sqlite_where=text("placed = 0"),
    postgresql_where=text("placed = 0"),
)

vault_owner = Table(  # what the directory may not know any more, and legal holds
    "vault_owner",
    metadata,
    Column("account_id", _Number, primary_key=True, autoincrement=False),
    Column("address", Text, nullable=False),  # when it was removed or held
    Column("removed_at", BigInteger, nullable=True),
    Column("held_at", BigInteger, nullable=True),  # NULL: no hold
    Column("hold_reason", Text, nullable=False),
    Column("hold_by", Text, nullable=False),
)

shard = Table(  # one row: which shard this is the index of, see store/identity.py
    "shard",
    metadata,
    Column("identity", Text, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("serial", BigInteger, nullable=False),
)

shared = (
    Table(  # files with more than one name; a trigger counts the rows of `message` and `vault` that say so
        "shared",
        metadata,
        Column("id", _Number, primary_key=True, autoincrement=False),
        Column("size", BigInteger, nullable=False),  # octets of the file
        Column("links", BigInteger, nullable=False),  # rows; with the last of them this one goes
    )
)

figures = Table(  # one row, number 1; triggers keep it
    "figures",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=False),
    Column("vault_messages", BigInteger, nullable=False),
    Column("vault_octets", BigInteger, nullable=False),
    Column("counted", SmallInteger, nullable=False),  # 0: from before `shared`, until `verify` has counted
)
