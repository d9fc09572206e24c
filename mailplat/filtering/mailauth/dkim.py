"""Verifies the DKIM signatures of a message (RFC 6376, with RFC 8301 and RFC 8463).

Keys are fetched on the event loop, all at once; then one job in the pool "mailauth" hashes the body (once for each
canonical form) and checks each signature. Without a signature there is neither look-up nor job. Why not dkimpy's own
verify(): it returns the same False for a DNS failure, a missing key and a forgery, has the message three times in
memory, honours l=, does not insist on From in h=, and needs PyNaCl for Ed25519. Reading of fields and canonical forms
are dkimpy's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.core.executors import Executors
from mailplat.core.spool import Body
from mailplat.filtering.answer import Answer, Dns
from mailplat.filtering.header import Field, Header
from mailplat.filtering.mailauth import signature as signatures
from mailplat.filtering.mailauth.canonicalization import hash_body
from mailplat.filtering.mailauth.keys import Key, UnusableKey, WeakKey, parse_key
from mailplat.filtering.mailauth.signature import Rejected, Signature

# Topmost signatures that are looked at; more are reported as not looked at by being absent. Each may cost a DNS
# question and a public-key operation.
MAX_SIGNATURES = 5


@dataclass(frozen=True, slots=True)
class DkimResult:
    """`result` of RFC 8601 2.7.1. `domain`, `selector`, `algorithm`, `b` are "" where the field could not be read.
    `reason` is our own text."""

    result: str
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    b: str = ""
    reason: str = ""


async def verify(header: Header, body: Body, dns: Dns, executors: Executors, now: float) -> list[DkimResult]:
    """One result for each of the topmost MAX_SIGNATURES signatures, in their order; [] where there is none. `body` is
    the whole message; `now` is Unix time in seconds."""
    fields = header.named(b"dkim-signature")[:MAX_SIGNATURES]
    if not fields:
        return []
    if not header.complete:
        return [DkimResult("permerror", reason="header block is too large")]
    read = [_read(field, now) for field in fields]
    wanted = [item for item in read if isinstance(item, Signature)]
    names = list(dict.fromkeys(item.key_name for item in wanted))
    answers = dict(zip(names, await asyncio.gather(*(dns.query(name, "TXT") for name in names)), strict=True))
    keyed = [_with_key(item, answers) if isinstance(item, Signature) else item for item in read]
    if any(isinstance(item, tuple) for item in keyed):
        return await executors.run("mailauth", _check_all, keyed, header, body)
    return [item for item in keyed if isinstance(item, DkimResult)]


def _read(field: Field, now: float) -> Signature | DkimResult:
    try:
        return signatures.parse(field, now)
    except Rejected as rejected:
        return DkimResult(rejected.result, rejected.domain, reason=rejected.reason)


def _with_key(signature: Signature, answers: dict[str, Answer]) -> tuple[Signature, Key] | DkimResult:
    answer = answers[signature.key_name]
    if answer.status == "temperror":
        return _result(signature, "temperror", "key could not be fetched")
    result, reason = "permerror", "no key"
    for record in answer.texts:  # RFC 6376 3.6.2.2: of several records any may be taken
        try:
            key = parse_key(record)
        except UnusableKey as error:
            result, reason = ("fail" if isinstance(error, WeakKey) else "permerror"), str(error)
            continue
        if key.kind != signature.algorithm.partition("-")[0]:
            reason = "key is of another type than the signature"
        elif key.strict_identity and signature.identity_domain != signature.domain:
            reason = "key does not allow i= below d="
        else:
            return signature, key
    return _result(signature, result, reason)


def _check_all(
    items: Sequence[tuple[Signature, Key] | DkimResult], header: Header, body: Body
) -> list[DkimResult]:
    """In a thread. Signatures of one canonical form share one pass over the body."""
    hashes: dict[bool, bytes] = {}
    results: list[DkimResult] = []
    for item in items:
        if isinstance(item, DkimResult):
            results.append(item)
            continue
        signature, key = item
        relaxed = signature.relaxed_body
        if relaxed not in hashes:
            with body.open() as stream:
                stream.seek(len(header.block))
                hashes[relaxed] = hash_body(stream, relaxed)
        results.append(_check(signature, key, header, hashes[relaxed]))
    return results


def _check(signature: Signature, key: Key, header: Header, body_hash: bytes) -> DkimResult:
    if body_hash != signature.body_hash:
        return _result(signature, "fail", "body hash did not verify")
    if not key.verifies(signature.value, signature.header_digest(header.fields)):
        return _result(signature, "fail", "signature did not verify")
    return _result(signature, "pass", "key is in test mode" if key.testing else "")


def _result(signature: Signature, result: str, reason: str) -> DkimResult:
    return DkimResult(result, signature.domain, signature.selector, signature.algorithm, signature.b, reason)
