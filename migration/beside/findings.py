"""What a certificate says of what lies beside mail."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from mailplat.core.rights import ALL, NONE, render
from mailplat.db.engine import Database
from mailplat.directory import tables as directory
from mailplat.sieve import tables as sieve
from migration.beside import kept
from migration.beside.kept import Kept
from migration.beside.scripts import digest
from migration.certificate.grades import Grade

Remark = tuple[Grade, str]

_NAMES = {
    kept.SCRIPTS: "Sieve scripts",
    kept.RIGHTS: "rights of others",
    kept.ANSWERS: "answers of a vacation",
}


def members(database: Database, account_id: int) -> dict[str, Any]:
    """Of the account in a certificate; null where nobody said where to look for it."""
    known = kept.of(database, account_id)
    scripts, answers, rights = (known.get(kind) for kind in (kept.SCRIPTS, kept.ANSWERS, kept.RIGHTS))
    return {
        "scripts": None
        if scripts is None
        else {
            "source": scripts.source,
            "unread": scripts.unread,
            "active": scripts.active,
            "scripts": [{"name": name, **each} for name, each in sorted(scripts.things.items())],
            "left": [asdict(each) for each in scripts.left],
        },
        "shared": None
        if rights is None
        else {
            "source": rights.source,
            "unread": rights.unread,
            "mailboxes": sorted(
                (
                    {
                        "name": each["name"],
                        "rights": [
                            {"identifier": who, "rights": letters}
                            for who, letters in sorted(each["rights"].items())
                        ],
                    }
                    for each in rights.things.values()
                ),
                key=lambda one: str(one["name"]),
            ),
            "left": [asdict(each) for each in rights.left],
        },
        "vacation_answers": None
        if answers is None
        else {"source": answers.source, "unread": answers.unread, **answers.things},
    }


def findings(
    database: Database, account_id: int, moved: float, mailboxes: Iterable[Mapping[str, Any]] = ()
) -> list[Remark]:
    """Of an account that has moved, at `moved`; `mailboxes` as they were read again since."""
    known = kept.of(database, account_id)
    return [
        *_unread(known),
        *_left(known),
        *_scripts(database, account_id, moved, known.get(kept.SCRIPTS), remembered=kept.ANSWERS in known),
        *_rights(known.get(kept.RIGHTS, Kept()), mailboxes),
    ]


def _unread(known: Mapping[str, Kept]) -> Iterator[Remark]:
    for kind, content in known.items():
        if content.unread and kind in _NAMES:
            # Whoever is answered twice notices, and nothing is lost.
            grade = Grade.GOOD if kind == kept.ANSWERS else Grade.INVESTIGATE
            yield grade, f"{_NAMES[kind]} could not be read inside the fence: {content.unread}"


def _left(known: Mapping[str, Kept]) -> Iterator[Remark]:
    for kind, name in _NAMES.items():
        for each in known.get(kind, Kept()).left:
            yield Grade.INVESTIGATE, f"{name}, not here as it was: {each.what}: {each.why}"


def _scripts(
    database: Database, account_id: int, moved: float, known: Kept | None, *, remembered: bool
) -> Iterator[Remark]:
    column = sieve.script.c
    query = sa.select(column.name, column.octets, column.active, column.changed)
    with database.read() as connection:
        rows = connection.execute(query.where(column.account_id == account_id)).fetchall()
    here = {name: (digest(bytes(octets)), changed) for name, octets, _, changed in rows}
    active = next((name for name, _, on, _ in rows if on), "")
    if active:
        yield Grade.INVESTIGATE, f"Sieve script {active!r} is stored and does not run yet"
        octets = next(bytes(octets) for _, octets, on, _ in rows if on)
        if b"vacation" in octets.lower() and not remembered:
            yield (
                Grade.GOOD,
                "whom its vacation has answered is not known here: that can be read from a mount only",
            )
    if known is None:
        return
    for name, each in known.things.items():
        said, changed = here.get(name, ("", 0.0))
        if said == each["sha256"]:
            continue
        if changed > moved:
            yield Grade.GOOD, f"Sieve script {name!r} was changed here since the commit"
        else:
            what = "has other octets than" if said else "is not here as"
            yield Grade.INVESTIGATE, f"Sieve script {name!r} {what} inside the fence"
    if active != known.active:
        yield Grade.GOOD, f"the active Sieve script was {known.active!r} at the commit, is {active!r}"


def guests_elsewhere(database: Database, accounts: Sequence[int]) -> dict[int, set[str]]:
    """Of those of the accounts that share mailboxes: addresses of accounts on a backend that have rights on them and
    are none of `accounts` themselves."""
    query = sa.select(kept.table.c.account_id, kept.table.c.content).where(kept.table.c.kind == kept.RIGHTS)
    away = (
        sa.select(directory.account.c.id, directory.account.c.key)
        .join(directory.route, directory.route.c.account_id == directory.account.c.id)
        .where(directory.route.c.home.startswith("backend:"))
    )
    wanted = set(accounts)
    with database.read() as connection:
        rows = [row for row in connection.execute(query).fetchall() if row[0] in wanted]
        there = {row[0]: row[1] for row in connection.execute(away)} if rows else {}
    found: dict[int, set[str]] = {}
    for owner, text in rows:
        numbers = {
            each for thing in Kept.from_json(text).things.values() for each in thing["numbers"].values()
        }
        names = {there[each] for each in numbers - wanted if each in there}
        if names:
            found[owner] = names
    return found


def _rights(known: Kept, mailboxes: Iterable[Mapping[str, Any]]) -> Iterator[Remark]:
    """Those that our own server shows the owner, beside those of the fence. Whoever changed them since cannot be told
    from who lost them."""
    then = {each["name"]: each["rights"] for each in known.things.values()}
    for mailbox in mailboxes:
        shown = {each["identifier"]: ALL.intersection(each["rights"]) for each in mailbox["rights"]}
        for who, letters in sorted(then.get(mailbox["name"], {}).items()):
            lost = render(ALL.intersection(letters) - shown.get(who, NONE))
            if lost and shown:
                text = f"{mailbox['name']}: {who} had {letters} inside the fence and has not {lost} any more"
                yield Grade.INVESTIGATE, text


def running(database: Database, accounts: Sequence[int]) -> set[int]:
    """Those of the accounts whose mail a script sorts on the legacy platform: here none runs yet."""
    known = sa.select(kept.table.c.account_id, kept.table.c.content).where(kept.table.c.kind == kept.SCRIPTS)
    with database.read() as connection:
        rows = connection.execute(known).fetchall()
    wanted = set(accounts)
    return {number for number, text in rows if number in wanted and Kept.from_json(text).active}
