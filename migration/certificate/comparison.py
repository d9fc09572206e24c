"""One mailbox: what the source said, and what its user reads now.

Three streams by UID go side by side: digests of what was copied, the manifest of the fence, the messages as they
come from our IMAP server. What its owner did since the commit is told by MODSEQ and VANISHED (RFC 7162) and is no
difference; the certificate counts it. Which message is where is a matter of UIDs alone; octets are only used to say
of one that is missing that it is there under another number.
"""

from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migration import flags
from migration.certificate.digests import Digest
from migration.certificate.grades import Finding, Grade, worst
from migration.certificate.manifest import Numbers
from migration.certificate.merkle import Tree, message_leaf
from migration.certificate.reader import Reread

# What a certificate can be read with; the numbers of what is beyond are in it.
MAX_FINDINGS = 100
# UIDs without a partner that are matched by their octets.
MAX_MATCHED = 10_000


@dataclass(slots=True)
class MailboxResult:
    numbers: Numbers
    where: str
    source: Tree = field(default_factory=Tree)  # all that the source had inside the fence
    common: Tree = field(default_factory=Tree)  # of it, what can still be read
    target: Tree = field(default_factory=Tree)  # as it was read
    octets: int = 0
    target_octets: int = 0
    compared: int = 0  # octets, dates, flags
    changed_since: int = 0  # of them: flags were changed since the commit, and are not compared
    expunged_since: int = 0
    findings: list[Finding] = field(default_factory=list)
    suppressed: int = 0
    unapproved: int = 0  # of them: those that somebody would have to approve

    def find(self, grade: Grade, text: str) -> None:
        """Of the same grade at most MAX_FINDINGS; a worse one always has room."""
        if sum(each.grade is grade for each in self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(grade, self.where, text))
        else:
            self.suppressed += 1
            self.unapproved += grade >= Grade.INVESTIGATE

    @property
    def grade(self) -> Grade:
        return worst(self.findings)


async def compare_messages(
    result: MailboxResult,
    said: Iterator[tuple[int, frozenset[str]]],
    digests: Iterator[Digest],
    reread: AsyncIterator[list[Reread]],
    vanished: Sequence[tuple[int, int]],
) -> None:
    """Fills `result`."""
    expected, gone = _expected(result, said, digests), _Gone(vanished)
    missing: dict[bytes, int] = {}
    extra: dict[bytes, int] = {}
    want = next(expected, None)

    async for batch in reread:
        for got in batch:
            result.target_octets += got.size
            while want is not None and want[0] < got.uid:
                _absent(result, want, gone, missing)
                want = next(expected, None)
            if want is None or want[0] > got.uid:
                _extra(result, got, extra)
                continue
            _pair(result, want, got)
            want = next(expected, None)
    while want is not None:
        _absent(result, want, gone, missing)
        want = next(expected, None)
    _check_memory(result, vanished)
    for digest in missing.keys() & extra.keys():
        result.find(Grade.POOR, f"UID {missing[digest]} of the source has UID {extra[digest]} here")


# UID, what was copied (None: no digest of it was taken), flags.
Expected = tuple[int, Digest | None, frozenset[str]]


def _expected(
    result: MailboxResult, said: Iterator[tuple[int, frozenset[str]]], digests: Iterator[Digest]
) -> Iterator[Expected]:
    """What the manifest lists, with the digest of each; what was copied and is gone at the source is passed over."""
    digest = next(digests, None)
    unknown = count = 0
    for uid, words in said:
        count += 1
        while digest is not None and digest.uid < uid:
            digest = next(digests, None)
        if digest is None or digest.uid != uid:
            unknown += 1
            yield uid, None, words
            continue
        result.octets += digest.size
        result.source.add(message_leaf(uid, digest.sha256, digest.internaldate, digest.zone, words))
        yield uid, digest, words
    if unknown:
        result.find(Grade.INVESTIGATE, f"of {unknown} messages no digest was taken when they were copied")
    if count != result.numbers.messages:
        result.find(
            Grade.POOR, f"of {result.numbers.messages} messages of the source the manifest lists {count}"
        )


class _Gone:
    """UIDs in ranges; many of them, in any order."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        for low, high in sorted(ranges):
            if self._lows and low <= self._highs[-1] + 1:
                self._highs[-1] = max(high, self._highs[-1])
            else:
                self._lows.append(low)
                self._highs.append(high)

    def __contains__(self, uid: int) -> bool:
        at = bisect_right(self._lows, uid) - 1
        return at >= 0 and uid <= self._highs[at]


def _absent(
    result: MailboxResult,
    want: Expected,
    gone: "_Gone",
    missing: dict[bytes, int],
) -> None:
    uid, digest, _ = want
    if uid in gone:
        result.expunged_since += 1
        return
    if digest is not None and len(missing) < MAX_MATCHED:
        missing[digest.sha256] = uid
    result.find(Grade.POOR, f"UID {uid}: is not here, and was not expunged since the commit")


def _check_memory(result: MailboxResult, vanished: Sequence[tuple[int, int]]) -> None:
    """A server that has forgotten which UIDs were expunged names all that are not there (RFC 7162 3.2.5.1), also
    those that were gone before the commit. Then it cannot be told what was expunged and what was lost."""
    bound = result.numbers.our_uidnext
    named = sum(min(high, bound - 1) - low + 1 for low, high in vanished if low < bound)
    if result.expunged_since and named > result.expunged_since:
        result.find(
            Grade.INVESTIGATE,
            f"{result.expunged_since} messages are not here, and it is not remembered whether all were expunged",
        )


def _extra(result: MailboxResult, got: Reread, extra: dict[bytes, int]) -> None:
    if len(extra) < MAX_MATCHED:
        extra[got.sha256] = got.uid
    result.find(Grade.POOR, f"UID {got.uid}: is here, and was not at the source")
    result.target.add(message_leaf(got.uid, got.sha256, got.internaldate, got.zone, flags.fold(got.flags)))


def _pair(result: MailboxResult, want: Expected, got: Reread) -> None:
    _, digest, words = want
    if digest is not None:
        _pair_octets(result, digest, got)
    now = flags.fold(got.flags)
    if got.modseq > result.numbers.our_modseq:  # changed by its owner; the fence found it equal before
        result.changed_since += 1
        now = words
    elif now != words:
        lost, new = sorted(words - now), sorted(now - words)
        result.find(Grade.INVESTIGATE, f"UID {got.uid}: flags {lost} are lost, {new} were not there")
    if digest is not None:
        leaf = message_leaf(digest.uid, digest.sha256, digest.internaldate, digest.zone, words)
        result.common.add(leaf)
    result.target.add(message_leaf(got.uid, got.sha256, got.internaldate, got.zone, now))


def _pair_octets(result: MailboxResult, digest: Digest, got: Reread) -> None:
    result.compared += 1
    if got.sha256 != digest.sha256 or got.size != digest.size:
        result.find(
            Grade.POOR,
            f"UID {got.uid}: its octets differ ({digest.size} there, SHA-256 {digest.sha256.hex()[:16]};"
            f" {got.size} here, {got.sha256.hex()[:16]})",
        )
    if (got.internaldate, got.zone) != (digest.internaldate, digest.zone):
        result.find(
            Grade.INVESTIGATE,
            f"UID {got.uid}: INTERNALDATE {got.internaldate} zone {got.zone} here,"
            f" {digest.internaldate} zone {digest.zone} there",
        )


def compare_numbers(result: MailboxResult, said: Mapping[str, int | None]) -> None:
    """What the mailbox said when it was opened: "uidvalidity", "uidnext", "modseq"."""
    numbers = result.numbers
    if said["uidvalidity"] != numbers.uidvalidity:
        result.find(
            Grade.POOR, f"UIDVALIDITY {said['uidvalidity']} here, {numbers.uidvalidity} at the source"
        )
    if (said["uidnext"] or 0) < (numbers.uidnext or 0):
        result.find(Grade.POOR, f"UIDNEXT {said['uidnext']} here is below {numbers.uidnext} of the source")
    if numbers.modseq and (said["modseq"] or 0) <= numbers.modseq:
        result.find(
            Grade.POOR, f"HIGHESTMODSEQ {said['modseq']} here is not above {numbers.modseq} of the source"
        )
