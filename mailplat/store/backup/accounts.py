"""Accounts and mailboxes brought back from a point while everything runs.

Messages come in as all messages do, by `Store.append`: under the account's epoch and quota, with new UIDs (a UID is
never given again), with their flags, keywords and dates. Nothing is removed or changed. A restore that was cut
short is simply begun again: what it brought is found there (matching.py).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from mailplat.core.errors import AlreadyExists, LimitReached, NotFound, OverQuota
from mailplat.core.quota import NO_QUOTA, Quota
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store.annotations import ACCOUNT
from mailplat.store.backup.catalogue import Catalogue, SavedMailbox, SavedMessage
from mailplat.store.backup.manifest import digest_file
from mailplat.store.backup.matching import Pair, Present
from mailplat.store.backup.numbers import default_uidl
from mailplat.store.backup.verify import DAMAGED, MISSING
from mailplat.store.door import Store
from mailplat.store.flagsets import Book
from mailplat.store.maildir import parse_name
from mailplat.store.names import INBOX, canonical
from mailplat.store.opening import unreadable
from mailplat.store.repair.problems import DESCRIPTION, UNREADABLE
from mailplat.store.types import Entry, NewMessage, Problem

# One append: so many messages are open files at a time, and no more octets than are written in a second or two.
_MESSAGES = 100
_OCTETS = 64 << 20


@dataclass(frozen=True, slots=True)
class Scope:
    """What is brought back, and where to."""

    beside: bool  # under "Restored DAY/"; else into the mailboxes themselves, what they lack
    mailbox: str | None = None  # this one only


@dataclass(slots=True)
class RestoreReport:
    mailboxes: int = 0
    restored: int = 0
    octets: int = 0
    present: int = 0  # not brought: there already
    problems: list[Problem] = field(default_factory=list)  # objects that are missing or damaged


def restore_account(
    store: Store,
    residence: Residence,
    catalogue: Catalogue,
    account_id: int,
    scope: Scope,
    *,
    quota: Quota = NO_QUOTA,
) -> RestoreReport:
    """`account_id` as the point has it, `residence` where it lives now. In place the whole account is compared, so
    that a message that was moved to another mailbox is not brought again; with `scope.mailbox` that mailbox alone.
    Not for the event loop's thread. Raises NotFound, OverQuota (what came before it stays), StaleEpoch,
    Unavailable."""
    return _Restore(store, residence, catalogue, scope, quota).run(account_id)


class _Restore:
    def __init__(
        self, store: Store, residence: Residence, catalogue: Catalogue, scope: Scope, quota: Quota
    ) -> None:
        self._store = store
        self._shard = store.shard(residence.shard)
        self._residence = residence
        self._catalogue = catalogue
        self._scope = scope
        self._quota = quota
        self._report = RestoreReport()

    def run(self, account_id: int) -> RestoreReport:
        self._shard.grant(self._residence.account_id, self._residence.epoch)
        saved = self._catalogue.mailboxes(account_id)
        if self._scope.mailbox is not None:
            wanted = canonical(self._scope.mailbox)
            saved = [each for each in saved if each.name == wanted]
            if not saved:
                raise NotFound(
                    f"point {self._catalogue.point.name} has no mailbox {wanted!r} of this account"
                )
        before = {mailbox.id for mailbox in self._shard.mailboxes(self._residence)}
        pairs = [(each, self._target(each)) for each in saved]
        self._report.mailboxes = len(pairs)
        if self._scope.beside or self._scope.mailbox is not None:
            scope = [number for _, number in pairs]
        else:
            scope = [mailbox.id for mailbox in self._shard.mailboxes(self._residence)]
        for each, number in pairs:
            self._annotate(number, each.name, self._catalogue.annotations(account_id, each.id))
            if not self._scope.beside and number not in before:
                self._share(number, self._catalogue.acl(account_id, each.id))
        if not self._scope.beside and self._scope.mailbox is None:
            self._annotate(ACCOUNT, "", self._catalogue.annotations(account_id, ACCOUNT))
        total = sum(each.messages for each in saved)
        present = Present(self._shard, self._residence, scope)
        with asyncio.Runner() as runner:
            for pair, missing in present.missing(self._catalogue, pairs):
                total -= len(missing)
                self._bring(runner, pair, missing)
        self._report.present = total
        return self._report

    def _annotate(self, number: int, name: str, saved: Mapping[str, bytes]) -> None:
        """Annotations come back where there is none of that name now; what finds no room is reported."""
        absent = saved.keys() - self._shard.annotations(self._residence, number).keys()
        if not absent:
            return
        try:
            self._shard.annotate(self._residence, number, {each: saved[each] for each in absent})
        except LimitReached as error:
            self._report.problems.append(Problem(DESCRIPTION, name, f"annotations not restored: {error}"))

    def _share(self, number: int, saved: Mapping[str, Entry]) -> None:
        """Rights of others come back with a mailbox that is made anew. Where it is there its owner may have taken
        them back since, and what is laid beside is his alone."""
        for identifier, entry in saved.items():
            self._shard.change_acl(self._residence, number, identifier, entry.grantee_id, "", entry.rights)

    def _target(self, saved: SavedMailbox) -> int:
        """The mailbox that the saved one is brought into, made where it is absent."""
        name = saved.name
        if self._scope.beside:
            name = f"Restored {self._catalogue.point.day}/{saved.name}"
        try:
            return self._find_or_make(name, "" if self._scope.beside else saved.special_use)
        except LimitReached:  # too long or too deep with the prefix
            return self._find_or_make(f"Restored {self._catalogue.point.day}/{saved.id}", "")

    def _find_or_make(self, name: str, special_use: str) -> int:
        with suppress(NotFound):
            return self._shard.mailbox(self._residence, name).id
        taken = {mailbox.special_use for mailbox in self._shard.mailboxes(self._residence)}
        with suppress(AlreadyExists):  # a client was quicker
            self._shard.create(self._residence, name, special_use="" if special_use in taken else special_use)
        self._shard.subscribe(self._residence, name, True)
        return self._shard.mailbox(self._residence, name).id

    def _bring(self, runner: asyncio.Runner, pair: Pair, messages: Sequence[SavedMessage]) -> None:
        saved, number = pair
        book = self._catalogue.book(saved.id)
        for batch in _batches(self._sound(messages)):
            name = self._shard.mailbox_by_id(self._residence, number).name
            with ExitStack() as bodies:
                new = [self._message(bodies, saved, book, each) for each in batch]
                try:
                    runner.run(self._store.append(self._residence, name, new, quota=self._quota))
                except OverQuota as error:
                    done = self._report.restored
                    raise OverQuota(
                        f"{error}; {done} messages were restored; raise the quota, then call it again",
                        pool=error.pool,
                    ) from error
            self._report.restored += len(batch)
            self._report.octets += sum(each.size for each in batch)

    def _message(
        self, bodies: ExitStack, saved: SavedMailbox, book: Book, message: SavedMessage
    ) -> NewMessage:
        body = Body.of_file(self._catalogue.object(message))
        bodies.callback(body.close)
        return NewMessage(
            body,
            flags=book.flags(message.flagset),
            internaldate=message.internaldate,
            internaldate_zone=message.zone,
            uidl=self._uidl(saved, message),
        )

    def _uidl(self, saved: SavedMailbox, message: SavedMessage) -> str:
        """A message that comes back to INBOX keeps its UIDL: who has downloaded it does not do it again."""
        if saved.name != INBOX or self._scope.beside:
            return ""
        return message.uidl or default_uidl(saved.uidvalidity, message.uid)

    def _sound(self, messages: Sequence[SavedMessage]) -> Iterator[SavedMessage]:
        """Those whose object is there and is what it was; others are reported."""
        for message in messages:
            path = self._catalogue.object(message)
            relative = str(path.relative_to(self._catalogue.repository.path))
            said = parse_name(message.name)
            if not said.readable:
                self._report.problems.append(Problem(UNREADABLE, relative, unreadable(said.coding)))
                continue
            try:
                sound = digest_file(path) == message.digest
            except FileNotFoundError:
                self._report.problems.append(Problem(MISSING, relative, f"UID {message.uid} not restored"))
                continue
            if sound:
                yield message
            else:
                self._report.problems.append(Problem(DAMAGED, relative, f"UID {message.uid} not restored"))


def _batches(messages: Iterator[SavedMessage]) -> Iterator[list[SavedMessage]]:
    batch: list[SavedMessage] = []
    octets = 0
    for message in messages:
        if batch and (len(batch) >= _MESSAGES or octets + message.size > _OCTETS):
            yield batch
            batch, octets = [], 0
        batch.append(message)
        octets += message.size
    if batch:
        yield batch
