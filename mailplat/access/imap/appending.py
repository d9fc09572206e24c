"""APPEND (RFC 3501 6.3.11), MULTIAPPEND (RFC 3502), UIDPLUS (RFC 4315 3): pipelined commands share one commit.
REPLACE (RFC 8508) is committed alone.

A client that uploads a folder sends many APPENDs with LITERAL+ in a row. A durable commit costs an fsync whatever it
holds, so consecutive APPENDs to one mailbox are gathered while the commit before them runs, and then stored by
one call, in their order; the tagged replies come in the order of the commands. When a gathered call fails, each
command is tried alone, so that only the one at fault is refused.
"""

import asyncio
from dataclasses import dataclass, field

from mailplat.access.imap.locating import locate
from mailplat.access.imap.place import NoRight, NotPossible, Place
from mailplat.access.imap.refusal import BUG, ReadOnly, Tagged, TooManyMessages, bad, no, ok, refusal
from mailplat.access.imap.request import State
from mailplat.access.imap.resync import highest
from mailplat.access.imap.session import MOVED, Farewell, Session, log
from mailplat.core.errors import MailplatError, NotFound, StaleEpoch, Unavailable
from mailplat.core.spool import MEMORY_LIMIT, Body
from mailplat.store.types import Appended, MessageGone, NewMessage
from mailplat.wire.imap import events, response
from mailplat.wire.imap.errors import BadSyntax, UidRequired
from mailplat.wire.imap.sequence import SequenceSet
from mailplat.wire.imap.storing import AppendProgram, parse_append, parse_replace


@dataclass(slots=True)
class Upload:
    """One APPEND command: all of its messages, or none."""

    tag: str
    place: Place  # of somebody else's mailbox only with the right to put messages into it
    replaces: int | None = None  # REPLACE: UID of the old message, in the selected mailbox
    messages: list[NewMessage] = field(default_factory=list)
    failure: Exception | None = None  # while it was spooled

    @property
    def size(self) -> int:
        return sum(message.body.size for message in self.messages)

    def close(self) -> None:
        for message in self.messages:
            message.body.close()


class Appender:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._upload: Upload | None = None  # its literals are coming in
        self._complete: list[Upload] = []  # wait for their commit
        self._octets = 0  # of the complete ones
        self._task: asyncio.Task[None] | None = None  # the commit that runs
        self._stale = False  # the account has moved; what was not stored is not answered, BYE says so

    async def begin(self, event: events.Append) -> None:
        """A message is announced: take it, or refuse it before it is sent where the client waits to be asked."""
        session = self._session
        replaces: int | None = None
        try:
            arguments = session.arguments(event)
            if event.name == "APPEND":
                program = parse_append(arguments, first=event.index == 0)
            else:
                await self.finish()  # what is appended before may be what is replaced
                numbers, program = parse_replace(arguments)
                replaces = await self._replaced(numbers, by_uid=event.name == "UID REPLACE")
            refused = self._judge(event, program)
            if refused is None and event.index == 0:
                place = await self._locate(event, program.mailbox, replacing=replaces is not None)
        except (BadSyntax, MailplatError) as error:
            if event.name != "APPEND":
                await self._check_source(error)
            refused = refusal(error, missing="TRYCREATE")
        if refused is not None:
            session.framer.refuse()
            self.drop()
            await self.finish()
            session.out(response.tagged(event.tag, refused.status, refused.text, refused.code))
            return
        if event.index == 0:
            self.drop()
            self._upload = Upload(event.tag, place, replaces)
        assert self._upload is not None
        place = self._upload.place
        body = Body.create(place.shard.tmp)
        self._upload.messages.append(
            NewMessage(
                body,
                flags=place.allowed(program.flags),
                internaldate=program.internaldate,
                internaldate_zone=program.zone,
            )
        )
        session.framer.accept()
        if event.synchronising:
            session.out(b"+ OK\r\n")
            await session.stream.flush()

    async def _replaced(self, numbers: SequenceSet, *, by_uid: bool) -> int:
        """The UID of the message that REPLACE names. Raises BadSyntax, NotFound, ReadOnly."""
        session = self._session
        if session.state is not State.SELECTED:
            raise BadSyntax("Select a mailbox first" if session.granted else "Log in first")
        if session.manner.uid_only and not by_uid:
            raise UidRequired
        await session.recheck()
        view = session.selected
        if view.read_only:
            raise ReadOnly
        view.place.check("REPLACE")
        spans = view.spans(numbers, by_uid=by_uid)
        if not spans:
            raise MessageGone(f"mailbox {view.mailbox_id} has no such message")
        return view.uids[spans[0][0]]

    async def _check_source(self, error: Exception) -> None:
        """REPLACE found no mailbox: where it is the selected one that is gone, TRYCREATE (RFC 3501 7.1)
        would be no help: it is about the target. Raises Farewell then, as for any command."""
        if not isinstance(error, NotFound) or isinstance(error, MessageGone):
            return
        try:
            await self._session.refresh(now=True)
        except MailplatError as trouble:
            log.warning("no look after REPLACE", account=self._session.account_id, reason=str(trouble))

    async def _locate(self, event: events.Append, name: str, *, replacing: bool) -> Place:
        """Raises NotFound, NoRight, NotPossible, Unavailable."""
        session = self._session
        if session.granted is not None and session.granted.reading:
            raise NoRight(f"{name!r}: a reading pass appends nothing")
        place = await locate(session, name, "REPLACE to" if replacing else "APPEND")
        if replacing and not place.is_of(session.selected.place):
            # RFC 8508 3.1: all or nothing, which two homes cannot be.
            raise NotPossible(f"REPLACE from {session.selected.name!r} to {name!r}: two accounts")
        if event.synchronising:
            await place.call(place.shard.mailbox, place.residence, place.name)
        return place

    def _judge(self, event: events.Append, program: AppendProgram) -> Tagged | None:
        """Why this message is not wanted; None when it is."""
        session = self._session
        if session.state not in (State.AUTHENTICATED, State.SELECTED):
            return bad("Log in first")
        if event.utf8 and "UTF8=ACCEPT" not in session.enabled:
            return bad("UTF8 needs ENABLE UTF8=ACCEPT")  # RFC 6855 4
        limit = session.limits.message_limit or session.limits.save_limit
        if limit and event.index >= limit:
            raise TooManyMessages(limit)  # RFC 9738 3.1: and none of those before it is stored
        if event.size > session.limits.message_size:
            return no(f"Message is larger than {session.limits.message_size} octets", "TOOBIG")
        return None

    async def chunk(self, octets: bytes) -> None:
        upload = self._upload
        if upload is None or upload.failure is not None:
            return
        body = upload.messages[-1].body
        try:
            if body.size + len(octets) <= MEMORY_LIMIT:
                body.write(octets)
            else:
                await self._session.services.executors.run(
                    f"spool/{upload.place.residence.shard}", body.write, octets
                )
        except Unavailable as error:
            upload.failure = error

    async def complete(self) -> None:
        """The command has all its messages."""
        upload, self._upload = self._upload, None
        assert upload is not None
        if upload.failure is not None:
            await self.finish()
            self._answer(upload, upload.failure)
            return
        if upload.replaces is not None:
            await self.finish()
            self._task = asyncio.create_task(self._replace(upload))
            await self.finish()
            return
        self._complete.append(upload)
        self._octets += upload.size
        limits = self._session.limits
        if len(self._complete) >= limits.append_batch or self._octets >= limits.append_octets:
            await self._wait()
            self.start()

    @property
    def storing(self) -> "asyncio.Task[None] | None":
        """The commit that runs, whose replies come when it is done."""
        return self._task

    @property
    def busy(self) -> bool:
        """With messages that have not been answered, or will not be."""
        return self._upload is not None or bool(self._complete) or self._task is not None or self._stale

    def drop(self) -> None:
        """The command whose literals were coming in is not wanted any more."""
        if self._upload is not None:
            self._upload.close()
            self._upload = None

    def start(self) -> None:
        """Commit what is complete, unless a commit runs: that one goes on with it."""
        if self._complete and self._task is None:
            self._task = asyncio.create_task(self._work())

    async def finish(self) -> None:
        """All complete APPENDs are answered when this returns. Raises Farewell when the account has moved."""
        if self._complete or self._task is not None:
            self.start()
            await self._wait()
        if self._stale:
            raise Farewell(MOVED)

    async def close(self) -> None:
        """The connection ends: what was complete is stored all the same, what was not is dropped."""
        self.drop()
        self.start()
        await self._wait()

    async def _wait(self) -> None:
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _work(self) -> None:
        session = self._session
        try:
            while self._complete:
                batch = self._take()
                await self._store(batch)
                for upload in batch:
                    upload.close()
            session.stream.push()
        finally:
            self._task = None

    async def _replace(self, upload: Upload) -> None:
        try:
            await self._store([upload])
        finally:
            upload.close()
            self._task = None

    def _take(self) -> list[Upload]:
        """The longest run of commands for one mailbox that one commit may have; one command at least."""
        first, *others = self._complete
        limits = self._session.limits
        batch, octets = [first], first.size
        for upload in others:
            octets += upload.size
            full = len(batch) >= limits.append_batch or octets > limits.append_octets
            if full or upload.place != first.place:
                break
            batch.append(upload)
        del self._complete[: len(batch)]
        self._octets = sum(upload.size for upload in self._complete)
        return batch

    async def _store(self, batch: list[Upload]) -> None:
        session = self._session
        messages = [message for upload in batch for message in upload.messages]
        try:
            place, replaces = batch[0].place, batch[0].replaces
            quota = await session.quota(place.owner)
            appended = await session.services.store.append(
                place.residence,
                place.name,
                messages,
                quota=quota,
                replacing=None if replaces is None else (session.selected.mailbox_id, replaces),
            )
        except StaleEpoch:
            self._stale = True
            session.stop(MOVED)
            return
        except Exception as error:  # noqa: BLE001 - answered, and logged where it is no refusal
            if len(batch) > 1:
                for upload in batch:
                    await self._store([upload])
            else:
                if replaces is not None:
                    await self._check_source(error)
                self._answer(batch[0], error)
            return
        if replaces is not None:
            # RFC 8508 3.4: APPENDUID in an untagged OK, before EXPUNGE.
            code = response.appenduid(appended[0].uidvalidity, [appended[0].uid])
            session.out(response.untagged_status("OK", "Replacement stored", code))
        if session.view is not None and session.view.name == place.shown:
            session.watch.added(each.uid for each in appended)
        await self._look(place.shown, now=replaces is not None)
        for upload in batch:
            count = len(upload.messages)
            self._answer(upload, appended[:count])
            appended = appended[count:]

    async def _look(self, mailbox: str, *, now: bool) -> None:
        """RFC 3501 6.3.11: who appends to the selected mailbox hears of the new messages at once. `now`: whichever it
        is."""
        session = self._session
        if session.view is None:
            return
        try:
            await session.refresh(now=now or session.view.name == mailbox)
            session.announce(expunge=True)
        except (
            Farewell
        ) as error:  # what is selected is gone; but first the client hears that its messages are stored
            session.stop(str(error))
        except MailplatError as error:  # the messages are stored; the next command looks again
            log.warning("no look after APPEND", account=session.account_id, reason=str(error))

    def _answer(self, upload: Upload, result: list[Appended] | Exception) -> None:
        session = self._session
        if isinstance(result, Exception):
            tagged = refusal(result, missing="TRYCREATE")
            if tagged is None:
                log.error("APPEND failed", account=session.account_id, exc_info=result)
                tagged = BUG
            upload.close()
        elif upload.replaces is not None:
            tagged = ok("Replaced", highest(session))
        else:
            uids = [appended.uid for appended in result]
            tagged = ok("Stored", response.appenduid(result[0].uidvalidity, uids))
        session.out(response.tagged(upload.tag, tagged.status, tagged.text, tagged.code))
