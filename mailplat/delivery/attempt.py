"""One attempt to deliver what was leased: by the route of each recipient at this instant."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from mailplat.admin import metrics
from mailplat.core import disk
from mailplat.core.address import NULL_SENDER
from mailplat.core.clock import Clock
from mailplat.core.errors import DiskFull, MailplatError, NotFound, OverQuota, StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.outcome import Outcome, Result
from mailplat.core.reply import (
    DISK_FULL,
    LOOP,
    NO_TLS_FROM_HERE,
    UNAVAILABLE,
    UNKNOWN_RECIPIENT,
    Reply,
    over_quota,
)
from mailplat.core.route import BackendHome, Door, Home
from mailplat.core.spool import Body
from mailplat.delivery import dsn
from mailplat.delivery.flights import Abandoned, Flight, Flights
from mailplat.delivery.local import LocalTransport, residence_of
from mailplat.delivery.plans import Forward, Hold, Plan, Relay, Serve, by_shard, slices
from mailplat.delivery.relay import RelayTransport
from mailplat.delivery.trace import header_block, relay_field, relayed_to
from mailplat.directory import Directory
from mailplat.queue import Leased, LeasedRecipient, Notice, Queue, QueueRecipient, StaleLease
from mailplat.usage import Meter

log = structlog.get_logger("delivery")

NO_ROUTE = Reply(550, "5.4.4", "There is no way from here to this domain")
NO_BACKEND = Reply(
    451, "4.3.5", "The recipient's home cannot be relayed to, see mailplat migrate backend list"
)
NO_FILE = Reply(451, "4.3.0", "The message cannot be read")
STORED = Outcome(Result.DELIVERED, Reply(250, "2.0.0", "Stored"))

# Recipients of one flight: a fence waits for all of them, a crash may double all of them.
_FLIGHT = 100

# A settlement that the database refuses is tried again: forgetting it would send the message twice.
SETTLE_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What attempts need of the house; one for all of a process. `healthy` says whether this process hears of
    changed routes in time: where it does not, nothing is relayed. `smart_host` takes what is for no account of
    ours ("smtp:host:port"), "" for nowhere."""

    directory: Directory
    queue: Queue
    executors: Executors
    clock: Clock
    local: LocalTransport
    relay: RelayTransport
    flights: Flights
    hostname: str
    healthy: Callable[[], bool]
    meter: Meter
    smart_host: str = ""


class Attempt:
    """`run` ends when every recipient is settled, or the lease is somebody else's."""

    def __init__(self, tools: Tools, leased: Leased) -> None:
        self.leased = leased
        self._tools = tools
        self._flights: list[Flight] = []
        self._seen: frozenset[str] | None = None
        self._homes: dict[int, Home] = {}  # of recipients that are accounts of ours, as their routes were

    def abandon(self) -> None:
        """The lease is lost or the process must end: stop what has not passed its final dot."""
        for flight in self._flights:
            flight.abandon()

    async def run(self) -> None:
        try:
            relays, rest = await self._look()
            try:
                body = await self._tools.executors.run("queue", self._tools.queue.body, self.leased)
            except MailplatError as error:
                log.error("spooled message cannot be read", id=self.leased.message.id, reason=str(error))
                unread = dict.fromkeys(self.leased.recipient_ids, _deferred(NO_FILE))
                await self._settle(self.leased.recipients, unread, b"")
                return
            try:
                await self._deliver(relays, rest, body)
            finally:
                # Closing the last handle of an unlinked file is when the filesystem frees it: not on the loop.
                await self._tools.executors.run("spool", body.close)
        finally:
            for flight in self._flights:
                self._tools.flights.land(flight)

    async def _look(self) -> tuple[list[Relay], dict[int, Plan]]:
        """Every recipient's route, now: relays by next hop, and the plans of all others."""
        flights, recipients = self._tools.flights, self.leased.recipients
        by_hop: dict[Forward, list[LeasedRecipient]] = defaultdict(list)
        rest: dict[int, Plan] = {}
        # On its way from here on: a fence that begins now waits for us, one that began before is in the routes.
        looking = flights.start(recipient.account_id for recipient in recipients)
        try:
            plans = await self._tools.executors.run("directory", self._plan_all)
            for recipient, plan in zip(recipients, plans, strict=True):
                if isinstance(plan, Forward):
                    by_hop[plan].append(recipient)
                else:
                    rest[recipient.id] = plan
            relays = [
                Relay(hop, some, flights.start(one.account_id for one in some))
                for hop, all_there in by_hop.items()
                for some in slices(all_there, _FLIGHT)
            ]
            self._flights = [relay.flight for relay in relays]
            return relays, rest
        except MailplatError as error:
            log.warning("routes cannot be read", id=self.leased.message.id, reason=str(error))
            return [], {recipient.id: Hold() for recipient in recipients}
        finally:
            flights.land(looking)

    async def _deliver(self, relays: Sequence[Relay], rest: Mapping[int, Plan], body: Body) -> None:
        """All ways at once; each settles its own. A bug in one does not cut off another."""
        ways = [self._answer(rest, body), *(self._relay(relay, body) for relay in relays)]
        for ended in await asyncio.gather(*ways, return_exceptions=True):
            if ended is not None:
                raise ended

    # -- where to

    def _plan_all(self) -> list[Plan]:
        return [self._plan(recipient) for recipient in self.leased.recipients]

    def _plan(self, recipient: LeasedRecipient) -> Plan:
        tools = self._tools
        if not recipient.account_id:
            return Forward(tools.smart_host, "") if tools.smart_host else Outcome(Result.FAILED, NO_ROUTE)
        try:
            route = tools.directory.route(recipient.account_id)
            quota = tools.directory.account_by_id(recipient.account_id).allowance
        except NotFound:
            return Outcome(Result.FAILED, UNKNOWN_RECIPIENT)  # removed since it was accepted
        self._homes[recipient.id] = route.home
        if route.door is Door.HOLD:
            return Hold()
        residence = residence_of(route)
        if residence is not None:
            return Serve(residence, quota)
        assert isinstance(route.home, BackendHome)
        try:
            next_hop = tools.directory.backend(route.home.backend).relay
        except NotFound:
            next_hop = ""
        if not next_hop:
            return _deferred(NO_BACKEND)
        return Forward(next_hop, route.home.backend) if tools.healthy() else Hold()

    # -- there

    async def _answer(self, plans: Mapping[int, Plan], body: Body) -> None:
        """Everything but relays."""
        some = [recipient for recipient in self.leased.recipients if recipient.id in plans]
        if not some:
            return
        known = {id_: plan for id_, plan in plans.items() if isinstance(plan, Outcome)}
        groups = by_shard([(one, plan) for one in some if isinstance(plan := plans[one.id], Serve)])
        for served in await asyncio.gather(*(self._serve(group, body) for group in groups)):
            known |= served
        await self._settle(some, known, await self._header(body, known))

    async def _serve(self, group: Sequence[tuple[LeasedRecipient, Serve]], body: Body) -> dict[int, Outcome]:
        """All of one shard: one transaction, one file. An outcome for each but those that stay held."""
        message = self.leased.message
        homes = [(plan.residence, plan.quota, f"{message.id}:{one.id}") for one, plan in group]
        answers: Sequence[object]
        try:
            answers = await self._tools.local.deliver_each(
                homes, message.envelope.reverse_path, body, arrived=message.arrived
            )
        except MailplatError as error:
            answers = [error] * len(group)
        return {
            one.id: self._stored(answer)
            for (one, _), answer in zip(group, answers, strict=True)
            if not isinstance(answer, StaleEpoch)
        }

    def _stored(self, answer: object) -> Outcome:
        if not isinstance(answer, MailplatError):
            return STORED
        if isinstance(answer, OverQuota):
            return _deferred(over_quota(answer))
        if isinstance(answer, DiskFull):
            return _deferred(DISK_FULL)
        log.warning("not stored", id=self.leased.message.id, reason=f"{type(answer).__name__}: {answer}")
        return _deferred(UNAVAILABLE)

    async def _relay(self, relay: Relay, body: Body) -> None:
        hop, some, message_id = relay.hop, relay.recipients, self.leased.message.id
        outcomes: dict[int, Outcome] = {}
        try:
            if hop.backend and hop.backend in await self._relayed_before(body):
                log.error("mail loop: it came from where it should go", id=message_id, backend=hop.backend)
                outcomes = {one.id: Outcome(Result.FAILED, LOOP) for one in some}
            elif self.leased.message.envelope.require_tls:
                outcomes = {one.id: Outcome(Result.FAILED, NO_TLS_FROM_HERE) for one in some}
            else:
                answers = await relay.flight.carry(self._send(relay, body))
                outcomes = {one.id: answer for one, answer in zip(some, answers, strict=True)}
        except Abandoned:
            log.info("relay stopped before its end", id=message_id, next_hop=hop.next_hop)
        except MailplatError as error:
            log.error("not relayed", id=message_id, reason=str(error))
            outcomes = {one.id: _deferred(NO_BACKEND) for one in some}
        await self._settle(some, outcomes, await self._header(body, outcomes))
        self._tools.flights.land(
            relay.flight
        )  # no sooner: a fence must not begin between relay and settlement

    async def _send(self, relay: Relay, body: Body) -> list[Outcome]:
        tools, hop = self._tools, relay.hop
        return await tools.relay.deliver(
            hop.next_hop,
            self.leased.message.envelope,
            [one.address for one in relay.recipients],
            body,
            prefix=relay_field(tools.hostname, hop.backend) if hop.backend else b"",
            commit=relay.flight.commit,
            wishes=[one.wish for one in relay.recipients],
        )

    async def _relayed_before(self, body: Body) -> frozenset[str]:
        if self._seen is None:
            self._seen = await self._tools.executors.run("spool", relayed_to, body, self._tools.hostname)
        return self._seen

    async def _header(self, body: Body, outcomes: Mapping[int, Outcome]) -> bytes:
        """The message's header block, where a DSN may need it."""
        asked = any(one.wish.success for one in self.leased.recipients)
        if not asked and all(outcome.result is Result.DELIVERED for outcome in outcomes.values()):
            return b""
        return await self._tools.executors.run("spool", header_block, body)

    # -- what became of it

    async def _settle(
        self, some: Sequence[LeasedRecipient], outcomes: Mapping[int, Outcome], header: bytes
    ) -> None:
        """Who has no outcome stays held. Failed ones leave together with their DSN."""
        message = self.leased.message
        final = {id_: self._give_up(outcome) for id_, outcome in outcomes.items()}
        for one in some:
            if (outcome := final.get(one.id)) is not None:
                log.info(
                    outcome.result.value,
                    id=message.id,
                    recipient=str(one.address),
                    reply=str(outcome.reply),
                    remote=outcome.remote,
                    attempts=one.attempts + 1,
                )
        failed = [one for one in some if one.wish.failure and _is(final, one, Result.FAILED)]
        done = [
            one
            for one in some
            if one.wish.success and _is(final, one, Result.DELIVERED) and not final[one.id].passed_on
        ]
        others = [one for one in some if one not in failed and one not in done]
        if others:
            answered = {one.id: final[one.id] for one in others if one.id in final}
            held = [one.id for one in others if one.id not in final]
            await self._write(others, answered, held, None)
        for told in filter(None, (failed, done)):
            await self._tell(told, final, header)

    async def _tell(
        self, told: Sequence[LeasedRecipient], final: Mapping[int, Outcome], header: bytes
    ) -> None:
        """Settle those whom the sender is told of, all failed or all delivered."""
        outcomes = {one.id: final[one.id] for one in told}
        reports = [dsn.Report(one.address, final[one.id], one.wish) for one in told]
        try:
            notice = await self._notice(reports, header)
            await self._write(told, outcomes, (), notice)
        except (DiskFull, Unavailable) as error:
            log.warning("notification not kept", id=self.leased.message.id, reason=str(error))
            if reports[0].outcome.result is Result.FAILED:  # no DSN now, so no end now
                outcomes = {id_: _deferred(DISK_FULL) for id_ in outcomes}
            await self._write(told, outcomes, (), None)

    async def _notice(self, reports: Sequence[dsn.Report], header: bytes) -> Notice | None:
        """None where nobody can be told."""
        tools, message = self._tools, self.leased.message
        sender = message.envelope.reverse_path
        if sender == NULL_SENDER:
            log.warning("undeliverable notification dropped", id=message.id)
            return None
        resolution = await tools.executors.run("directory", tools.directory.resolve, sender)
        recipients = [QueueRecipient(target.address, target.account_id) for target in resolution.targets]
        if not recipients and tools.smart_host and not resolution.known_domain:
            recipients = [QueueRecipient(sender)]
        if not recipients:
            log.warning("sender cannot be told: no way to its domain", id=message.id, sender=str(sender))
            return None
        octets = dsn.render(message, reports, header, hostname=tools.hostname, now=tools.clock.now())
        return Notice(dsn.envelope_for(message), recipients, octets)

    async def _write(
        self,
        some: Sequence[LeasedRecipient],
        outcomes: Mapping[int, Outcome],
        held: Sequence[int],
        notice: Notice | None,
    ) -> None:
        """Settle, until the database takes it. With a notice, Unavailable and DiskFull are the caller's."""
        tools = self._tools
        leased = replace(self.leased, recipients=tuple(some))
        disk.step("attempt.outcome")
        while True:
            try:
                await asyncio.wrap_future(
                    await tools.executors.run(
                        "spool", tools.queue.submit_settlement, leased, outcomes, held=held, notice=notice
                    )
                )
                self._count(some, outcomes)
                return
            except StaleLease as error:
                log.error("settled too late", reason=str(error))
                return
            except Unavailable as error:
                if notice is not None:
                    raise
                log.warning("not settled yet", id=leased.message.id, reason=str(error))
                await asyncio.sleep(SETTLE_PAUSE_S)

    def _count(self, some: Sequence[LeasedRecipient], outcomes: Mapping[int, Outcome]) -> None:
        delay = self._tools.clock.now() - self.leased.message.arrived
        for one in some:
            outcome, home = outcomes.get(one.id), self._homes.get(one.id)
            if outcome is not None:
                metrics.attempts.labels(outcome.result.name.lower()).inc()
            if outcome is not None and home is not None:
                self._tools.meter.delivery(one.address.domain, home, outcome.result, delay)

    def _give_up(self, outcome: Outcome) -> Outcome:
        """Temporary for too long is permanent (RFC 5321 4.5.4.1)."""
        schedule = self._tools.queue.schedule
        if outcome.result is not Result.DEFERRED or not schedule.expired(
            self.leased.message.arrived, self._tools.clock.now()
        ):
            return outcome
        days = schedule.give_up / 86_400
        text = f"Not delivered within {days:g} days; the last answer was {outcome.reply}"
        return Outcome(Result.FAILED, Reply(554, "5.4.7", text[:480]), outcome.remote)


def _is(final: Mapping[int, Outcome], one: LeasedRecipient, result: Result) -> bool:
    return one.id in final and final[one.id].result is result


def _deferred(reply: Reply) -> Outcome:
    return Outcome(Result.DEFERRED, reply)
