"""One mailbox, compared: whatever is changed on our side is found, whatever its owner did is not."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.certificate import evidence
from migration.certificate.comparison import MAX_FINDINGS, MailboxResult, compare_messages, compare_numbers
from migration.certificate.digests import Digest
from migration.certificate.grades import Finding, Grade, blocked_by
from migration.certificate.manifest import Numbers
from migration.certificate.reader import Reread

MODSEQ = 100  # ours, at the commit


def numbers(messages: int, uidnext: int = 1000) -> Numbers:
    return Numbers("INBOX", 7, messages, uidnext, 90, "", False, 7, uidnext, MODSEQ, "")


def message(uid: int) -> Reread:
    digest = hashlib.sha256(b"%d" % uid).digest()
    return Reread(uid, ("\\Seen", "$Work") if uid % 2 else (), 5, 1000 + uid, 60, uid, digest)


def compare(
    source: Sequence[Reread], target: Sequence[Reread], vanished: Sequence[tuple[int, int]] = ()
) -> MailboxResult:
    async def batches() -> AsyncIterator[list[Reread]]:
        for at in range(0, len(target), 3):
            yield list(target[at : at + 3])

    result = MailboxResult(numbers(len(source)), "a@b INBOX")
    said = ((each.uid, frozenset(flag.lower() for flag in each.flags)) for each in source)
    kept = (Digest(each.uid, each.internaldate, each.zone, each.size, each.sha256) for each in source)
    asyncio.run(compare_messages(result, said, kept, batches(), vanished))
    return result


uids = st.sets(st.integers(1, 60), max_size=25).map(sorted)


@given(uids)
def test_equal_sides_have_equal_roots_and_no_findings(numbers: list[int]) -> None:
    both = [message(uid) for uid in numbers]
    result = compare(both, [replace(each, flags=tuple(f.upper() for f in each.flags)) for each in both])
    assert result.findings == []
    assert result.source.root() == result.common.root() == result.target.root()
    assert result.compared == len(both)


@given(uids.filter(bool), st.data())
def test_any_single_change_is_found(numbers: list[int], data: st.DataObject) -> None:
    source = [message(uid) for uid in numbers]
    at = data.draw(st.integers(0, len(source) - 1))
    one = source[at]
    changed: list[Reread] = data.draw(
        st.sampled_from(
            [
                [],
                [replace(one, sha256=bytes(32))],
                [replace(one, size=one.size + 1)],
                [replace(one, flags=(*one.flags, "$New"))],
                [replace(one, flags=("\\Answered",))],
                [replace(one, internaldate=one.internaldate + 1)],
                [replace(one, zone=0)],
                [replace(one, uid=61)],
                [one, message(61)],
            ]
        )
    )
    target = sorted([*source[:at], *changed, *source[at + 1 :]], key=lambda each: each.uid)
    result = compare(source, target)
    assert result.grade >= Grade.INVESTIGATE
    whole = result.common.root() == result.source.root()
    assert result.target.root() != result.source.root() or (whole and changed[0].size != one.size)


def test_flags_changed_by_their_owner_since_are_counted_and_octets_compared_all_the_same() -> None:
    """Research, failure mode 15: flags changed during the move are compared inside the fence; later ones are his."""
    source = [message(uid) for uid in (1, 2, 3)]
    changed = replace(source[0], flags=(), modseq=MODSEQ + 1)
    result = compare(source, [changed, *source[1:]])
    assert (result.findings, result.changed_since) == ([], 1)
    assert result.target.root() == result.source.root()
    result = compare(source, [replace(changed, sha256=bytes(32)), *source[1:]])
    assert result.grade is Grade.POOR


def test_what_its_owner_expunged_is_counted_and_what_is_lost_is_not() -> None:
    source = [message(uid) for uid in (1, 2, 5)]
    result = compare(source, source[:1], [(2, 2), (5, 5)])
    assert (result.findings, result.expunged_since) == ([], 2)
    result = compare(source, source[:1], [(2, 2)])
    assert [each.grade for each in result.findings] == [Grade.POOR]
    result = compare(source, source[:1], [(2, 6)])  # 3 and 4 were gone before: it names all that is not there
    assert [each.grade for each in result.findings] == [Grade.INVESTIGATE]


def test_a_message_under_another_uid_is_named() -> None:
    source = [message(uid) for uid in (1, 2)]
    texts = [each.text for each in compare(source, [source[0], replace(source[1], uid=9)]).findings]
    assert "UID 2 of the source has UID 9 here" in texts


def test_findings_are_bounded_and_counted_and_a_worse_one_has_room() -> None:
    source = [message(uid) for uid in range(1, MAX_FINDINGS + 51)]
    target = [replace(each, flags=("$x",)) for each in source]
    target[-1] = replace(target[-1], sha256=bytes(32))
    result = compare(source, target)
    assert (len(result.findings), result.suppressed, result.grade) == (MAX_FINDINGS + 1, 50, Grade.POOR)


def test_who_approves_all_that_is_listed_has_not_approved_the_rest() -> None:
    source = [message(uid) for uid in range(1, MAX_FINDINGS + 51)]
    result = compare(source, [replace(each, flags=("$x",)) for each in source])
    listed, more = evidence.choose("a@b", [], [result])
    assert more == 50
    approved = [each.item for each in result.findings]
    stopping = blocked_by(listed, approved)
    assert stopping is not None
    assert stopping.text == "50 more differences are counted, and not listed one by one"
    assert blocked_by(listed, [*approved, stopping.item]) is None
    many = [Finding(Grade.INVESTIGATE, "a@b", str(number)) for number in range(evidence.MAX_FINDINGS)]
    good = Finding(Grade.GOOD, "a@b", "nobody has to approve it")
    assert evidence.choose("a@b", [good, *many], []) == (many, 1)
    (*kept, last), more = evidence.choose("a@b", [*many, Finding(Grade.POOR, "a@b", "lost")], [])
    assert (kept[0].grade, last.text[:6], more) == (Grade.POOR, "1 more", 1)


def test_a_message_without_a_digest_is_not_taken_for_looked_at_nor_for_another() -> None:
    """The source listed it, so one that is here is no stranger, and one that is not here is lost."""

    def without(target: Sequence[Reread]) -> MailboxResult:
        async def batches() -> AsyncIterator[list[Reread]]:
            yield list(target)

        result = MailboxResult(numbers(2), "a@b INBOX")
        said = iter([(1, frozenset({"\\seen", "$work"})), (2, frozenset[str]())])
        two = message(2)
        kept = iter([Digest(two.uid, two.internaldate, two.zone, two.size, two.sha256)])
        asyncio.run(compare_messages(result, said, kept, batches(), []))
        return result

    both = without([message(1), message(2)])
    assert [each.grade for each in both.findings] == [Grade.INVESTIGATE]
    assert (both.compared, both.target.leaves, both.source.leaves) == (1, 2, 1)
    flagged = without([replace(message(1), flags=()), message(2)])
    assert "flags" in flagged.findings[0].text
    lost = without([message(2)])
    assert [each.grade for each in lost.findings] == [Grade.POOR, Grade.INVESTIGATE]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"uidvalidity": 8}, "UIDVALIDITY 8 here, 7 at the source"),
        ({"uidnext": 999}, "UIDNEXT 999 here is below 1000"),
        ({"modseq": 90}, "HIGHESTMODSEQ 90 here is not above 90"),
        ({"modseq": None}, "HIGHESTMODSEQ None here"),
    ],
)
def test_numbers_below_what_clients_know_are_poor(change: dict[str, int | None], text: str) -> None:
    result = MailboxResult(numbers(0), "a@b INBOX")
    compare_numbers(result, {"uidvalidity": 7, "uidnext": 1000, "modseq": MODSEQ})
    assert result.findings == []
    compare_numbers(result, {"uidvalidity": 7, "uidnext": 1000, "modseq": MODSEQ, **change})
    (found,) = result.findings
    assert (found.grade, found.text.startswith(text)) == (Grade.POOR, True)


def test_a_manifest_that_is_not_whole_is_found() -> None:
    """A part of it was lost: the messages in it would be compared with nothing."""

    async def batches() -> AsyncIterator[list[Reread]]:
        yield [message(1)]

    result = MailboxResult(numbers(2), "a@b INBOX")
    kept = iter([Digest(1, 1001, 60, 1, message(1).sha256)])
    asyncio.run(compare_messages(result, iter([(1, frozenset(("\\seen", "$work")))]), kept, batches(), []))
    assert [each.text for each in result.findings if each.grade is Grade.POOR] == [
        "of 2 messages of the source the manifest lists 1"
    ]


@given(uids, st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=8))
def test_what_is_gone_in_any_ranges(numbers: list[int], drawn: list[tuple[int, int]]) -> None:
    vanished = [(low, low + more) for low, more in drawn]
    expunged = {uid for uid in numbers if any(low <= uid <= high for low, high in vanished)}
    result = compare([message(uid) for uid in numbers], [], vanished)
    assert result.expunged_since == len(expunged)
    found = {each.text.partition(":")[0] for each in result.findings if each.grade is Grade.POOR}
    assert found == {f"UID {uid}" for uid in numbers if uid not in expunged}
