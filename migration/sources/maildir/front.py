"""The IMAP server before the files. Asked at the beginning of each round: STATUS makes it look into its folders and
give UIDs to what has none (Courier needs a SELECT for that), and tells what the files do not."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from migration.sources.contract import Naming, SourceMailbox, Survey
from migration.sources.imap_account import ImapAccount, longest


@dataclass(frozen=True, slots=True)
class Said:
    survey: Survey  # the namespace of the files only
    prefix: tuple[str, ...]  # levels above all mailboxes but INBOX, in modified UTF-7


class Front:
    """One connection, opened when it is first needed. Raises what ImapAccount raises."""

    def __init__(self, connect: Callable[[], Awaitable[ImapAccount]], prefix: str | None) -> None:
        """`prefix`: of the files' namespace; None: the first personal one (RFC 2342 5)."""
        self._connect = connect
        self._prefix = prefix
        self._account: ImapAccount | None = None
        self._mailboxes: dict[str, SourceMailbox] = {}

    async def survey(self) -> Said:
        account = await self._opened()
        known = await account.namespaces()
        own = known[0] if self._prefix is None else self._prefix.encode()
        survey = await account.survey()
        # Other users' and shared mailboxes lie elsewhere, and so does a second namespace.
        kept = tuple(
            each
            for each in survey.mailboxes
            if each.name == "INBOX" or longest(each.wire, [own, *known]) == own
        )
        self._mailboxes = {each.name: each for each in kept}
        levels = own[:-1].split(own[-1:]) if own else []
        return Said(
            Survey(kept, survey.subscriptions, survey.statuses),
            tuple(each.decode("ascii", "replace") for each in levels),
        )

    async def touch(self, name: str) -> None:
        """Let the server give UIDs to what has none in a mailbox, if STATUS does not. Raises NotFound."""
        if name in self._mailboxes:
            await (await self._opened()).touch(self._mailboxes[name])

    async def naming(self) -> Naming:
        return await (await self._opened()).naming()

    async def flags(self, name: str) -> dict[int, tuple[str, ...]]:
        """By UID. Raises NotFound where the mailbox has gone."""
        account = await self._opened()
        await account.examine(self._mailboxes[name])
        return {each.uid: each.flags for each in await account.scan()}

    async def access_lists(self, names: Collection[str]) -> dict[str, list[tuple[str, str]] | None] | None:
        """As ImapAccount; None where the server has no ACL."""
        account = await self._opened()
        if not account.offers_acl:
            return None
        return await account.access_lists(
            {name: each.wire for name, each in self._mailboxes.items() if name in names}
        )

    @property
    def has_old_rights(self) -> bool:
        return self._account is not None and self._account.has_old_rights

    async def close(self) -> None:
        if self._account is not None:
            await self._account.close()

    async def _opened(self) -> ImapAccount:
        if self._account is None:
            self._account = await self._connect()
        return self._account
