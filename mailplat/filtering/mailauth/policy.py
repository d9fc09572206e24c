"""A DMARC record (RFC 9989 4.7), read with the package `dmarc`, which knows the tags of RFC 7489; those that came
later (np, psd) are read here."""

import enum
import re
from dataclasses import dataclass

import dmarc

# RFC 9989 4.7: the version comes first; its value is the only part where case matters.
_VERSION = re.compile(rb"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)")
# Octets of one record; real ones have < 1,000.
MAX_RECORD = 4 * 1024


class Disposition(enum.IntEnum):
    """What the domain's owner asks for mail that fails. Ordered by strictness."""

    NONE = 0
    QUARANTINE = 1
    REJECT = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Policy:
    """`sp` and `np` fall back as RFC 9989 4.7 says. `psd` is "y", "n" or "u". `testing`: t=y."""

    p: Disposition
    sp: Disposition
    np: Disposition
    strict_dkim: bool
    strict_spf: bool
    psd: str
    testing: bool

    def asks(self, disposition: Disposition) -> Disposition:
        """RFC 9989 4.7 t=y: the policy one step milder. The package's own verify() does not do that by itself."""
        return Disposition(max(0, disposition - 1)) if self.testing else disposition


def is_policy(text: bytes) -> bool:
    """Whether a TXT record claims to be a DMARC record."""
    return _VERSION.match(text) is not None and len(text) <= MAX_RECORD


def parse_policy(text: bytes) -> Policy | None:
    """None where the record counts for nothing."""
    record = text.decode("ascii", "replace")
    tags = _tags(record)
    if "p" not in tags:
        record = f"{record.rstrip(' ;')}; p=none"  # RFC 9989 4.7: p= may be absent and then is none
    reading = dmarc.Policy("DMARC1", "")
    try:
        reading.parse_record(record, strict=False)
    except dmarc.RecordSyntaxError:
        return None
    p = _disposition(reading.p.value, Disposition.NONE)
    sp = _disposition(reading.sp.value, p)
    return Policy(
        p=p,
        sp=sp,
        np=_disposition(tags.get("np"), sp),
        strict_dkim=reading.adkim is dmarc.DMARCAlignment.STRICT,
        strict_spf=reading.aspf is dmarc.DMARCAlignment.STRICT,
        psd=tags.get("psd", "u") if tags.get("psd") in ("y", "n") else "u",
        # RFC 9989 dropped pct=; owners who still say pct=0 mean what is t=y now (its appendix A.6)
        testing=reading.t is dmarc.DMARCTesting.Y or reading.pct == 0,
    )


def _tags(record: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip().lower() for name, equals, value in pairs if equals}


def _disposition(word: str | None, otherwise: Disposition) -> Disposition:
    try:
        return Disposition[(word or "").upper()]
    except KeyError:
        return otherwise
