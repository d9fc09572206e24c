"""Totals of mailboxes, accounts and pools, counted anew from the rows of messages."""

from sqlalchemy.engine import Connection

from mailplat.store.flagsets import FIRST_ROW, SEEN
from mailplat.store.maildir import account_path, mailbox_folder

_BY_MAILBOX = (
    "SELECT b.id, b.account_id, b.name, b.messages, b.unseen, b.size, count(m.uid), coalesce(sum(m.size), 0)"
    " FROM mailbox b LEFT JOIN message m ON m.mailbox_id = b.id GROUP BY b.id ORDER BY b.id"
)
_BY_SET = (
    "SELECT m.mailbox_id, m.flagset, f.mask, count(*) FROM message m LEFT JOIN flagset f"
    " ON f.mailbox_id = m.mailbox_id AND f.id = m.flagset GROUP BY m.mailbox_id, m.flagset, f.mask"
)
_BY_ACCOUNT = (
    "SELECT a.account_id, a.messages, a.octets, coalesce(sum(b.messages), 0), coalesce(sum(b.size), 0)"
    " FROM account a LEFT JOIN mailbox b ON b.account_id = a.account_id GROUP BY a.account_id"
)
_BY_POOL = (
    "SELECT pool, sum(messages), sum(octets) FROM account WHERE pool <> '' GROUP BY pool"
    " UNION ALL SELECT domain, 0, 0 FROM pool WHERE domain NOT IN (SELECT pool FROM account)"
)


def recount(connection: Connection) -> list[tuple[str, str]]:
    """Correct what is wrong. Returns (path relative to the shard, what was wrong)."""
    unseen: dict[int, int] = {}
    for mailbox_id, number, mask, count in connection.exec_driver_sql(_BY_SET):
        bits = number if number < FIRST_ROW else int(mask or "0", 16)
        unseen[mailbox_id] = unseen.get(mailbox_id, 0) + (0 if bits & SEEN else count)
    wrong: list[tuple[str, str]] = []
    for mailbox_id, account_id, name, *told, messages, size in connection.exec_driver_sql(
        _BY_MAILBOX
    ).fetchall():
        counted = [messages, unseen.get(mailbox_id, 0), size]
        if told != counted:
            connection.exec_driver_sql(
                "UPDATE mailbox SET messages = ?, unseen = ?, size = ? WHERE id = ?", (*counted, mailbox_id)
            )
            path = account_path(account_id) / mailbox_folder(mailbox_id, name)
            wrong.append((str(path), f"(messages, unseen, octets) were {told}, are {counted}"))
    for account_id, messages, octets, *counted in connection.exec_driver_sql(_BY_ACCOUNT).fetchall():
        if [messages, octets] != counted:
            connection.exec_driver_sql(
                "UPDATE account SET messages = ?, octets = ? WHERE account_id = ?", (*counted, account_id)
            )
            wrong.append(
                (
                    str(account_path(account_id)),
                    f"(messages, octets) were {[messages, octets]}, are {counted}",
                )
            )
    return wrong + _recount_pools(connection)


def _recount_pools(connection: Connection) -> list[tuple[str, str]]:
    """Behind the accounts."""
    known = {
        domain: [messages, octets]
        for domain, messages, octets in connection.exec_driver_sql(
            "SELECT domain, messages, octets FROM pool"
        )
    }
    wrong: list[tuple[str, str]] = []
    for domain, *counted in connection.exec_driver_sql(_BY_POOL).fetchall():
        told = known.get(domain, [0, 0])
        if told != counted:
            connection.exec_driver_sql(
                "INSERT INTO pool (domain, messages, octets, warned) VALUES (?, ?, ?, 0)"
                " ON CONFLICT (domain) DO UPDATE SET messages = excluded.messages, octets = excluded.octets",
                (domain, *counted),
            )
            wrong.append((f"pool {domain}", f"(messages, octets) were {told}, are {counted}"))
    return wrong
