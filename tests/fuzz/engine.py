"""Inputs that are changed at random, and kept where they reach something new.

What is new is seen by a trace function in the modules of the target alone: pairs of lines that ran one after the
other. It counts lines too: so many for each octet are what a linear parser takes, whatever the machine is busy with.
What a single call into C takes (a regular expression) is seen by the clock of the process only.
"""

import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]

# Lines that a run may take: so many to begin with, and for each octet.
STEPS = 60_000
STEPS_PER_OCTET = 600
# Seconds of the processor that one run may take, traced as it is: a hundred times what the slowest should.
SECONDS = 5.0
# How often an input is tried without a piece of it before it is kept as it is.
TRIES = 60
# Octets that the process may grow by in one run.
GROWTH = 64 * 1024 * 1024


class Target(Protocol):
    """A module of targets/."""

    MODULES: tuple[str, ...]  # prefixes of paths below the checkout, whose lines count
    WORDS: tuple[bytes, ...]
    SEEDS: tuple[bytes, ...]
    LONGEST: int

    def run(self, octets: bytes) -> None:
        """Raises for a finding, and for nothing else."""
        ...


class Overrun(BaseException):
    """A run does not come to its end. No `except Exception` of the parser takes it."""


@dataclass(frozen=True)
class Finding:
    octets: bytes
    error: BaseException


class Tracer:
    """Runs a target and says which pairs of lines it went through."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._prefixes = tuple(str(ROOT / prefix) for prefix in target.MODULES)
        self._ids: dict[Any, int] = {}  # of code objects; 0: not of ours
        self.steps = 0
        self._most = 0
        self._pairs: set[int] = set()

    def run(self, octets: bytes) -> set[int]:
        """Raises what the target raises, Overrun, MemoryError."""
        self.steps = 0
        self._most = STEPS + STEPS_PER_OCTET * len(octets)
        self._pairs = set()
        before = _memory()
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        sys.settrace(self._call)
        try:
            self._target.run(octets)
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if _memory() - before > GROWTH:
            raise MemoryError(f"{_memory() - before} octets more than before")
        return self._pairs

    def _call(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        code = frame.f_code
        number = self._ids.get(code)
        if number is None:
            number = (len(self._ids) + 1) << 32 if code.co_filename.startswith(self._prefixes) else 0
            self._ids[code] = number
        if not number:
            return None
        last = 0
        pairs = self._pairs

        def line(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
            nonlocal last
            here = frame.f_lineno & 0xFFFF
            pairs.add(number | last << 16 | here)
            last = here
            self.steps += 1
            if self.steps > self._most:
                sys.settrace(None)
                raise Overrun(f"more than {self._most} steps")
            return line

        return line


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def watch_the_clock() -> None:
    def late(number: int, frame: FrameType | None) -> None:
        raise Overrun(f"more than {SECONDS} s of the processor")

    signal.signal(signal.SIGVTALRM, late)


@dataclass
class Fuzzer:
    target: Target
    corpus: list[bytes]
    random: random.Random
    seen: set[int] = field(default_factory=set)
    runs: int = 0
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tracer = Tracer(self.target)
        self._kept: list[bytes] = []
        for octets in (*self.target.SEEDS, *self.corpus):
            self._try(octets)

    @property
    def kept(self) -> list[bytes]:
        return self._kept

    def work(self, seconds: float) -> None:
        """For about so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(20):
                self._try(self._changed())

    def _try(self, octets: bytes) -> None:
        self.runs += 1
        try:
            pairs = self._tracer.run(octets)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - that is what we look for
            if not any(
                type(error) is type(known.error) and place(error) == place(known.error)
                for known in self.findings
            ):
                self.findings.append(Finding(octets, error))
            return
        if not pairs <= self.seen:
            self.seen |= pairs
            self._kept.append(octets)

    def _changed(self) -> bytes:
        parents = self._kept or [b""]
        # The shorter of two: it costs less, and has less in it that does not matter.
        octets = bytearray(min(self.random.choice(parents), self.random.choice(parents), key=len))
        for _ in range(self.random.choice((1, 1, 2, 3, 5, 8))):
            self.random.choice(_CHANGES)(octets, self.random, self)
        return bytes(octets[: self.target.LONGEST])

    def smallest(self) -> list[bytes]:
        """Inputs that together reach what all did, the short ones first; each without what it does not need."""
        reached: set[int] = set()
        chosen: list[bytes] = []
        for octets in sorted(dict.fromkeys((*self.target.SEEDS, *self._kept)), key=len):
            pairs = self._pairs(octets)
            if pairs <= reached:
                continue
            octets = self._trimmed(octets, pairs - reached)
            reached |= self._pairs(octets)
            chosen.append(octets)
        return chosen

    def _pairs(self, octets: bytes) -> set[int]:
        """Nothing of a finding: it is kept elsewhere."""
        try:
            return self._tracer.run(octets)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - what targets raise is theirs
            return set()

    def _trimmed(self, octets: bytes, wanted: set[int]) -> bytes:
        size, tries = len(octets) // 2, TRIES
        while size and tries > 0:
            at = 0
            while at < len(octets) and tries > 0:
                tries -= 1
                shorter = octets[:at] + octets[at + size :]
                if wanted <= self._pairs(shorter):
                    octets = shorter
                else:
                    at += size
            size //= 2
        return octets


def place(error: BaseException) -> tuple[str, int]:
    """Where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return ("", 0) if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)


Change = Callable[[bytearray, random.Random, Fuzzer], None]


def _at(octets: bytearray, chance: random.Random) -> int:
    return chance.randint(0, len(octets))


def _flip(octets: bytearray, chance: random.Random, fuzzer: Fuzzer) -> None:
    if octets:
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)


def _set(octets: bytearray, chance: random.Random, fuzzer: Fuzzer) -> None:
    if octets:
        octets[chance.randrange(len(octets))] = chance.choice(
            b"\x00\x01\t\r\n \"%&'()*+,-./09:;<=>?@AZ[\\]_az{|}~\x7f\x80\xc3\xff"
        )


def _remove(octets: bytearray, chance: random.Random, fuzzer: Fuzzer) -> None:
    start = _at(octets, chance)
    del octets[start : start + chance.choice((1, 1, 2, 4, 8, 32, 128))]


def _word(octets: bytearray, chance: random.Random, fuzzer: Fuzzer) -> None:
    start = _at(octets, chance)
    octets[start : start + chance.choice((0, 0, 0, 1, 4))] = chance.choice(fuzzer.target.WORDS)


def _repeat(octets: bytearray, chance: random.Random, fuzzer: Fuzzer) -> None:
    """What is quadratic shows where much of one thing comes."""
    start = _at(octets, chance)
    piece = octets[start : start + chance.choice((1, 2, 4, 8, 16, 64))]
    octets[start:start] = piece * chance.choice((1, 1, 2, 2, 8, 8, 100, 1000))


def _cross(octets: bytearray, chance: random.Random, fuzzer: Fuzzer) -> None:
    other = chance.choice(fuzzer.kept or [b""])
    start = chance.randint(0, len(other))
    piece = other[start : start + chance.choice((2, 8, 32, 128, 1024))]
    at = _at(octets, chance)
    octets[at : at + chance.choice((0, len(piece)))] = piece


def _number(octets: bytearray, chance: random.Random, fuzzer: Fuzzer) -> None:
    at = _at(octets, chance)
    number = chance.choice(
        (0, 1, 2, 3, 9, 10, 100, 255, 256, 65_536, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 10**30)
    )
    octets[at:at] = b"%d" % number


_CHANGES: tuple[Change, ...] = (
    _flip,
    _set,
    _set,
    _remove,
    _remove,
    _word,
    _word,
    _word,
    _word,
    _repeat,
    _cross,
    _cross,
    _number,
)


def read_corpus(name: str) -> list[bytes]:
    """Each line is the inside of a Python bytes literal: a change can be read."""
    path = ROOT / "tests/fuzz/corpus" / f"{name}.txt"
    if not path.exists():
        return []
    return [_unescape(line) for line in path.read_text("ascii").splitlines()]


def write_corpus(name: str, inputs: Iterable[bytes]) -> None:
    path = ROOT / "tests/fuzz/corpus" / f"{name}.txt"
    path.write_text("".join(f"{_escape(octets)}\n" for octets in inputs), "ascii")


def _escape(octets: bytes) -> str:
    return octets.decode("latin-1").encode("unicode_escape").decode("ascii")


def _unescape(line: str) -> bytes:
    return line.encode("ascii").decode("unicode_escape").encode("latin-1")
