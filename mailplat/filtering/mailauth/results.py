"""Authentication-Results (RFC 8601): writes ours with authres, removes those that claim to be ours."""

import re
from collections.abc import Sequence

import authres
import authres.dkim_b
import authres.dmarc

from mailplat.filtering.header import Field, split
from mailplat.filtering.mailauth.dkim import DkimResult
from mailplat.filtering.mailauth.dmarc import DmarcResult
from mailplat.filtering.mailauth.domain import normalise
from mailplat.filtering.mailauth.spf import SpfResult

# What we think of a message is told in this one (ingress/screen.py).
VERDICT = b"x-mailplat-verdict"
NAME = b"authentication-results"

# Values that need no quoting. authres quotes nothing that has an "@" in it: a reverse-path such as
# <"a; dkim=pass header.d=bank.example"@evil.example> would write results of its own.
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_TOKEN = re.compile(rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+")


def render(
    hostname: str, spf: SpfResult | None, dkim: Sequence[DkimResult], dmarc: DmarcResult | None
) -> bytes:
    """The complete field with CRLF, one method a line. `spf` and `dmarc` are None where they were not asked."""
    results: list[authres.core.AuthenticationResult] = []
    if spf is not None:
        results.append(_spf(spf))
    results += [_dkim(one) for one in dkim or (DkimResult("none"),)]
    if dmarc is not None:
        results.append(_dmarc(dmarc))
    parts = [str(result) for result in results]
    return ";\r\n\t".join([f"Authentication-Results: {hostname}", *parts]).encode("ascii") + b"\r\n"


def _spf(result: SpfResult) -> authres.SPFAuthenticationResult:
    safe = _safe_identity(result)
    shown = {"smtp_mailfrom" if result.scope == "mailfrom" else "smtp_helo": safe} if safe else {}
    return authres.SPFAuthenticationResult(result=result.result, reason=result.reason or None, **shown)


def _safe_identity(result: SpfResult) -> str:
    """RFC 8601 2.7.2 lets us leave the local part out, or all of it."""
    local, at, _ = result.sender.rpartition("@")
    if result.scope == "mailfrom" and at and result.domain and _DOT_ATOM.fullmatch(local):
        return f"{local}@{result.domain}"
    return result.domain


def _dkim(result: DkimResult) -> authres.dkim_b.DKIMAuthenticationResult:
    made = authres.dkim_b.DKIMAuthenticationResult(
        result=result.result, reason=result.reason or None, header_d=result.domain
    )
    if result.selector:
        made.header_s = result.selector
        made.header_a = result.algorithm
        made.header_b = (
            result.b
        )  # last: it is quoted, and authres as a reader loses a quoted value before others
    return made


def _dmarc(result: DmarcResult) -> authres.dmarc.DMARCAuthenticationResult:
    comment = f"p={result.published} dis={result.disposition.word}" if result.published else None
    return authres.dmarc.DMARCAuthenticationResult(
        result=result.result,
        result_comment=comment,
        reason=result.reason or None,
        header_from=result.domain,
    )


def strip(header_block: bytes, authserv_id: str) -> bytes:
    """The header block without the Authentication-Results fields that carry our authserv-id (RFC 8601 5), whatever
    their case, folding, comments or version; without those that name us but cannot be read; and without verdicts of
    ours that we have not written. Every other octet stays."""
    folded = header_block.lower()
    if NAME not in folded and VERDICT not in folded:
        return header_block
    fields = list(split(header_block))
    kept = [field for field in fields if not _is_forged(field, authserv_id)]
    if len(kept) == len(fields):
        return header_block
    end = header_block[sum(len(field.octets) for field in fields) :]
    return b"".join(field.octets for field in kept) + end


def _is_forged(field: Field, authserv_id: str) -> bool:
    if field.name == VERDICT:
        return True
    if field.name != NAME:
        return False
    value = field.value
    named = _authserv_id(value)
    if named is None:
        return authserv_id.lower().encode("utf-8") in value.lower()
    return _same(named, authserv_id)


def _same(named: bytes, ours: str) -> bool:
    theirs = named.decode("utf-8", "replace")
    return theirs.lower() == ours.lower() or (normalise(theirs) or theirs) == (normalise(ours) or ours)


def _authserv_id(value: bytes) -> bytes | None:
    """RFC 8601 2.2: [CFWS] token / quoted-string. None where there is none. Not by authres: it recurses into comments
    and takes a stranger's field apart with one regular expression a character."""
    at = _skip_comments(value)
    if value[at : at + 1] == b'"':
        return _quoted(value, at + 1)
    match = _TOKEN.match(value, at)
    return match[0] if match else None


def _quoted(value: bytes, at: int) -> bytes | None:
    content = bytearray()
    while at < len(value):
        octet = value[at : at + 1]
        if octet == b'"':
            return bytes(content)
        if octet == b"\\":
            at += 1
            octet = value[at : at + 1]
        content += octet
        at += 1
    return None


def _skip_comments(value: bytes) -> int:
    """Where the first octet stands that is neither white space nor inside a comment (RFC 5322 3.2.2)."""
    depth = at = 0
    while at < len(value):
        octet = value[at : at + 1]
        if octet == b"(":
            depth += 1
        elif depth and octet == b")":
            depth -= 1
        elif depth and octet == b"\\":
            at += 1
        elif not depth and octet not in b" \t\r\n":
            break
        at += 1
    return at
