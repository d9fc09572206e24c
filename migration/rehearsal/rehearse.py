"""One account: the script on both sides, and what differs."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError
from mailplat.core.limits.rehearsal import RehearsalLimits
from mailplat.core.route import RouteState
from mailplat.directory import Backend
from mailplat.directory.audit import Audit
from migration.errors import Misbehaviour
from migration.ledger import Ledger, Move
from migration.rehearsal import answers, judgement, script
from migration.rehearsal.answers import Answer
from migration.rehearsal.doors import CopyDoors, copy_doors
from migration.rehearsal.judgement import Difference, Notice
from migration.rehearsal.pop3 import compare_pop3
from migration.rehearsal.script import Question
from migration.sources.contract import SourceMailbox
from migration.sources.imap_account import ImapAccount


@dataclass(slots=True)
class Rehearsal:
    address: str
    listed: int = 20  # differences of one command in one mailbox, at most
    commands: int = 0  # that were asked of both
    mailboxes: int = 0  # that the whole script was asked of
    differences: list[Difference] = field(default_factory=list)
    more: int = 0  # differences that are not listed
    not_compared: list[tuple[str, str]] = field(default_factory=list)  # a mailbox, or "", and why

    @property
    def worst(self) -> Notice:
        order = list(Notice)
        return max((each.notice for each in self.differences), key=order.index, default=Notice.NO)


class Pair:
    """One connection to each side."""

    def __init__(
        self, there: ImapAccount, here: ImapAccount, found: Rehearsal, limits: RehearsalLimits
    ) -> None:
        self.there = there
        self.here = here
        self.found = found
        self.limits = limits

    async def ask(self, question: Question) -> tuple[Answer, Answer]:
        """A refusal, or what cannot be read, is an answer too, with the key "refused". Raises Unavailable, and
        Misbehaviour where the connection is of no use any more."""
        self.found.commands += 1
        return await asyncio.gather(
            _answer(self.there, question.there, question), _answer(self.here, question.here, question)
        )

    async def compare(self, mailbox: str, question: Question) -> list[Difference]:
        """None for what one of both does not offer."""
        if question.needs and not all(
            question.needs.encode() in side.capabilities for side in (self.there, self.here)
        ):
            return []
        return _differences(mailbox, question, *(await self.ask(question)))


async def _answer(side: ImapAccount, pieces: Sequence[bytes], question: Question) -> Answer:
    status, text, responses = await side.ask(*pieces)
    try:
        if status != "OK":
            return {"refused": f"{status} {text.decode('utf-8', 'backslashreplace')}"}
        return question.reader(responses)
    except (Misbehaviour, ValueError, IndexError) as error:
        return {"refused": f"unreadable: {error}"}
    finally:
        answers.let_go(responses)


def _differences(mailbox: str, question: Question, there: Answer, here: Answer) -> list[Difference]:
    if ("refused" in there) != ("refused" in here):
        why = "refused on one side only"
        old, new = there.get("refused", "OK"), here.get("refused", "OK")
        return [Difference(mailbox, question.shown, "", old, new, Notice.YES, why)]
    if "refused" in there:
        return []
    found = []
    for key in {**there, **here}:
        old, new = there.get(key), here.get(key)
        if old != new:
            found.append(Difference(mailbox, question.shown, key, old, new, *question.judge(key, old, new)))
    return found


async def rehearse(platform: Platform, move: Move, who: str) -> Rehearsal:
    """Of an account that is READY. What cannot be compared now is said in the result. Raises Unavailable where the
    directory cannot be read."""
    found = Rehearsal(move.address, platform.settings.migration.rehearsal.listed)
    limits = platform.settings.migration.rehearsal
    run = platform.executors.run
    audit = Audit(platform.database, platform.clock)
    await run(
        "migration", lambda: audit.record(who, "migrate.rehearse", move.address, after={"shard": move.shard})
    )
    backend = await run("directory", platform.directory.backend, move.backend)
    try:
        async with copy_doors(platform, move) as doors:
            with tempfile.TemporaryDirectory(prefix="mailplat-rehearsal-") as spool:
                await _over_imap(doors, backend, Path(spool), found, limits)
            if backend.pop3:
                await _over_pop3(doors, backend, found, limits)
    except (MailplatError, OSError) as error:
        found.not_compared.append(("", str(error)))
    now = await run("migration", Ledger(platform.database, platform.clock).find_move, move.account_id)
    if now.route.state is not RouteState.READY:
        return Rehearsal(move.address, not_compared=[("", f"is {now.state} now: what was read says nothing")])
    return found


async def _over_pop3(doors: CopyDoors, backend: Backend, found: Rehearsal, limits: RehearsalLimits) -> None:
    """A user who is there over POP3 has the maildrop for himself (RFC 1939 4)."""
    try:
        differences, asked = await compare_pop3(backend, found.address, doors, limits.tops)
    except MailplatError as error:
        found.not_compared.append(("POP3", str(error)))
        return
    found.commands += asked
    _list(found, differences)


async def _over_imap(
    doors: CopyDoors, backend: Backend, spool: Path, found: Rehearsal, limits: RehearsalLimits
) -> None:
    there = await ImapAccount.open(backend, found.address, spool)
    try:
        here = await doors.imap(spool)
        try:
            await _both(Pair(there, here, found, limits))
        finally:
            await here.close()
    finally:
        await there.close()


async def _both(pair: Pair) -> None:
    found, limits = pair.found, pair.limits
    for question in script.ACCOUNT:
        _list(found, await pair.compare("", question))
    old, new = (await pair.there.survey(), await pair.here.survey())
    ours = {each.name: each for each in new.mailboxes}
    common = [(each, ours[each.name]) for each in old.mailboxes if each.name in ours]
    sizes = {name: status.messages for name, status in old.statuses.items()}
    common.sort(key=lambda each: _rank(each[0], sizes))
    for there, here in common:
        _list(found, await pair.compare(there.name, script.status(there.wire, here.wire)))
    for at, (there, here) in enumerate(common):
        why = ""
        if at >= limits.mailboxes:
            why = f"only its STATUS: {limits.mailboxes} mailboxes are looked into"
        elif sizes.get(there.name, 0) > limits.messages:
            why = f"only its STATUS: it has more than {limits.messages} messages"
        if why:
            found.not_compared.append((there.name, why))
        else:
            await _mailbox(pair, there, here)


def _rank(mailbox: SourceMailbox, sizes: dict[str, int]) -> tuple[bool, bool, int, str]:
    return mailbox.name != "INBOX", not mailbox.special_use, -sizes.get(mailbox.name, 0), mailbox.name


async def _mailbox(pair: Pair, there: SourceMailbox, here: SourceMailbox) -> None:
    """Twice, where it differs: what is gone then was on its way. One that its user changes meanwhile is left out."""
    found = pair.found
    before = await _state(pair, there)
    differences = await _script(pair, there, here)
    if any(each.notice is not Notice.NO for each in differences):
        await asyncio.sleep(pair.limits.pause)
        before = await _state(pair, there)
        differences = await _script(pair, there, here)
    if before != await _state(pair, there):
        found.not_compared.append((there.name, "its user changes it just now; say it again"))
        return
    found.mailboxes += 1
    _list(found, differences)


async def _state(pair: Pair, there: SourceMailbox) -> Answer:
    """Of the mailbox at the legacy platform, as numbers that change when it does."""
    return {"status": await pair.there.status(there)}


async def _script(pair: Pair, there: SourceMailbox, here: SourceMailbox) -> list[Difference]:
    name = there.name
    opening = script.opening(there.wire, here.wire)
    found = await pair.compare(name, opening)
    if any(not each.key for each in found):
        return found  # it cannot be opened on one side
    everything = await pair.ask(script.EVERYTHING)
    found += _differences(name, script.EVERYTHING, *everything)
    uids = sorted(int(uid) for uid in everything[0] if uid in everything[1])
    found += await pair.compare(name, script.FLAGS)
    some = script.sample(uids, pair.limits)
    envelope: dict[str, object] = {}
    middle = 0
    for question in script.details(some, pair.limits):
        old, new = await pair.ask(question)
        found += _differences(name, question, old, new)
        if question.judge is judgement.envelope and some:
            last = old.get(str(some[-1]))
            envelope = dict(last) if isinstance(last, dict) else {}
        if question.judge is judgement.instant and old:
            times = sorted(each[0] for each in old.values() if isinstance(each, tuple))
            middle = times[len(times) // 2] if times else 0
    for question in script.searches(uids, envelope, middle):
        found += await pair.compare(name, question)
    return found


def _list(found: Rehearsal, differences: Sequence[Difference]) -> None:
    """The worst of each command first."""
    order = list(Notice)
    by_command: dict[str, list[Difference]] = {}
    for each in differences:
        by_command.setdefault(each.command, []).append(each)
    for some in by_command.values():
        some.sort(key=lambda each: -order.index(each.notice))
        found.differences += some[: found.listed]
        found.more += len(some[found.listed :])
