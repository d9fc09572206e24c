"""The two tables of the queue and every statement on them. Each function runs inside its caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mailplat.core.address import Address
from mailplat.core.envelope import Envelope, Peer, Wish
from mailplat.core.outcome import Outcome
from mailplat.core.reply import Reply
from mailplat.queue.records import (
    Entry,
    Filter,
    Leased,
    LeasedRecipient,
    QueuedMessage,
    QueueRecipient,
    StaleLease,
)

T = TypeVar("T")

_metadata = sa.MetaData()

message = sa.Table(
    "queue_message",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text) for name in ("spool", "sender_local", "sender_domain", "body")),
    sa.Column("utf8", sa.Boolean),
    sa.Column("size", sa.BigInteger),
    sa.Column("arrived", sa.Double),
    sa.Column("require_tls", sa.Boolean),
    *(sa.Column(name, sa.Text) for name in ("ret", "envid")),
    *(sa.Column(name, sa.Text) for name in ("peer_address", "peer_helo", "peer_account")),
)

recipient = sa.Table(
    "queue_recipient",
    _metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
    *(sa.Column(name, sa.Text) for name in ("message_id", "spool", "local", "domain")),
    sa.Column("account_id", sa.BigInteger),
    sa.Column("state", sa.Text),
    sa.Column("due", sa.Double),
    sa.Column("lease", sa.BigInteger),
    sa.Column("worker", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("reply_code", sa.Integer),
    *(sa.Column(name, sa.Text) for name in ("reply_status", "reply_text", "remote", "notify", "orcpt")),
)

WAITING, HELD, LEASED = "waiting", "held", "leased"

# Values in one IN list; SQLite before 3.32 stops at 999 parameters.
_CHUNK = 500

# Recipients of one message in one lease, at most; as many as one SMTP transaction brings unless set higher. What is
# beyond has a lease of its own.
_TOGETHER = 1000


def insert(
    connection: Connection, spool: str, stored: QueuedMessage, recipients: Sequence[QueueRecipient]
) -> None:
    envelope, peer = stored.envelope, stored.peer
    connection.execute(
        message.insert(),
        {
            "id": stored.id,
            "spool": spool,
            "sender_local": envelope.reverse_path.local,
            "sender_domain": envelope.reverse_path.domain,
            "body": envelope.body,
            "utf8": envelope.utf8,
            "require_tls": envelope.require_tls,
            "ret": envelope.ret,
            "envid": envelope.envid,
            "size": stored.size,
            "arrived": stored.arrived,
            "peer_address": peer.address,
            "peer_helo": peer.helo,
            "peer_account": peer.account,
        },
    )
    connection.execute(
        recipient.insert(),
        [
            {
                "message_id": stored.id,
                "spool": spool,
                "local": one.address.local,
                "domain": one.address.domain,
                "account_id": one.account_id,
                "state": WAITING,
                "due": stored.arrived,
                "lease": 0,
                "worker": "",
                "attempts": 0,
                "reply_code": 0,
                "reply_status": "",
                "reply_text": "",
                "remote": "",
                "notify": one.wish.notify,
                "orcpt": one.wish.orcpt,
            }
            for one in recipients
        ],
    )


def lease(
    connection: Connection, spool: str, worker: str, limit: int, now: float, deadline: float
) -> list[Leased]:
    """The messages of up to `limit` recipients that are due, the longest waiting first, each with all its recipients
    that are due: who gets one message in one shard shares one file."""
    first = (
        sa.select(recipient.c.id)
        .where(recipient.c.spool == spool, recipient.c.due <= now)
        .order_by(recipient.c.due, recipient.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)  # PostgreSQL; SQLite has one writer anyway
    )
    columns = recipient.c
    ids = dict.fromkeys(connection.execute(first).scalars())
    if not ids:
        return []
    messages = sa.select(columns.message_id).where(columns.id.in_(ids))
    mates = (
        sa.select(columns.id)
        .where(columns.message_id.in_(messages), columns.spool == spool, columns.due <= now)
        .order_by(columns.due, columns.id)
        .limit(_TOGETHER)
        .with_for_update(skip_locked=True)
    )
    ids |= dict.fromkeys(connection.execute(mates).scalars())
    taken = [row for some in _chunks(list(ids)) for row in _take(connection, some, worker, deadline)]
    by_message: dict[str, list[LeasedRecipient]] = defaultdict(list)
    for row in sorted(taken, key=lambda row: row.id):
        by_message[row.message_id].append(_leased(row))
    found = connection.execute(message.select().where(message.c.id.in_(by_message))).all()
    return [
        Leased(_queued(row), tuple(by_message[row.id]), deadline)
        for row in sorted(found, key=lambda row: row.arrived)
    ]


def _take(connection: Connection, ids: Sequence[int], worker: str, deadline: float) -> Sequence[Any]:
    columns = recipient.c
    return connection.execute(
        recipient.update()
        .where(columns.id.in_(ids))
        .values(state=LEASED, due=deadline, lease=columns.lease + 1, worker=worker)
        .returning(
            columns.message_id,
            columns.id,
            columns.local,
            columns.domain,
            columns.account_id,
            columns.attempts,
            columns.lease,
            columns.notify,
            columns.orcpt,
        )
    ).all()


def _leased(row: Any) -> LeasedRecipient:
    wish = Wish(row.notify, row.orcpt)
    return LeasedRecipient(
        row.id, Address(row.local, row.domain), row.account_id, row.attempts, row.lease, wish
    )


def extend(connection: Connection, leased: Leased, deadline: float) -> bool:
    """A new deadline for what is still ours; False where nothing is."""
    kept = [
        connection.execute(
            recipient.update().where(_ours(some)).values(due=deadline).returning(recipient.c.id)
        ).all()
        for some in _chunks(leased.recipients)
    ]
    return any(kept)


def settle(
    connection: Connection,
    leased: Leased,
    gone: Collection[int],
    deferred: Mapping[int, tuple[Outcome, float]],
    held: Collection[int],
    now: float,
    held_until: float,
) -> tuple[bool, bool]:
    """Delete what is `gone`, write back what is not. Two answers: whether the message has no recipient left and
    its row was deleted; whether any of `gone` was there to be deleted. `deferred` has the outcome and when to
    try again; who is named nowhere is due at once. What an admin removed, or an earlier call settled, is passed
    over, so that a call whose answer was lost may be repeated. Raises StaleLease."""
    # Two workers may settle two recipients of one message: the row lock makes the second see the first's deletes.
    connection.execute(
        sa.select(message.c.id).where(message.c.id == leased.message.id).with_for_update()
    ).all()
    columns = (recipient.c.id, recipient.c.lease, recipient.c.state)
    rows = [
        row
        for some in _chunks(leased.recipient_ids)
        for row in connection.execute(sa.select(*columns).where(recipient.c.id.in_(some))).all()
    ]
    leases = {one.id: one.lease for one in leased.recipients}
    if any(leases[row.id] != row.lease for row in rows):
        raise StaleLease(f"{leased.message.id}: the lease ran out and another worker has it")
    ours = {row.id for row in rows if row.state == LEASED}
    deleted = ours.intersection(gone)
    for some in _chunks(list(deleted)):
        connection.execute(recipient.delete().where(recipient.c.id.in_(some)))
    update = recipient.update().where(recipient.c.id == sa.bindparam("_id"))
    for id_ in ours - deleted:
        if id_ in deferred:
            outcome, due = deferred[id_]
            connection.execute(update.values(**_deferral(outcome, due)), {"_id": id_})
        elif id_ in held:
            connection.execute(update.values(state=HELD, due=held_until), {"_id": id_})
        else:
            connection.execute(update.values(state=WAITING, due=now), {"_id": id_})
    return bool(_delete_empty(connection, [leased.message.id])), bool(deleted)


def remove(connection: Connection, wanted: Filter) -> tuple[int, list[str]]:
    """Delete recipients; how many, and the ids of messages that have none left and were deleted too."""
    rows = connection.execute(
        sa.select(recipient.c.id, recipient.c.message_id)
        .join(message, message.c.id == recipient.c.message_id)
        .where(*_conditions(wanted))
    ).all()
    for start in range(0, len(rows), _CHUNK):
        chunk = [row.id for row in rows[start : start + _CHUNK]]
        connection.execute(recipient.delete().where(recipient.c.id.in_(chunk)))
    return len(rows), _delete_empty(connection, sorted({row.message_id for row in rows}))


def hasten(connection: Connection, wanted: Filter, now: float) -> int:
    """Make waiting and held recipients due; how many."""
    matching = sa.select(recipient.c.id).join(message, message.c.id == recipient.c.message_id)
    found = connection.execute(
        recipient.update()
        .where(
            recipient.c.id.in_(matching.where(*_conditions(wanted))),
            recipient.c.state != LEASED,
            recipient.c.due > now,
        )
        .values(due=now)
    )
    return found.rowcount


def next_due(connection: Connection, spool: str) -> float | None:
    return connection.execute(
        sa.select(recipient.c.due).where(recipient.c.spool == spool).order_by(recipient.c.due).limit(1)
    ).scalar()


def held(connection: Connection, account_id: int) -> int:
    """How many recipients of an account are in the queue, in whatever state."""
    found = connection.execute(
        sa.select(sa.func.count()).select_from(recipient).where(recipient.c.account_id == account_id)
    )
    return int(found.scalar_one())


def known(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of `ids` that have a row."""
    found: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        found.update(connection.execute(sa.select(message.c.id).where(message.c.id.in_(chunk))).scalars())
    return found


def counts(connection: Connection) -> dict[str, int]:
    """Recipients by state, messages, octets."""
    by_state = {WAITING: 0, HELD: 0, LEASED: 0}
    states = sa.select(recipient.c.state, sa.func.count()).group_by(recipient.c.state)
    by_state.update((state, count) for state, count in connection.execute(states))
    messages, octets = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(message.c.size), 0))
    ).one()
    return {**by_state, "messages": messages, "octets": int(octets)}


def entries(connection: Connection, wanted: Filter, limit: int) -> list[Entry]:
    """Unsettled recipients, the oldest message first."""
    found = connection.execute(
        sa.select(message, recipient)
        .join(recipient, recipient.c.message_id == message.c.id)
        .where(*_conditions(wanted))
        .order_by(message.c.arrived, recipient.c.id)
        .limit(limit)
    ).mappings()
    return [_entry(row) for row in found]


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    m, r = message.c, recipient.c
    full = sa.func.lower(r.local + "@" + r.domain)
    sender = sa.func.lower(m.sender_local + "@" + m.sender_domain)
    pairs: list[tuple[object, sa.ColumnElement[bool]]] = [
        (wanted.message_id, m.id == wanted.message_id),
        (wanted.sender, sender == wanted.sender.lower()),
        (wanted.address, full == wanted.address.lower()),
        (wanted.domain, r.domain == wanted.domain.lower()),
        (wanted.account_id, r.account_id == wanted.account_id),
        (wanted.state, r.state == wanted.state),
    ]
    return [condition for given, condition in pairs if given]


def _deferral(outcome: Outcome, due: float) -> dict[str, Any]:
    return {
        "state": WAITING,
        "due": due,
        "attempts": recipient.c.attempts + 1,
        "reply_code": outcome.reply.code,
        "reply_status": outcome.reply.status,
        "reply_text": outcome.reply.text,
        "remote": outcome.remote,
    }


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _ours(recipients: Sequence[LeasedRecipient]) -> sa.ColumnElement[bool]:
    """Still leased under our number; what we settled already is not."""
    numbers = (sa.and_(recipient.c.id == one.id, recipient.c.lease == one.lease) for one in recipients)
    return sa.and_(recipient.c.state == LEASED, sa.or_(*numbers))


def _delete_empty(connection: Connection, message_ids: Sequence[str]) -> list[str]:
    """Delete messages that have no recipient left; their ids."""
    left = sa.exists().where(recipient.c.message_id == message.c.id)
    gone: list[str] = []
    for start in range(0, len(message_ids), _CHUNK):
        chunk = message_ids[start : start + _CHUNK]
        delete = message.delete().where(message.c.id.in_(chunk), ~left).returning(message.c.id)
        gone.extend(connection.execute(delete).scalars())
    return gone


def _queued(row: Row[Any]) -> QueuedMessage:
    sender = Address(row.sender_local, row.sender_domain)
    envelope = Envelope(sender, row.body, row.utf8, row.size, bool(row.require_tls), row.ret, row.envid)
    peer = Peer(row.peer_address, 0, helo=row.peer_helo, account=row.peer_account)
    return QueuedMessage(row.id, envelope, peer, row.size, row.arrived)


def _entry(row: Any) -> Entry:
    code = row[recipient.c.reply_code]
    return Entry(
        message_id=row[message.c.id],
        sender=Address(row[message.c.sender_local], row[message.c.sender_domain]),
        recipient=Address(row[recipient.c.local], row[recipient.c.domain]),
        account_id=row[recipient.c.account_id],
        size=row[message.c.size],
        arrived=row[message.c.arrived],
        state=row[recipient.c.state],
        due=row[recipient.c.due],
        attempts=row[recipient.c.attempts],
        last=Reply(code, row[recipient.c.reply_status], row[recipient.c.reply_text]) if code else None,
        remote=row[recipient.c.remote],
    )
