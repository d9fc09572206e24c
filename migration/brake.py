"""The brake on deletions: whether what is gone at the source was deleted there, or is only not shown any more.

A source that shows nothing (a disk that is not mounted, rights that changed, an index that was rebuilt, an answer
that was misread) looks like a user who deleted everything. So what is gone in one round is counted over the whole
account, and too much of it halts the move before anything is removed here. Not counted is what something else than
its absence speaks for:

    marked    it carried \\Deleted when it was last seen: somebody said what was going to happen. In a mailbox of
              which nothing is left only where all that was there was marked; else it may be the mailbox that is gone.
    moved     its octets came in another mailbox of the account, with this round or with the last one that brought
              anything: a client without MOVE copies first and expunges later. One that came explains one that went.
              In the same mailbox it explains nothing: that is also what a rebuilt index looks like.
    emptied   it was in a mailbox for deleted mail or junk, or below one; and every other mailbox still shows what it
              had, or some of it.

Of an account of which nothing is left that was here before, nothing is taken for marked or emptied. What came with a
copy explains nothing: mail that is in two mailboxes all the time would explain the loss of either.

VANISHED (RFC 7162 3.2.10) is no explanation: Dovecot names messages in it whose files went away behind its back too
(seen with 2.3), and a server that has forgotten what was expunged has to name all that is not there. Nor is there any
for a mailbox that is not listed any more: deleted or not shown, it looks the same.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mailplat.store import Mailbox
from migration.book import Round, Watermark
from migration.certificate import digests
from migration.crossing import Crossing
from migration.errors import Halt
from migration.sources.contract import Survey, cut

# What is in a mailbox with one of these uses is there to be removed (RFC 6154 2).
_BINS = frozenset({"\\Trash", "\\Junk"})


@dataclass(slots=True)
class Pending:
    """A mailbox whose new and changed messages are here; what is gone is still here too."""

    mailbox: Mailbox
    mark: Watermark
    gone: list[int] = field(default_factory=list)
    marked: list[int] = field(default_factory=list)  # of `gone`: had \Deleted when they were last seen

    @property
    def name(self) -> str:
        return self.mailbox.name


@dataclass(slots=True)
class _Account:
    """Counts; messages that came in this round are none of `before`."""

    survey: Survey
    before: Mapping[str, int]  # by mailbox
    left: dict[str, set[int]]  # gone and not explained, by mailbox
    kept: dict[str, int]  # of those before, still shown at the source, by mailbox

    @property
    def unexplained(self) -> int:
        return sum(map(len, self.left.values()))

    def explain(self, name: str, uids: Collection[int]) -> int:
        """How many of these were not explained before."""
        found = self.left[name].intersection(uids)
        self.left[name] -= found
        return len(found)


async def check(
    crossing: Crossing, kind: str, survey: Survey, ours: Mapping[str, Mailbox], pending: Sequence[Pending]
) -> None:
    """`ours`: the mailboxes here as the round found them; `pending`: all that have lost messages, those that the
    source does not list too. Raises Halt."""
    if crossing.twin is not None:
        return  # our own index says what was expunged and deleted; nothing is concluded from what it does not show
    gone, total = sum(len(each.gone) for each in pending), sum(each.messages for each in ours.values())
    if not _held(crossing, gone, total):
        return
    account = _account(survey, ours, pending)
    why = {"marked \\Deleted before": _marked(account, pending)}
    if _held(crossing, account.unexplained, total):
        why["moved to another mailbox"] = await _moved(crossing, kind, account, pending)
        why["emptied from Trash or Junk"] = _emptied(account)
    reason = _held(crossing, account.unexplained, total)
    if reason:
        raise Halt(_text(crossing, account, gone, total, reason, why))


def _held(crossing: Crossing, gone: int, total: int) -> str:
    return crossing.brake.held(gone, total) if gone > crossing.move.deletions_allowed else ""


def _account(survey: Survey, ours: Mapping[str, Mailbox], pending: Sequence[Pending]) -> _Account:
    before = {name: mailbox.messages for name, mailbox in ours.items()}
    left = {each.name: set(each.gone) for each in pending}
    # One that could not be asked shows nothing.
    kept = {
        name: max(0, count - len(left.get(name, ()))) if name in survey.statuses else 0
        for name, count in before.items()
    }
    return _Account(survey, before, left, kept)


def _marked(account: _Account, pending: Sequence[Pending]) -> int:
    if not any(account.kept.values()):
        return 0
    return sum(
        account.explain(each.name, each.marked)
        for each in pending
        if account.kept.get(each.name) or len(each.marked) == len(each.gone)
    )


def _emptied(account: _Account) -> int:
    bins = [
        each.name for each in account.survey.mailboxes if each.special_use in _BINS and each.name != "INBOX"
    ]

    def is_bin(name: str) -> bool:
        return any(name == each or name.startswith(f"{each}/") for each in bins)

    others = [name for name, count in account.before.items() if count and not is_bin(name)]
    lost = any(not account.kept[name] and account.left.get(name, True) for name in others)
    if lost or not any(account.kept[name] for name in others):
        return 0
    return sum(account.explain(name, list(uids)) for name, uids in account.left.items() if is_bin(name))


async def _moved(crossing: Crossing, kind: str, account: _Account, pending: Sequence[Pending]) -> int:
    last = await crossing.book(crossing.ledger.last_round, crossing.account_id)
    if kind == "copy" or last is None:
        return 0
    waiting: defaultdict[bytes, dict[str, list[int]]] = defaultdict(dict)  # by octets, by mailbox
    for each in pending:
        found = await _octets(crossing, each.name, each.mark.status.uidvalidity, account.left[each.name])
        for uid, sha256 in found.items():
            waiting[sha256].setdefault(each.name, []).append(uid)
    gone = {each.name: each.gone for each in pending}
    done = 0
    for mailbox in (await crossing.target.mailboxes()).values() if waiting else ():
        came = (await _came(crossing, mailbox, _after(last))).difference(gone.get(mailbox.name, ()))
        for sha256 in (await _octets(crossing, mailbox.name, mailbox.uidvalidity, came)).values():
            places = waiting.get(sha256, {})
            name = next((name for name, uids in places.items() if uids and name != mailbox.name), None)
            if name is not None:
                done += account.explain(name, [places[name].pop()])
    return done


def _after(last: Round) -> int:
    """What was stored behind this second came with the last round or with this one; with a copy nothing came."""
    return int(last.at + last.seconds) if last.kind == "copy" else int(last.at) - 1


async def _came(crossing: Crossing, mailbox: Mailbox, after: int) -> set[int]:
    """UIDs that were stored here behind that second."""
    found: set[int] = set()
    for span in cut((await crossing.target.snapshot(mailbox.id)).uids):
        rows = await crossing.target.rows(mailbox.id, ("uid", "saved_at"), None, span)
        found.update(uid for uid, saved_at in rows if saved_at > after)
    return found


async def _octets(
    crossing: Crossing, mailbox: str, uidvalidity: int, uids: Collection[int]
) -> dict[int, bytes]:
    """SHA-256 by UID, of those that have one."""
    if not uids:
        return {}
    database, account_id = crossing.ledger.database, crossing.account_id
    return await crossing.book(digests.some, database, account_id, mailbox, uidvalidity, set(uids))


def _text(
    crossing: Crossing, account: _Account, gone: int, total: int, reason: str, why: Mapping[str, int]
) -> str:
    unexplained = account.unexplained
    where = ", ".join(f"{name} ({len(uids)})" for name, uids in account.left.items() if uids)
    explained = ", ".join(f"{count} {what}" for what, count in why.items() if count)
    return (
        f"{gone} of {total} messages are gone at the source, {unexplained} of them unexplained ({reason}):"
        f" {where[:300]}.{f' Explained: {explained}.' if explained else ''} Nothing was deleted here. If that is"
        # All that is gone: when it is looked at again less may be explained.
        f" right: mailplat migrate resume {crossing.move.domain} --allow-deletions {gone}"
    )
