import re

from hypothesis import given
from hypothesis import strategies as st

from mailplat.delivery.encoding import DataEncoder
from mailplat.wire.smtp.data import DataDecoder


def encode(chunks: list[bytes]) -> bytes:
    encoder = DataEncoder()
    return b"".join([encoder.feed(chunk) for chunk in chunks] + [encoder.finish()])


pieces = st.lists(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n."]), max_size=6).map(b"".join)
)


@given(pieces)
def test_the_receiver_sees_the_message_and_its_end_and_nothing_more(chunks: list[bytes]) -> None:
    message = b"".join(chunks)
    wire = encode(chunks)
    decoder = DataDecoder(1_000_000)
    received = decoder.feed(wire)
    assert decoder.finished
    assert decoder.rest == b""
    assert not decoder.bare
    clean = re.sub(rb"\r(?!\n)|(?<!\r)\n", b" ", message)
    assert received == (clean if clean.endswith(b"\r\n") or not clean else clean + b"\r\n")


@given(pieces)
def test_what_leaves_has_no_bare_cr_or_lf(chunks: list[bytes]) -> None:
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", encode(chunks))


@given(pieces)
def test_the_pieces_make_no_difference(chunks: list[bytes]) -> None:
    assert encode(chunks) == encode([b"".join(chunks)])


def test_smuggling_sequences_become_harmless() -> None:
    for end in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n", b"\r\n\x00.\r\n"):
        wire = encode([b"a" + end + b"MAIL FROM:<evil@example.org>\r\n"])
        assert wire.endswith(b"MAIL FROM:<evil@example.org>\r\n.\r\n")
        assert b"\r\n.\r\n" not in wire[:-3]
