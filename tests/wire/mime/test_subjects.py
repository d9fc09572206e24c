import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime.subjects import BaseSubject, base_subject


@pytest.mark.parametrize(
    ("subject", "base", "is_reply"),
    [
        ("", "", False),
        ("Hello", "Hello", False),
        ("  Hello ", "Hello", False),
        ("Re: Hello", "Hello", True),
        ("RE: fw: FWD : re:Hello", "Hello", True),
        ("Re[2]: Hello", "Hello", True),
        ("Re [2] : Hello", "Hello", True),
        ("Re", "Re", False),
        ("Re:", "", True),
        ("Reply: Hello", "Reply: Hello", False),
        ("Regarding: x", "Regarding: x", False),
        ("AW: Hello", "AW: Hello", False),
        ("[list] Hello", "Hello", False),
        ("[list] Re: [list] Hello", "Hello", True),
        ("[a][b] [c] re: Hello", "Hello", True),
        ("[list]", "[list]", False),
        ("[a] [b]", "[b]", False),
        ("Re: [b]", "[b]", True),
        ("[a [b] Hello", "[a [b] Hello", False),
        ("Hello (fwd)", "Hello", True),
        ("Hello (FWD)(fwd) ", "Hello", True),
        ("(fwd)", "", True),
        ("Hello (fwd) x", "Hello (fwd) x", False),
        ("[fwd: Hello]", "Hello", True),
        ("[Fwd: Re: [list] Hello (fwd)]", "Hello", True),
        ("[fwd: [fwd: Hello]]", "Hello", True),
        ("[list] [fwd: Hello]", "Hello", True),
        ("[fwd: Hello] x", "x", False),
        ("[fwd:]", "", True),
        ("[fwd: x", "[fwd: x", False),
        ("Re: Ünïcode İ (fwd)", "Ünïcode İ", True),
    ],
)
def test_subjects(subject: str, base: str, is_reply: bool) -> None:
    assert base_subject(subject) == BaseSubject(base, is_reply)


def by_the_letter(subject: str) -> str:
    """RFC 5256 2.1, each step as it stands there."""
    blob, wsp = r"\[[^\[\]]*\][ \t]*", r"[ \t]"
    refwd = rf"(?:re|fwd?){wsp}*(?:{blob})?:"
    while True:
        before = None
        while before != subject:
            before, subject = subject, re.sub(rf"(?:\(fwd\)|{wsp})\Z", "", subject, flags=re.I | re.A)
        before = None
        while before != subject:
            before = subject
            subject = re.sub(rf"\A(?:(?:{blob})*{refwd}|{wsp})", "", subject, flags=re.I | re.A)
            if subject == before and (found := re.match(blob, subject)) and subject[found.end() :]:
                subject = subject[found.end() :]
        if not re.match(r"\[fwd:.*\]\Z", subject, re.I | re.A | re.S):
            return subject
        subject = subject[5:-1]


PIECES = st.sampled_from(
    ["re", "Re:", "fw", "FWD:", "[", "]", "[x]", "[fwd:", "(fwd)", " ", ":", "a", "é", "(", "d"]
)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_as_the_rules_stand(subject: str) -> None:
    assert base_subject(subject).text == by_the_letter(subject)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_a_base_is_its_own(subject: str) -> None:
    base = base_subject(subject).text
    assert base_subject(base) == BaseSubject(base, False)


@pytest.mark.parametrize(
    "piece", ["re:", "[a]", "[fwd:", "(fwd)", "[", " re", "[a] re:", "re [", "[fwd: re: [a] "]
)
def test_long_ones(piece: str) -> None:
    """Linear: a megabyte is done in far less than the tests' time-out."""
    base_subject(piece * 100_000)
    base_subject(piece * 100_000 + "x" + "]" * 100_000)
