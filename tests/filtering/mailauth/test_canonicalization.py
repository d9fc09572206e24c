"""Both forms of a body against dkimpy's own as oracle, in pieces, and against the attack on its time."""

import hashlib
import importlib.util
import io
import itertools
import time
import types

import dkim.canonicalization
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.filtering.mailauth.canonicalization import CHUNK, BodyHash, hash_body, relaxed_body

BODIES = st.lists(
    st.sampled_from(
        [b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"bc", b"\x00", b"\xff", b"\r\n\r\n", b" \r\n"]
    ),
    max_size=60,
).map(b"".join)


def stock() -> types.ModuleType:
    """dkimpy's module as it was installed, without our mending."""
    spec = importlib.util.find_spec("dkim.canonicalization")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STOCK = stock()


def in_pieces(body: bytes, cuts: list[int], relaxed: bool) -> bytes:
    hashing = BodyHash(relaxed)
    edges = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    for start, end in itertools.pairwise(edges):
        hashing.update(body[start:end])
    return hashing.digest()


@given(BODIES)
def test_the_relaxed_form_equals_the_original(body: bytes) -> None:
    assert relaxed_body(body) == STOCK.Relaxed.canonicalize_body(body)


@given(BODIES, st.lists(st.integers(0, 80)))
def test_the_hash_of_pieces_equals_the_original(body: bytes, cuts: list[int]) -> None:
    for relaxed, form in ((True, STOCK.Relaxed), (False, STOCK.Simple)):
        assert in_pieces(body, cuts, relaxed) == hashlib.sha256(form.canonicalize_body(body)).digest()


@pytest.mark.parametrize(
    "body", [b"", b"\r\n", b" \r\n\t\r\n", b"a", b"a \r\n\r\n", b"a\r\n b  c \r\n\r\n\r\n"]
)
def test_examples_of_the_standard(body: bytes) -> None:
    """RFC 6376 3.4.5 and the empty body of 3.4.3 and 3.4.4."""
    for relaxed, form in ((True, STOCK.Relaxed), (False, STOCK.Simple)):
        assert hash_body(io.BytesIO(body), relaxed) == hashlib.sha256(form.canonicalize_body(body)).digest()


def test_dkimpy_itself_is_mended() -> None:
    """Whoever signs or verifies in this process gets the linear form."""
    assert dkim.canonicalization.Relaxed.canonicalize_body is relaxed_body
    assert dkim.canonicalization.ALGORITHMS[b"relaxed"].canonicalize_body is relaxed_body


ATTACKS = [b" ", b"\t ", b" \r\n", b"\r\n", b"\r", b"\n", b"a \t", b"\r\r\n", b"\n\r\n"]


@pytest.mark.parametrize("unit", ATTACKS, ids=repr)
@pytest.mark.parametrize("relaxed", [True, False], ids=["relaxed", "simple"])
def test_the_white_space_attack_is_stopped(unit: bytes, relaxed: bool) -> None:
    """200 kB of spaces cost the stock form 37 s; the limit is 50 ms of CPU. Ours takes about 1 ms."""
    body = (b"x" + unit * 200_000)[:200_000] + b"y\r\n"
    fastest = min(_cpu_seconds(body, relaxed) for _ in range(3))
    assert fastest < 0.050


def _cpu_seconds(body: bytes, relaxed: bool) -> float:
    started = time.thread_time()
    hash_body(io.BytesIO(body), relaxed)
    if relaxed:
        relaxed_body(body)
    return time.thread_time() - started


@pytest.mark.parametrize("unit", ATTACKS, ids=repr)
def test_long_runs_over_many_pieces_are_right(unit: bytes) -> None:
    body = b"start" + unit * (3 * CHUNK // len(unit)) + b"end\r\n" + unit * (CHUNK // len(unit))
    relaxed = hashlib.sha256(relaxed_body(body)).digest()
    assert hash_body(io.BytesIO(body), relaxed=True) == relaxed
    assert (
        hash_body(io.BytesIO(body), relaxed=False)
        == hashlib.sha256(STOCK.Simple.canonicalize_body(body)).digest()
    )
