"""Delivery: a filtered message and where its recipients lead, to the reply after the final dot."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from mailplat.core.envelope import NO_WISH, Envelope, Peer, Wish
from mailplat.core.errors import DiskFull, MailplatError, OverQuota, StaleEpoch
from mailplat.core.executors import Executors
from mailplat.core.outcome import Outcome, Result
from mailplat.core.quota import Quota
from mailplat.core.reply import DISK_FULL, FENCED, LOOP, UNAVAILABLE, Reply, over_quota
from mailplat.core.route import BackendHome, Door, Residence
from mailplat.core.spool import Body
from mailplat.delivery.local import LocalTransport, residence_of
from mailplat.delivery.shelter import to_the_end
from mailplat.delivery.trace import relayed_to
from mailplat.directory import Directory, Target
from mailplat.queue import Queue, QueueRecipient
from mailplat.store import Store
from mailplat.usage import Meter

log = structlog.get_logger("delivery")

STORED = Reply(250, "2.0.0", "Stored")
QUEUED = Reply(250, "2.0.0", "Accepted for delivery")

# Messages that one account may have waiting before mail for it is refused while it is fenced. A fence takes
# seconds: this many in that time is a flood, which the sender's queue bears better than ours.
HOLD_LIMIT = 5000

_NO_WISHES: Mapping[int, Wish] = {}


@dataclass(frozen=True, slots=True)
class _Mail:
    envelope: Envelope
    body: Body
    prefix: bytes
    peer: Peer
    wishes: Mapping[int, Wish]  # by account

    @property
    def reports(self) -> bool:
        """Somebody is to hear of a success: with the outcome, and so out of the queue."""
        return any(wish.success for wish in self.wishes.values())


class Delivery:
    """One for a process. `hostname` is what this platform calls itself in its trace fields."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        queue: Queue,
        executors: Executors,
        *,
        hostname: str,
        hold_limit: int = HOLD_LIMIT,
        meter: Meter | None = None,
    ) -> None:
        self._directory = directory
        self._queue = queue
        self._executors = executors
        self._hostname = hostname
        self._hold_limit = hold_limit
        self._local = LocalTransport(store)
        self._meter = meter or Meter()

    async def accept(
        self,
        envelope: Envelope,
        targets: Sequence[Target],
        body: Body,
        prefix: bytes,
        peer: Peer,
        *,
        separately: bool = False,
        wishes: Mapping[int, Wish] = _NO_WISHES,
    ) -> Reply | list[Reply]:
        """Keep the message for every target, or for none. One reply (SMTP), or with `separately` one for each
        target in their order (LMTP, RFC 2033 4.2: each stands for itself). `prefix` is the trace fields of ingress,
        `wishes` what the sender wants to be told, by account. The body stays the caller's to close; a caller that is
        cancelled gets its CancelledError when the commit is over. Raises nothing that is expected."""
        mail = _Mail(envelope, body, prefix, peer, wishes)
        if separately:
            replies = await to_the_end(self._separately(mail, targets))
            self._count_refusals(targets, replies)
            return replies
        reply = await to_the_end(self._together(mail, targets))
        self._count_refusals(targets, [reply] * len(targets))
        return reply

    async def _together(self, mail: _Mail, targets: Sequence[Target]) -> Reply:
        try:
            return await self._commit(mail, targets)
        except OverQuota as error:
            if len(targets) == 1:
                return over_quota(error)
        # One reply for several recipients, and only some have no room: the others must not wait for them.
        try:
            return await self._enqueue(mail, targets)
        except MailplatError as error:
            return _refusal(error)

    async def _separately(self, mail: _Mail, targets: Sequence[Target]) -> list[Reply]:
        groups: dict[str, list[Target]] = defaultdict(list)
        for target in targets:
            home = residence_of(target.route)
            groups[home.shard if home else ""].append(target)
        answered = await asyncio.gather(*(self._group(mail, group) for group in groups.values()))
        replies = {account: reply for group in answered for account, reply in group.items()}
        return [replies[target.account_id] for target in targets]

    async def _group(self, mail: _Mail, group: Sequence[Target]) -> dict[int, Reply]:
        """Replies by account: all of one shard in one commit and one file, all others in one of the queue."""
        homes = [(home, target.quota, "") for target in group if (home := residence_of(target.route))]
        if len(homes) < len(group) or mail.reports:
            return await self._alone(mail, group)
        try:
            answers: Sequence[object] = await self._local.deliver_each(
                homes, mail.envelope.reverse_path, mail.body, mail.prefix
            )
        except MailplatError as error:
            answers = [error] * len(group)
        replies = {
            target.account_id: self._answer(answer) for target, answer in zip(group, answers, strict=True)
        }
        for target, answer in zip(group, answers, strict=True):
            if not isinstance(answer, MailplatError):
                self._count(target)
            if isinstance(answer, StaleEpoch):  # the home changed since RCPT
                replies |= await self._alone(mail, [target])
        return replies

    async def _alone(self, mail: _Mail, group: Sequence[Target]) -> dict[int, Reply]:
        try:
            reply = await self._commit(mail, group)
        except OverQuota as error:
            reply = over_quota(error)
        return dict.fromkeys((target.account_id for target in group), reply)

    def _count(self, target: Target) -> None:
        """The 250 is the delivery: nobody waits."""
        self._meter.delivery(target.address.domain, target.route.home, Result.DELIVERED)

    def _count_refusals(self, targets: Sequence[Target], replies: Sequence[Reply]) -> None:
        """Whoever sent it keeps the message, or tells its sender: the same for a recipient as if we had."""
        for target, reply in zip(targets, replies, strict=True):
            result = Outcome.from_reply(reply).result
            if result is not Result.DELIVERED:
                self._meter.delivery(target.address.domain, target.route.home, result)

    def _answer(self, answer: object) -> Reply:
        if not isinstance(answer, MailplatError):
            return STORED
        return over_quota(answer) if isinstance(answer, OverQuota) else _refusal(answer)

    async def _commit(self, mail: _Mail, targets: Sequence[Target]) -> Reply:
        """Into one shard or the queue. Raises OverQuota, any other refusal is the reply."""
        try:
            try:
                return await self._place(mail, targets)
            except StaleEpoch:  # the home changed since RCPT: look again, once
                return await self._place(mail, await self._look_again(targets))
        except OverQuota:
            raise
        except MailplatError as error:
            return _refusal(error)

    async def _place(self, mail: _Mail, targets: Sequence[Target]) -> Reply:
        homes = [(home, target.quota) for target in targets if (home := residence_of(target.route))]
        if not mail.reports and len(homes) == len(targets) and len({home.shard for home, _ in homes}) == 1:
            return await self._store(mail, homes, targets)
        return await self._enqueue(mail, targets)

    async def _store(
        self, mail: _Mail, homes: Sequence[tuple[Residence, Quota]], targets: Sequence[Target]
    ) -> Reply:
        await self._local.deliver(homes, mail.envelope.reverse_path, mail.body, mail.prefix)
        for target in targets:
            self._count(target)
        return STORED

    async def _enqueue(self, mail: _Mail, targets: Sequence[Target]) -> Reply:
        if await self._loops(mail.body, targets):
            log.error("mail loop: came back from where we relayed it to", peer=mail.peer.address)
            return LOOP
        if await self._crowded(targets):
            return FENCED
        recipients = [
            QueueRecipient(target.address, target.account_id, mail.wishes.get(target.account_id, NO_WISH))
            for target in targets
        ]
        future = await self._executors.run(
            "spool",
            self._queue.submit,
            mail.envelope,
            recipients,
            mail.body,
            mail.prefix,
            peer=mail.peer,
        )
        queue_id = await asyncio.wrap_future(future)
        return replace(QUEUED, text=f"{QUEUED.text} as {queue_id}")

    async def _loops(self, body: Body, targets: Sequence[Target]) -> bool:
        """True where every recipient leads to a backend that this message has been at through us. Said here,
        so that the backend hears it; the worker looks at each recipient again, its route may change."""
        homes = [target.route.home for target in targets if target.route.door is Door.FORWARD]
        backends = {home.backend for home in homes if isinstance(home, BackendHome)}
        if not backends or len(homes) < len(targets):
            return False
        return backends <= await self._executors.run("spool", relayed_to, body, self._hostname)

    async def _crowded(self, targets: Sequence[Target]) -> bool:
        for target in targets:
            if target.route.door is Door.HOLD:
                waiting = await self._executors.run("queue", self._queue.count_account, target.account_id)
                if waiting >= self._hold_limit:
                    return True
        return False

    async def _look_again(self, targets: Sequence[Target]) -> list[Target]:
        routes = await self._executors.run(
            "directory", lambda: [self._directory.route(target.account_id) for target in targets]
        )
        return [replace(target, route=route) for target, route in zip(targets, routes, strict=True)]


def _refusal(error: MailplatError) -> Reply:
    """The contract's reply. Nothing was kept."""
    log.warning("message not kept", error=f"{type(error).__name__}: {error}")
    if isinstance(error, DiskFull):
        return DISK_FULL
    return FENCED if isinstance(error, StaleEpoch) else UNAVAILABLE
