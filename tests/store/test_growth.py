"""No statement that a client causes reads a table from end to end: what it costs would grow with the mailbox, the
accounts, or what was ever expunged.

SQLite is asked how it would run each statement of a shard's day, on an index without statistics as every shard has
it: nothing here runs ANALYZE, so that a plan is the same in every shard and does not change overnight.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailplat.core.route import Residence
from mailplat.store import StoreLimits
from mailplat.store.acl import Grantee
from mailplat.store.tombstones import forget_tombstones
from mailplat.store.vault.prune import prune
from tests.store.conftest import HOME, Rig, letter, new

# What has no more rows than there is work waiting: `leaving` (l), partial indexes, removed accounts (o); and what a
# statement brings along or has read already.
SHORT = re.compile(
    r"(l|leaving|o|vault_owner)\b|\w+ USING (COVERING )?INDEX (account_undescribed|mailbox_lagging|vault_waiting)"
    r"|wanted|\d+ CONSTANT ROWS?|\(subquery-\d+\)"
)

Statement = tuple[str, Any]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "s1", StoreLimits(tombstones=3))
    yield rig
    rig.close()


@contextmanager
def recorded(rig: Rig) -> Iterator[dict[str, Statement]]:
    """Every statement, once, with values it was run with."""
    found: dict[str, Statement] = {}

    def hear(_connection: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        shape = re.sub(r"(\(\?, \?\)|\?)(, (\(\?, \?\)|\?))+", r"\1...", text)
        found.setdefault(shape, (text, values[0] if many else values))

    engine = rig.shard.site.database.engine
    sa.event.listen(engine, "before_cursor_execute", hear)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", hear)


def scans(rig: Rig, statement: Statement) -> list[str]:
    text, values = statement
    if not text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
        return []
    with rig.shard.site.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
    found = [row[3].removeprefix("SCAN ") for row in plan if row[3].startswith("SCAN ")]
    return [each for each in found if not SHORT.match(each)]


def day(rig: Rig) -> None:
    shard, inbox = rig.shard, rig.inbox.id
    shard.create(HOME, "Box")
    rig.append(new(letter("kept"), dedupe="k1"), new(letter("too"), flags=("\\Seen", "word")))
    rig.fill(20)
    rig.deliver([(HOME, "INBOX", 0), (Residence(2, "s1", 1), "INBOX", 0)], new(dedupe="k2"))
    box = shard.mailbox(HOME, "Box").id
    shard.mailboxes(HOME)
    who = Grantee(2, "bob@example.test", anyone=True)
    shard.change_acl(HOME, box, who.key, who.account_id, "", frozenset("lr"))
    shard.create(HOME, "Box/Below")
    assert shard.rights(HOME, box, who) == shard.granted(HOME, who)[box]
    shard.acl(HOME, box)
    shard.grantees(HOME)
    shard.snapshot(HOME, inbox)
    before = rig.inbox.modseq
    shard.store_flags(HOME, inbox, [(1, 3), (5, 6)], "add", ["\\Deleted", "other"])
    shard.snapshot(HOME, inbox)
    shard.listing(HOME, inbox)
    rig.fill(1)
    shard.listing(HOME, inbox)
    shard.rows(HOME, inbox, [(1, 4), (8, 9)], ["uid", "flags", "envelope", "uidl"])
    shard.rows(HOME, inbox, [(1, 4)], ["uid", "size"])
    shard.octets(HOME, inbox, 4)
    shard.copy(HOME, inbox, [(7, 9)], "Box")
    shard.move(HOME, inbox, [(10, 11)], "Box")
    shard.settle_names()
    shard.expunge(HOME, inbox, None)
    shard.expunge_uids(HOME, box, [(1, 1)])
    shard.changes(HOME, inbox, before)
    shard.subscribe(HOME, "Box", True)
    shard.usage(HOME)
    forget_tombstones(shard.site)
    shard.changes(HOME, inbox, before)
    shard.sweep()
    prune(shard.site)
    shard.rename(HOME, "Box", "Other")
    shard.delete(HOME, "Other")
    shard.sweep()
    shard.settle_names()


def test_nothing_is_read_from_end_to_end(rig: Rig) -> None:
    with recorded(rig) as statements:
        day(rig)
    assert len(statements) > 40
    found = [f"{bad}: {text}" for text, each in statements.items() if (bad := scans(rig, each))]
    assert found == [], "\n".join(found)


def test_a_scan_would_be_found(rig: Rig) -> None:
    assert scans(rig, ("SELECT uid FROM message WHERE size > ?", (3,))) == ["message"]
    assert scans(rig, ("SELECT uid FROM message WHERE mailbox_id = ? AND size > ?", (1, 3))) == []
