"""The content of a domain's certificate: who moved, from where to where, when, with what result. docs/certificate.md
says what each member means. Numbers are integers, times are RFC 3339 in UTC, MODSEQs are text."""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

import mailplat
from mailplat.app.wiring import Platform
from mailplat.core import disk
from mailplat.core.errors import NotFound
from mailplat.core.route import RouteState
from mailplat.db.engine import Database
from migration.beside import findings as beside
from migration.certificate import downloads, events, evidence, grades, merkle, signing, tables
from migration.certificate.grades import Finding, Grade
from migration.certificate.moment import moment
from migration.compared import Compared
from migration.ledger import Ledger, Move

_MOVED = frozenset({RouteState.NEW, RouteState.FINAL})

# A fence that users may have noticed; the platform's promise is p99 below it.
NOTICED_MS = 10_000

_SCHEME = re.compile(r"\{([A-Za-z0-9.-]+)\}")


def compose(platform: Platform, domain: str, who: str) -> dict[str, Any]:
    """From what is kept; nothing is read from a mailbox. Raises NotFound for a domain without a plan."""
    moves = _moves(platform.database, platform, domain)
    approved = grades.approvals(platform.database, domain)
    accounts = [_account(platform, move) for move in moves]
    previous = last(platform.database, domain)
    downloaded = downloads.section(
        platform,
        domain,
        [move for move in moves if has_moved(move)],
        previous["certificate"].get("downloads") if previous else None,
    )
    found = findings_of({"accounts": accounts, "downloads": downloaded})
    grade = grades.worst(found)
    fences = [account["fence"]["total_ms"] for account in accounts if account["moved"]]
    return {
        "format": signing.FORMAT,
        "version": signing.VERSION,
        "domain": domain,
        "issued": moment(platform.clock.now()),
        "actor": who,
        "platform": {"hostname": platform.settings.platform.hostname, "release": mailplat.__version__},
        "grade": grade.label,
        "approved": grade is not Grade.POOR and grades.blocked_by(found, approved) is None,
        "totals": {
            "accounts": len(accounts),
            "moved": sum(account["moved"] is not None for account in accounts),
            "messages": _sum(accounts, "messages"),
            "octets": _sum(accounts, "octets"),
            "compared": _sum(accounts, "compared"),
            "changed_since": _sum(accounts, "changed_since"),
            "expunged_since": _sum(accounts, "expunged_since"),
            "fence_median_ms": round(statistics.median(fences)) if fences else None,
            "fence_longest_ms": max(fences, default=None),
        },
        "source_root": _root(accounts, "source_root"),
        "target_root": _root(accounts, "target_root"),
        "approvals": [
            {"item": a.item, "text": a.text, "by": a.who, "reason": a.reason, "at": moment(a.at)}
            for a in approved.values()
        ],
        "downloads": downloaded,
        "accounts": accounts,
    }


def has_moved(move: Move) -> bool:
    """And has not gone back."""
    return move.moved > 0 and move.route.state in _MOVED


def findings_of(content: Mapping[str, Any]) -> list[Finding]:
    """Of all accounts, and of the domain."""
    found = [finding for account in content["accounts"] for finding in _findings(account)]
    return found + downloads.findings(content)


def keep(database: Database, at: float, signed: dict[str, Any]) -> None:
    """Certificates are added, never changed."""
    content = signed["certificate"]
    with database.write() as connection:
        connection.execute(
            tables.certificate.insert().values(
                domain=content["domain"],
                at=at,
                grade=content["grade"],
                document=json.dumps(signed, ensure_ascii=False),
            )
        )
    disk.step("cert.signed")


def last(database: Database, domain: str) -> dict[str, Any] | None:
    """The newest that was signed."""
    column = tables.certificate.c
    query = sa.select(column.document).where(column.domain == domain).order_by(column.id.desc()).limit(1)
    with database.read() as connection:
        text = connection.execute(query).scalar_one_or_none()
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found


def may_close(platform: Platform, domain: str) -> str | None:
    """Why the way back must stay open; None where nothing is in the way. Who closes a domain asks this first. Raises
    NotFound for a domain without a plan."""
    signed = last(platform.database, domain)
    for move in _moves(platform.database, platform, domain):
        if not has_moved(move):
            return f"{move.address} has not moved: it is {move.state}"
        if evidence.find(platform.database, move) is None:
            return f"{move.address} was not read again since it moved; mailplat migrate report {domain}"
    if signed is None:
        return f"{domain} has no certificate; mailplat migrate report {domain}"
    content = compose(platform, domain, "")
    stopping = grades.blocked_by(findings_of(content), grades.approvals(platform.database, domain))
    if stopping is None:
        return None
    what = "and nobody can approve that" if stopping.grade is Grade.POOR else f"item {stopping.item}"
    return f"{stopping.grade.label}, {what}: {stopping.where}: {stopping.text}"


def _moves(database: Database, platform: Platform, domain: str) -> Sequence[Move]:
    moves = Ledger(database, platform.clock).moves(domain)
    if not moves:
        raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
    return sorted(moves, key=lambda each: each.address.encode())


def _account(platform: Platform, move: Move) -> dict[str, Any]:
    ledger, database = Ledger(platform.database, platform.clock), platform.database
    account = platform.directory.account_by_id(move.account_id)
    kept = evidence.find(database, move) if has_moved(move) else None
    read_at, seen = kept if kept is not None else (0.0, {})
    happened = events.of(database, move.account_id)
    scheme = _SCHEME.match(account.password_hash)
    content = {
        "address": move.address,
        "source": {"backend": move.backend, "identity": _identity(platform, move)},
        "target": {"home": str(move.route.home)},
        "state": move.state,
        "epoch": move.route.epoch,
        "fence_epoch": seen.get("fence_epoch"),
        "began": moment(move.began),
        "moved": moment(move.moved),
        "read_at": moment(read_at),
        "rounds": [
            {
                "kind": each.kind,
                "at": moment(each.at),
                "ms": round(each.seconds * 1000),
                "added": each.added,
                "changed": each.changed,
                "gone": each.gone,
                "mailboxes": each.mailboxes,
                "octets": each.octets,
            }
            for each in ledger.rounds(move.account_id)
        ],
        "fence": {"total_ms": move.fence_ms, "phases_ms": json.loads(move.phases), "aborts": move.aborts},
        "compared_before": Compared.from_json(move.verified).counts(),
        "credential": scheme[1].upper() if scheme else "known" if account.password_hash else "unknown",
        "quota": account.quota,
        "dropped_flags": json.loads(move.dropped),
        "strays": move.strays,
        "late_flags": move.late_flags,
        "held": _held(happened),
        "throttled": sum(kind == events.THROTTLED for _, kind, _ in happened),
        "mailboxes": seen.get("mailboxes", []),
        "source_root": seen.get("source_root"),
        "target_root": seen.get("target_root"),
        "digests_late": seen.get("digests_late", 0),
        "resample": seen.get("resample"),
        "pop3": seen.get("pop3"),
        "more_findings": seen.get("more_findings", 0),
        **beside.members(database, move.account_id),
    }
    found = [Finding(Grade[f["grade"].upper()], f["where"], f["text"]) for f in seen.get("findings", [])]
    found += _circumstances(move, content, kept is not None)
    if has_moved(move):
        remarks = beside.findings(database, move.account_id, move.moved, content["mailboxes"])
        found += [Finding(grade, move.address, text) for grade, text in remarks]
    found.sort(key=lambda each: -each.grade)
    content["grade"] = grades.worst(found).label
    content["findings"] = [
        {"grade": each.grade.label, "where": each.where, "text": each.text, "item": each.item}
        for each in found
    ]
    return content


def _circumstances(move: Move, content: Mapping[str, Any], read: bool) -> list[Finding]:
    """What the ledger says of the move, beside the messages."""
    found: list[Finding] = []

    def find(grade: Grade, text: str) -> None:
        found.append(Finding(grade, move.address, text))

    if not has_moved(move):
        find(Grade.INVESTIGATE, f"has not moved: it is {move.state}")
    elif not read:
        find(Grade.INVESTIGATE, "was not read again since it moved")
    if move.halted:
        find(Grade.INVESTIGATE, f"halted: {move.halted[:300]}")
    if content["credential"] == "unknown":
        find(Grade.INVESTIGATE, "no password of its owner is known here")
    if content["dropped_flags"]:
        find(
            Grade.GOOD,
            f"flags that no server may have were left behind: {', '.join(content['dropped_flags'])}",
        )
    if move.strays:
        find(Grade.GOOD, f"{move.strays} messages reached the source after the commit and were brought")
    if move.late_flags:
        find(Grade.GOOD, f"{move.late_flags} flags were changed at the source after the commit")
    if move.fence_ms > NOTICED_MS:
        find(Grade.GOOD, f"its users waited for {move.fence_ms} ms")
    return found


def _identity(platform: Platform, move: Move) -> dict[str, str]:
    """Where the source is, without its secrets."""
    try:
        backend = platform.directory.backend(move.backend)
    except NotFound:  # removed after the domain was closed
        return {}
    return {
        "imap": backend.imap,
        "pop3": backend.pop3,
        "relay": backend.relay,
        "maildir": backend.maildir,
        "master_user": backend.master_user,
    }


def _held(happened: Sequence[tuple[float, str, Mapping[str, Any]]]) -> dict[str, int]:
    held = [detail for _, kind, detail in happened if kind == events.HELD]
    return {
        "messages": sum(each["messages"] for each in held),
        "longest_ms": max((each["longest_ms"] for each in held), default=0),
    }


def _findings(account: Mapping[str, Any]) -> list[Finding]:
    return [Finding(Grade[f["grade"].upper()], f["where"], f["text"]) for f in account["findings"]]


def _sum(accounts: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(mailbox[name] for account in accounts for mailbox in account["mailboxes"])


def _root(accounts: Sequence[Mapping[str, Any]], which: str) -> str:
    """Of the accounts that were read again."""
    return merkle.root_of(
        merkle.account_leaf(each["address"], len(each["mailboxes"]), bytes.fromhex(each[which]))
        for each in accounts
        if each[which] is not None
    ).hex()
