"""Which messages share a file: rows of `shared`, in the transaction that places the links.

A message that was delivered to several accounts, or copied, is one file with several names. Its rows in `message` and
`vault` have one number in their column `shared`; triggers of the index count them in `shared.links`, whatever it is
that adds or removes a row. So what links save is known by the index alone. Links that a backup has do not count.
"""

from collections.abc import Sequence

from sqlalchemy.engine import Connection


def share(connection: Connection, sizes: Sequence[int]) -> list[int]:
    """Numbers for files of these sizes; rows that say them must follow in the same transaction."""
    (last,) = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM shared").one()
    numbers = [last + place for place in range(1, len(sizes) + 1)]
    if numbers:
        connection.exec_driver_sql(
            "INSERT INTO shared (id, size, links) VALUES (?, ?, 0)", list(zip(numbers, sizes, strict=True))
        )
    return numbers


def set_shared(connection: Connection, rows: Sequence[tuple[int | None, int, int]]) -> None:
    """(number or None, mailbox, UID) each."""
    if rows:
        connection.exec_driver_sql(
            "UPDATE message SET shared = ? WHERE mailbox_id = ? AND uid = ?", list(rows)
        )


def settle_share(connection: Connection, number: int) -> None:
    """After its rows: a number that nobody took is gone."""
    connection.exec_driver_sql("DELETE FROM shared WHERE id = ? AND links = 0", (number,))
