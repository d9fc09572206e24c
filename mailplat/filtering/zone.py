"""DNS answered from a file: for tests, demos and rigs that must not depend on anybody's name servers.

The file is a master file (RFC 1035 5) with absolute names; SOA and NS are not needed and may be absent. Directives in
comments state what a file cannot hold, as the first thing of a line:

    ;!servfail NAME [TYPE]...     the question fails at once (temperror)
    ;!timeout NAME [TYPE]...      the question fails after the deadline (temperror)

Without TYPE the directive holds for every type. Wildcards and empty non-terminals answer as RFC 4592 says.
"""

import asyncio
from pathlib import Path

import dns.exception
import dns.name
import dns.node
import dns.zone

from mailplat.core.errors import InvalidInput
from mailplat.filtering.answer import (
    DEADLINE,
    NXDOMAIN,
    TEMPERROR,
    TYPES,
    Answer,
    Record,
    parse_name,
    records_of,
)

# TTL of negative answers: a zone file has no SOA to say it.
NEGATIVE_TTL = 60.0
# RFC 1034 5.2.2 leaves the number to us; a longer chain is a loop.
MAX_CHAIN = 8

_DIRECTIVES = {";!servfail": 0.0, ";!timeout": 1.0}


class Zone:
    """`deadline` is what a timeout directive waits, in seconds."""

    def __init__(self, text: str, *, deadline: float = DEADLINE) -> None:
        """Raises InvalidInput with the line at fault."""
        self._deadline = deadline
        self._failing: dict[
            tuple[str, str], float
        ] = {}  # (name, type or "") -> factor of the deadline to wait
        self._records: dict[str, dict[str, tuple[float, tuple[Record, ...]]]] = {}
        self._inner: set[str] = set()  # names above a name that has records
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith(";!"):
                self._direct(line, number)
        try:
            zone = dns.zone.from_text(text, origin=".", relativize=False, check_origin=False)
        except dns.exception.DNSException as error:
            raise InvalidInput(f"zone: {error.__class__.__name__}: {error}") from error
        for name, node in zone.nodes.items():
            self._keep(name, node)

    @classmethod
    def read(cls, path: Path, *, deadline: float = DEADLINE) -> "Zone":
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"zone file {path} cannot be read: {error}") from error
        try:
            return cls(text, deadline=deadline)
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}") from error

    async def query(self, name: str, type: str) -> Answer:
        key = _key(name)
        for _ in range(MAX_CHAIN + 1):
            if (factor := self._failing.get((key, type), self._failing.get((key, "")))) is not None:
                await asyncio.sleep(factor * self._deadline)
                return TEMPERROR
            held = self._find(key)
            if held is None:
                return NXDOMAIN
            if type in held:
                ttl, records = held[type]
                return Answer(records, "ok", ttl)
            if "CNAME" not in held:
                return Answer((), "nodata", NEGATIVE_TTL)
            key = _key(str(held["CNAME"][1][0]))
        return TEMPERROR  # a chain without end: what a recursive server answers SERVFAIL

    def _find(self, key: str) -> dict[str, tuple[float, tuple[Record, ...]]] | None:
        """What the name holds; {} for an empty non-terminal or a failing name; None where there is no such name."""
        if parse_name(key) is None:
            return None
        if key in self._records:
            return self._records[key]
        if key in self._inner:
            return {}
        parent = key
        while parent:  # RFC 4592 3.3.1: the wildcard below the closest name that exists
            parent = parent.partition(".")[2]
            if parent in self._records or parent in self._inner or not parent:
                return self._records.get(f"*.{parent}" if parent else "*")
        return None

    def _keep(self, name: dns.name.Name, node: dns.node.Node) -> None:
        key = _key(".".join(label.decode("utf-8", "replace") for label in name.labels))
        held = self._records.setdefault(key, {})
        for rdataset in node:
            for type in TYPES:
                if records := records_of(list(rdataset), type):
                    held[type] = (float(rdataset.ttl), records)
        self._keep_parents(key)

    def _keep_parents(self, key: str) -> None:
        while key := key.partition(".")[2]:
            self._inner.add(key)

    def _direct(self, line: str, number: int) -> None:
        directive, *words = line.split()
        if directive not in _DIRECTIVES or not words or not TYPES.issuperset(words[1:]):
            raise InvalidInput(
                f"zone line {number}: {line!r} is no directive; write ;!servfail or ;!timeout, a name and types of "
                + " ".join(sorted(TYPES))
            )
        key = _key(words[0])
        for type in words[1:] or [""]:
            self._failing[key, type] = _DIRECTIVES[directive]
        self._keep_parents(key)


def _key(name: str) -> str:
    return name.lower().removesuffix(".")
