import email
import email.message
from collections.abc import Callable
from typing import Any

import pytest

from mailplat.wire.mime import scanner
from mailplat.wire.mime.headers import MAX_HEADER
from mailplat.wire.mime.scanner import MAX_DEPTH, MAX_PARTS, Part, scan
from tests.wire.mime.samples import corpus

MIXED = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n"


def shape(part: Part) -> Any:
    kind = f"{part.type.decode()}/{part.subtype.decode()}"
    return (kind, [shape(child) for child in part.children]) if part.children else kind


def contents(octets: bytes, part: Part) -> list[bytes]:
    return [octets[child.body : child.end] for child in part.children]


def test_parts_and_their_line_ends() -> None:
    octets = (
        MIXED % b"x"
        + b"preamble\r\n--x\r\n\r\none\r\n\r\n--x  \r\nA: b\r\n\r\ntwo\r\n--x--\r\nepilogue\r\n--x\r\nno part"
    )
    part = scan(octets)
    assert contents(octets, part) == [b"one\r\n", b"two"]
    assert [child.lines for child in part.children] == [1, 0]
    assert part.end == len(octets)


def test_bare_line_feeds() -> None:
    octets = b'Content-Type: multipart/mixed;\n boundary="x"\n\n--x\n\none\n--x\n\ntwo\n\n--x--\n'
    assert contents(octets, scan(octets)) == [b"one", b"two\n"]


def test_missing_end_and_missing_empty_line() -> None:
    octets = MIXED % b"x" + b"--x\r\nContent-Type: text/html\r\n--x\r\n\r\nlast part\r\n"
    part = scan(octets)
    assert shape(part) == ("multipart/mixed", ["text/html", "text/plain"])
    assert contents(octets, part) == [b"", b"last part\r\n"]


def test_outer_delimiter_ends_inner_multiparts() -> None:
    octets = (
        MIXED % b"out"
        + b"--out\r\n"
        + MIXED % b"in"
        + b"--in\r\n\r\none\r\n--out\r\n\r\ntwo\r\n--in\r\nstill two\r\n--out--"
    )
    part = scan(octets)
    assert shape(part) == ("multipart/mixed", [("multipart/mixed", ["text/plain"]), "text/plain"])
    assert contents(octets, part)[1] == b"two\r\n--in\r\nstill two"


def test_inner_multipart_with_the_same_boundary() -> None:
    octets = (
        MIXED % b"x"
        + b"--x\r\n"
        + MIXED % b"x"
        + b"--x\r\n\r\ninner\r\n--x--\r\n--x\r\n\r\nouter\r\n--x--\r\n"
    )
    part = scan(octets)
    assert shape(part) == ("multipart/mixed", [("multipart/mixed", ["text/plain"]), "text/plain"])
    assert contents(octets, part)[1] == b"outer"


def test_boundary_that_begins_like_another() -> None:
    octets = MIXED % b"x" + b"--xy\r\nno part\r\n--x\r\n\r\none\r\n--x-\r\n--x--y\r\n--x--\r\n"
    assert contents(octets, scan(octets)) == [b"one\r\n--x-\r\n--x--y"]


def test_digest_holds_messages() -> None:
    octets = (
        b"Content-Type: multipart/digest; boundary=x\r\n\r\n"
        b"--x\r\n\r\nSubject: one\r\n\r\nbody\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>\r\n--x--\r\n"
    )
    part = scan(octets)
    assert shape(part) == ("multipart/digest", [("message/rfc822", ["text/plain"]), "text/html"])
    assert part.children[0].children[0].first(b"subject") == b"one"


@pytest.mark.parametrize("subtype", ["rfc822", "global"])
def test_nested_messages(subtype: str) -> None:
    inner = b"Subject: inner\r\n" + MIXED % b"i" + b"--i\r\n\r\ntext\r\n--i--\r\n"
    octets = b"Content-Type: message/%b\r\n\r\n%b" % (subtype.encode(), inner)
    part = scan(octets)
    assert shape(part) == (f"message/{subtype}", [("multipart/mixed", ["text/plain"])])
    message = part.children[0]
    assert octets[message.start : message.end] == inner


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Type: multipart/mixed",
        b"Content-Type: multipart/mixed; boundary=never-seen",
        b"Content-Type: text",
        b"Content-Type: ",
        b"Content-Type: ;charset=x",
    ],
)
def test_what_is_no_content_type_is_text(header: bytes) -> None:
    """RFC 2045 5.2. A multipart without parts would hide its content from every client."""
    octets = header + b"\r\n\r\ncontent"
    part = scan(octets)
    assert shape(part) == "text/plain"
    assert octets[part.body : part.end] == b"content"


def test_deep_nesting_is_bounded() -> None:
    octets = b"".join(MIXED % b"%d" % level + b"--%d\r\n" % level for level in range(3000)) + b"\r\nbottom"
    part, depth = scan(octets), 1
    while part.children:
        assert part.end == len(octets)
        part, depth = part.children[0], depth + 1
    assert depth == MAX_DEPTH
    assert shape(part) == "application/octet-stream"


def test_nested_messages_are_bounded() -> None:
    part, depth = scan(b"Content-Type: message/rfc822\r\n\r\n" * 3000), 1
    while part.children:
        part, depth = part.children[0], depth + 1
    assert depth == MAX_DEPTH
    assert shape(part) == "application/octet-stream"


def test_number_of_parts_is_bounded() -> None:
    octets = MIXED % b"x" + b"--x\r\n\r\npart\r\n" * 20_000
    part = scan(octets)
    assert len(part.children) == MAX_PARTS - 1
    assert part.children[-1].end == len(octets)


def nested(count: int) -> bytes:
    """As many open multiparts as there may be, and lines that look like delimiters."""
    head = b"".join(MIXED % b"b%d" % level + b"--b%d\r\n" % level for level in range(90))
    return head + b"\r\n" + b"--no\r\n--b\r\n" * count


def headers_without_end(count: int) -> bytes:
    return MIXED % b"x" + b"--x\r\nA: b\r\n" * count


def messages_in_messages(count: int) -> bytes:
    return b"Content-Type: message/rfc822\r\n\r\n" * 99 + b"A: b\r\n" * count + b"\r\n" + b"\r\n" * count


def empty_parts(count: int) -> bytes:
    return MIXED % b"x" + b"--x\r\n\r\n" * count


@pytest.mark.parametrize("make", [nested, headers_without_end, messages_in_messages, empty_parts])
def test_work_grows_with_the_size(make: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The octets that searches, counts and copies go over, counted, not timed."""

    class Counted(bytes):
        work = 0

        def find(self, needle: bytes, start: int = 0, *rest: Any) -> int:  # type: ignore[override]
            found = super().find(needle, start, *rest)
            Counted.work += (len(self) if found < 0 else found) - start + 1
            return found

        def count(self, needle: bytes, start: int = 0, end: int = 0) -> int:  # type: ignore[override]
            Counted.work += end - start + 1
            return super().count(needle, start, end)

        def __getitem__(self, key: Any) -> Any:
            found = super().__getitem__(key)
            Counted.work += len(found)
            return found

    class CountedPattern:
        def search(self, octets: bytes, start: int) -> Any:
            match = pattern.search(octets, start)
            Counted.work += (match.end() if match else len(octets)) - start
            return match

    pattern = scanner._EMPTY_LINE
    monkeypatch.setattr(scanner, "_EMPTY_LINE", CountedPattern())

    def work(count: int) -> int:
        Counted.work = 0
        scan(Counted(make(count)), max_parts=1_000_000)
        return Counted.work

    small, large = work(1_000), work(4_000)
    size_small, size_large = len(make(1_000)), len(make(4_000))
    assert large / small < 1.1 * size_large / size_small
    assert large < 8 * size_large


def reference(message: email.message.Message) -> Any:
    kind = message.get_content_type().split()[0]
    if message.is_multipart() and kind != "message/delivery-status":  # the library reads its fields as parts
        return kind, [reference(part) for part in message.get_payload()]  # type: ignore[arg-type]
    return kind


def well_formed(message: email.message.Message) -> bool:
    return all(not part.defects for part in message.walk())


def test_structure_is_what_the_standard_library_finds() -> None:
    compared = differing = 0
    for octets in corpus():
        message = email.message_from_bytes(octets)
        if well_formed(message):
            compared += 1
            differing += shape(scan(octets)) != reference(message)
    assert compared > 3500
    assert differing == 0


def test_a_header_without_end_is_read_in_part() -> None:
    """A message of 50 MB without an empty line must not become 25 million lines in memory."""
    octets = b"Subject: read\r\n" + b"a\n" * MAX_HEADER + b"To: never@read\r\n"
    part = scan(octets)
    assert part.body == len(octets)
    assert part.first(b"subject") == b"read"
    assert part.first(b"to") is None
