"""The words in which DNS answers here, and the interface that gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype

Status = Literal["ok", "nxdomain", "nodata", "temperror"]
Record = str | bytes | tuple[int, str]

# All tries at all servers for one question, seconds: within the patience of an SMTP client many times over.
DEADLINE = 5.0
# A TTL below this would make us ask for each message of a burst; no key or policy needs to change faster.
MIN_TTL = 5.0
# What failed is asked again soon, but not for each message (RFC 9520 3.2: at least 1 s, at most 5 min).
FAILURE_TTL = 5.0

TYPES = frozenset({"A", "AAAA", "MX", "TXT", "PTR", "CNAME"})


@dataclass(frozen=True, slots=True)
class Answer:
    """Records: A, AAAA an address as text; TXT the joined strings as octets; PTR, CNAME a name; MX a
    (preference, exchange). Names are without a trailing dot (the null MX of RFC 7505 is ""), `ttl` in seconds."""

    records: tuple[Record, ...] = ()
    status: Status = "ok"
    ttl: float = 0.0

    @property
    def texts(self) -> tuple[bytes, ...]:
        """Of a TXT answer."""
        return tuple(record for record in self.records if isinstance(record, bytes))

    @property
    def names(self) -> tuple[str, ...]:
        """Of an A, AAAA, PTR or CNAME answer."""
        return tuple(record for record in self.records if isinstance(record, str))

    @property
    def exchanges(self) -> tuple[tuple[int, str], ...]:
        """Of an MX answer, in the order that came."""
        return tuple(record for record in self.records if isinstance(record, tuple))


TEMPERROR = Answer((), "temperror", FAILURE_TTL)
NXDOMAIN = Answer((), "nxdomain", MIN_TTL)


class Dns(Protocol):
    async def query(self, name: str, type: str) -> Answer:
        """`name` without escapes, with or without a final dot; `type` one of TYPES. CNAMEs are followed. Never
        raises for what DNS says or fails to say."""
        ...


def parse_name(name: str) -> dns.name.Name | None:
    """A name from its labels as they are: "\\" is no escape. None where no such name can exist (RFC 1035 2.3.4)."""
    try:
        labels = [label.encode("utf-8") for label in name.removesuffix(".").split(".")]
        return dns.name.Name([*labels, b""]) if name not in ("", ".") else dns.name.root
    except (dns.exception.DNSException, UnicodeEncodeError):
        return None


def records_of(rdatas: Sequence[dns.rdata.Rdata], type: str) -> tuple[Record, ...]:
    """dnspython's records as ours; of other types than asked for nothing."""
    found: list[Record] = []
    for rdata in rdatas:
        if dns.rdatatype.to_text(rdata.rdtype) != type:
            continue
        match type:
            case "A" | "AAAA":
                found.append(str(rdata.to_text()))
            case "TXT":
                found.append(b"".join(getattr(rdata, "strings")))  # noqa: B009 — rdata classes are made at run time
            case "MX":
                found.append((int(getattr(rdata, "preference")), _text(getattr(rdata, "exchange"))))  # noqa: B009
            case _:
                found.append(_text(getattr(rdata, "target")))  # noqa: B009
    return tuple(found)


def _text(name: dns.name.Name) -> str:
    """The inverse of parse_name; an octet that is no UTF-8 is replaced, so that the name matches nothing."""
    return ".".join(label.decode("utf-8", "replace") for label in name.labels if label)
