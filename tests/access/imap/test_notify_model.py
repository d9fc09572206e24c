"""A client that believes nothing but what NOTIFY tells it (RFC 5465), beside clients that change everything."""

import random
import re

import pytest

from mailplat.core.errors import MailplatError
from mailplat.core.spool import Body
from mailplat.store.types import NewMessage
from tests.access.imap.client import Client
from tests.access.imap.conftest import Rig, message

# One below the other, so that trees are renamed and parents made.
NAMES = ("a", "b", "a/a", "a/b", "b/a", "a/a/a", "c")

_LIST = re.compile(rb'\* LIST \(([^)]*)\) "/" (\S+)(?: \("OLDNAME" \((\S+)\)\))?')
_STATUS = re.compile(rb"\* STATUS (\S+) \((.*)\)")
_FETCH = re.compile(rb"\* (\d+) FETCH \(UID (\d+) FLAGS \(([^)]*)\)\)")
_COUNT = re.compile(rb"\* (\d+) (EXISTS|EXPUNGE)")


class Model:
    """What the client knows."""

    def __init__(self) -> None:
        self.names = {"INBOX"}
        self.subscribed: set[str] = set()
        self.numbers: dict[str, tuple[int, int]] = {}  # messages and unseen ones, of what is not selected
        self.selected: list[tuple[int, bool]] = []  # UID, \Seen

    def hear(self, line: bytes) -> None:
        if found := _LIST.fullmatch(line):
            self._list(found[1].decode(), found[2].decode(), (found[3] or b"").decode())
        elif found := _STATUS.fullmatch(line):
            words = found[2].decode().split()
            values = dict(zip(words[::2], map(int, words[1::2]), strict=True))
            name = found[1].decode()
            messages, unseen = self.numbers.get(name, (0, 0))
            self.numbers[name] = values.get("MESSAGES", messages), values.get("UNSEEN", unseen)
        elif found := _FETCH.fullmatch(line):
            self.selected[int(found[1]) - 1] = int(found[2]), b"\\Seen" in found[3]
        elif found := _COUNT.fullmatch(line):
            number = int(found[1])
            if found[2] == b"EXPUNGE":
                del self.selected[number - 1]
            else:
                assert number >= len(self.selected)
                self.selected += [(0, False)] * (number - len(self.selected))
        elif line.startswith(b"* METADATA "):
            assert line.endswith(b" /private/x")
        else:
            raise AssertionError(line)

    def rename(self, old: str, new: str) -> None:
        moved = {
            name: new + name[len(old) :] for name in self.names if name == old or name.startswith(f"{old}/")
        }
        self.names = {moved.get(name, name) for name in self.names}
        self.numbers = {moved.get(name, name): numbers for name, numbers in self.numbers.items()}

    def remove(self, name: str) -> None:
        self.names.discard(name)
        self.numbers.pop(name, None)

    def _list(self, attributes: str, name: str, old: str) -> None:
        if old:
            self.rename(old, name)
        (self.subscribed.add if "\\Subscribed" in attributes else self.subscribed.discard)(name)
        if "\\NonExistent" in attributes:
            self.remove(name)
        else:
            self.names.add(name)


class World:
    """The account, changed by others and by the client itself."""

    def __init__(self, rig: Rig, client: Client, seed: int) -> None:
        self.rig, self.client, self.model = rig, client, Model()
        self.random = random.Random(seed)
        self.log: list[str] = []  # what happened, for who has to find out why they do not agree

    async def step(self) -> None:
        await self.random.choice((self.others, self.others, self.others, self.mine))()

    async def others(self) -> None:
        """Somebody else, or nothing where it is not possible."""
        shard, residence, pick = self.rig.shard, self.rig.residence, self.random.choice
        name, other = pick(NAMES), pick(NAMES)
        there = pick(sorted(mailbox.name for mailbox in shard.mailboxes(residence)))
        mailbox = shard.mailbox(residence, there)
        kind = self.random.randrange(9)
        self.log.append(f"{kind}: {name} {other} {there}")
        try:
            match kind:
                case 0 | 1:
                    shard.create(residence, name)
                case 2:
                    shard.delete(residence, name)
                case 3:
                    shard.rename(residence, name, other)
                case 4:
                    shard.subscribe(residence, name, self.random.random() < 0.6)
                case 5:
                    new = [NewMessage(Body.of(message(str(n)))) for n in range(self.random.randrange(1, 4))]
                    await self.rig.store.append(residence, there, new)
                case 6:
                    shard.store_flags(residence, mailbox.id, None, pick(("add", "remove")), ("\\Seen",))
                case 7:
                    uids = shard.snapshot(residence, mailbox.id).uids
                    if uids:
                        uid = pick(list(uids))
                        shard.expunge_uids(residence, mailbox.id, [(uid, uid)])
                case 8:
                    shard.annotate(residence, mailbox.id, {"/private/x": self.random.randbytes(4)})
        except MailplatError:
            pass

    async def mine(self) -> None:
        """The client itself; it knows what its commands do without being told."""
        pick, model = self.random.choice, self.model
        name = pick(NAMES)
        match self.random.randrange(6):
            case 0:
                if (await self.said(f"CREATE {name}")).startswith(b"OK"):
                    levels = name.split("/")
                    model.names |= {"/".join(levels[:depth]) for depth in range(1, len(levels) + 1)}
            case 1:
                if (await self.said(f"DELETE {name}")).startswith(b"OK"):
                    model.remove(name)
            case 2:
                new = pick(NAMES)
                if (await self.said(f"RENAME {name} {new}")).startswith(b"OK"):
                    model.rename(name, new)
                    levels = new.split("/")
                    model.names |= {"/".join(levels[:depth]) for depth in range(1, len(levels) + 1)}
            case 3:
                if (await self.said(f"SUBSCRIBE {name}")).startswith(b"OK"):
                    model.subscribed.add(name)
            case 4:
                await self.said("UID STORE 1:* +FLAGS (\\Seen)")
            case 5:
                await self.said("NOOP")

    async def listen(self) -> None:
        """What comes by itself."""
        try:
            line = await self.client.line()
        except TimeoutError as error:
            history = "\n".join([*self.log[-60:], repr(vars(self.model)), repr(self.truth())])
            raise AssertionError(history) from error
        self.log.append(repr(line))
        self.model.hear(line)

    async def said(self, command: str) -> bytes:
        answer = await self.client.command(command)
        self.log.append(f"{command}: {answer}")
        for line in answer.lines:
            self.model.hear(line)
        return answer.tagged

    def truth(self) -> tuple[set[str], set[str], dict[str, tuple[int, int]], list[tuple[int, bool]]]:
        """Names, subscriptions, numbers of what is not selected, messages of what is."""
        shard, residence = self.rig.shard, self.rig.residence
        mailboxes = shard.mailboxes(residence)
        inbox = shard.snapshot(residence, next(each.id for each in mailboxes if each.name == "INBOX"))
        return (
            {mailbox.name for mailbox in mailboxes},
            set(shard.subscriptions(residence)),
            {each.name: (each.messages, each.unseen) for each in mailboxes if each.name != "INBOX"},
            [
                (uid, "\\Seen" in inbox.flagsets[number])
                for uid, number in zip(inbox.uids, inbox.flags, strict=True)
            ],
        )

    def agree(self) -> bool:
        """Whether the client knows all there is to know."""
        names, subscribed, numbers, selected = self.truth()
        model = self.model
        known = {name: model.numbers.get(name, (0, 0)) for name in numbers}
        return (model.names, model.subscribed, known, model.selected) == (
            names,
            subscribed,
            numbers,
            selected,
        )


@pytest.mark.parametrize("seed", range(8))
async def test_a_client_that_only_listens_knows_all(rig: Rig, seed: int) -> None:
    client = await rig.login("INBOX")
    await client.ok(
        "NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge FlagChange))"
        " (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange))"
    )
    world = World(rig, client, seed)
    for _ in range(12):
        for _ in range(world.random.randrange(1, 9)):
            await world.step()
        while not world.agree():
            await world.listen()
