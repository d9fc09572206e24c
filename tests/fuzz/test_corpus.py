"""Every input that the fuzzer kept still does what its target wants."""

import pytest

from tests.fuzz import targets
from tests.fuzz.engine import ROOT, Overrun, Tracer, read_corpus


@pytest.mark.parametrize("name", targets.names())
def test_corpus(name: str) -> None:
    target = targets.target(name)
    corpus = read_corpus(name)
    assert corpus, "make fuzz with --keep"
    for octets in (*target.SEEDS, *corpus):
        target.run(octets)


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "tests/fuzz/corpus").iterdir()) < 300_000


class Bad:
    """A target that is quadratic in the number of its A's, and cannot bear a Z."""

    MODULES = ("tests/fuzz/test_corpus.py",)
    WORDS = (b"A", b"Z")
    SEEDS = (b"A",)
    LONGEST = 5000

    def run(self, octets: bytes) -> None:
        for first in octets:
            for second in octets:
                if first == second == ord("Z"):
                    raise ZeroDivisionError


def test_what_is_wrong_is_found() -> None:
    tracer = Tracer(Bad())
    assert tracer.run(b"AAA")
    with pytest.raises(ZeroDivisionError):
        tracer.run(b"AZ")
    with pytest.raises(Overrun):
        tracer.run(b"A" * 1000)
