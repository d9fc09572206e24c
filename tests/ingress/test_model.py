"""Random dialogues, pipelined and cut at random, against a model of RFC 5321 4.1.4: one reply for each command, in
order, with the code that the model foretells; and exactly the messages that were accepted are kept."""

import asyncio
import random
from dataclasses import dataclass

import pytest

from tests.ingress.house import House
from tests.ingress.wire import Wire

COMMANDS = [
    "EHLO c",
    "HELO c",
    "RSET",
    "NOOP",
    "VRFY x",
    "WHAT",
    "MAIL FROM:<a@remote.example>",
    "MAIL FROM:<>",
    "MAIL FROM:<a@remote.example> SIZE=10",
    "MAIL FROM:<a@@remote.example>",
    "RCPT TO:<anna@example.org>",
    "RCPT TO:<bert@example.org>",
    "RCPT TO:<nobody@example.org>",
    "RCPT TO:<x@elsewhere.example>",
    "DATA",
    "DATA",
]
WEIGHTS = [2, 1, 1, 1, 1, 1, 6, 2, 2, 1, 6, 4, 1, 1, 5, 5]


@dataclass
class Model:
    greeted: str = ""
    mail: bool = False
    recipients: frozenset[str] = frozenset()

    def expect(self, command: str) -> int:
        verb, _, argument = command.partition(" ")
        match verb:
            case "EHLO" | "HELO":
                self.greeted, self.mail, self.recipients = verb, False, frozenset()
                return 250
            case "RSET":
                self.mail, self.recipients = False, frozenset()
                return 250
            case "NOOP":
                return 250
            case "VRFY":
                return 252
            case "MAIL":
                return self._mail(argument)
            case "RCPT":
                return self._rcpt(argument)
            case "DATA":
                return 354 if self.recipients else 503
        return 500

    def _mail(self, argument: str) -> int:
        if not self.greeted or self.mail:
            return 503
        if "@@" in argument:
            return 501
        if "SIZE" in argument and self.greeted == "HELO":
            return 555
        self.mail = True
        return 250

    def _rcpt(self, argument: str) -> int:
        if not self.mail:
            return 503
        name = argument[4:].partition("@")[0]
        if name not in ("anna", "bert"):
            return 550
        self.recipients |= {name}
        return 250


@pytest.mark.parametrize("seed", range(12))
async def test_random_dialogues(house: House, seed: int) -> None:
    source = random.Random(seed)
    wire = await Wire.open(await house.listen(errors=1_000_000))
    model = Model()
    octets = bytearray()
    expected: list[int] = []
    kept: dict[str, list[bytes]] = {"anna": [], "bert": []}
    for number in range(120):
        [command] = source.choices(COMMANDS, WEIGHTS)
        octets += command.encode() + b"\r\n"
        expected.append(model.expect(command))
        if expected[-1] == 354:  # a client that does not wait for it, as a careless one would
            letter = b"Subject: %d\r\n\r\n" % number
            bare = source.random() < 0.2
            octets += letter + (b"a\rb\r\n" if bare else b"") + b".\r\n"
            expected.append(550 if bare else 250)
            for name in model.recipients if not bare else ():
                kept[name].append(letter)
            model.mail, model.recipients = False, frozenset()

    async def send() -> None:
        at = 0
        while at < len(octets):
            size = source.choice([1, 2, 7, 50, 1000])
            await wire.send(bytes(octets[at : at + size]))
            at += size
            await asyncio.sleep(0)

    task = asyncio.create_task(send())
    assert [int((await wire.reply())[:3]) for _ in expected] == expected
    await task
    assert (await wire.ask("QUIT")).startswith("221 ")
    for name, letters in kept.items():
        assert [octets.partition(b"Subject")[2] for octets in house.kept(name)] == [
            letter.partition(b"Subject")[2] for letter in letters
        ]
