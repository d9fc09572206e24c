"""Messages: scanned, rendered, searched, decoded. Nothing raises, whatever the octets are."""

from mailplat.wire.imap.fetch import Form, Section, Text
from mailplat.wire.mime import Part, UnknownEncoding, extract, extract_from_header, scan, span
from mailplat.wire.mime.collation import unicode_casemap
from mailplat.wire.mime.decoding import decode, decoder_of
from mailplat.wire.mime.firstaddress import display_text, first_address
from mailplat.wire.mime.preview import MAX_PREVIEW
from mailplat.wire.mime.references import message_ids
from mailplat.wire.mime.rendering import render
from mailplat.wire.mime.subjects import base_subject
from mailplat.wire.mime.text import decode_part, field_texts, searchable_text
from tests.fuzz.targets.framer import cut
from tests.wire.imap.replies import check_body, check_envelope, read_value

MODULES = ("mailplat/wire/mime/", "mailplat/wire/imap/strings.py")
LONGEST = 8000

WORDS = (
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"--b\r\n",
    b"--b--\r\n",
    b"--b",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n",
    b"Content-Type: text/plain; charset=iso-2022-jp\r\n",
    b"charset=utf-7",
    b"charset=x-user-defined",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"=?utf-8?q?a=C3=A4?=",
    b"=?utf-8?b?w6Q=?=",
    b"=?",
    b"?=",
    b"From: ",
    b"To: ",
    b"Subject: ",
    b"Date: ",
    b"References: <a@b> <c@d>\r\n",
    b"Message-ID: <x@y>\r\n",
    b"In-Reply-To: ",
    b"Mon, 7 Feb 2022 21:52:25 -0800",
    b"<a@b.c>",
    b'"Q" <q@r>',
    b"group: a@b, c@d;",
    b"(comment(nested))",
    b"filename*0*=utf-8''%C3",
    b"filename*1=x",
    b"; ",
    b"Content-Disposition: attachment; ",
    b"Content-Language: de, en\r\n",
    b"Re: ",
    b"Fwd: [x] ",
    b"(fwd)",
    b"<style>",
    b"</style>",
    b"<p>",
    b"&amp;",
    b"&#x10ffff;",
    b"<!--",
    b"-->",
    b"> ",
    b"-- \r\n",
    b"=C3=A4",
    b"=\r\n",
    b"=",
    b"\xc3\xa4",
    b"\xff",
    b"\0",
    b"\xcc\x81" * 40,
    b'Content-Type: multipart/digest; boundary="b"\r\n',
)
SEEDS = (
    b"From: Ann <ann@example.test>\r\nTo: bob@example.test, g: c@d, e@f;\r\nSubject: =?utf-8?q?H=C3=A4llo?= Re: x\r\n"
    b"Date: Mon, 7 Feb 2022 21:52:25 -0800\r\nMessage-ID: <x@y>\r\nReferences: <a@b> <c@d>\r\n\r\nText\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>f=C3=BCr =\r\ndich</p>\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inner\r\n\r\ninner\r\n--b--\r\nepi\r\n",
    b"Content-Type: image/x; name*0*=utf-8''a%20; name*1=b\r\nContent-Transfer-Encoding: base64\r\n"
    b'Content-Disposition: attachment; filename="x y"\r\nContent-ID: <i>\r\n\r\nAAEC\r\nAw==\r\n',
    b'Content-Type: multipart/digest; boundary="b"\n\n--b\n\nSubject: one\n\none\n'
    b"--b\n\nSubject: two\n\n> quoted\n-- \nsig\n--b--\n",
)

PATHS = ((), (1,), (2,), (1, 1), (2, 1), (9,))


def run(octets: bytes) -> None:
    rendering = render(octets)
    envelope = read_value(rendering.envelope)
    check_envelope(envelope)
    check_body(read_value(rendering.body), extensible=False)
    check_body(read_value(rendering.bodystructure), extensible=True)
    assert len(rendering.preview) <= MAX_PREVIEW
    rendering.preview.encode("utf-8")
    root = scan(octets)
    assert rendering.header_size == root.body - root.start
    _check_spans(octets, root)
    _sections(octets, root)
    for text in searchable_text(octets, root, headers=True):
        unicode_casemap(text)
    for name in ("subject", "from", "x"):
        field_texts(octets, root, name)
    message_ids(octets[: root.body])
    base_subject(rendering.subject)
    for field in ("from", "to", "cc"):
        display_text(first_address(rendering.envelope, field))


def _check_spans(octets: bytes, part: Part) -> None:
    assert 0 <= part.start <= part.body <= part.end <= len(octets)
    if part.type == b"text":
        decode_part(octets, part)
    decoder, other = decoder_of(part), decoder_of(part)
    if decoder is not None and other is not None:
        body = octets[part.body : part.end]
        whole = b"".join(decode([body], decoder))
        assert len(whole) <= len(body)
        assert b"".join(decode(cut(body, len(body)), other)) == whole, "other content in other pieces"
    for child in part.children:
        assert part.start <= child.start <= child.end <= part.end
        _check_spans(octets, child)


def _sections(octets: bytes, root: Part) -> None:
    for path in PATHS:
        for text in (Text.ALL, Text.HEADER, Text.TEXT, Text.MIME):
            if text is Text.MIME and not path:
                continue
            found = span(root, Section(path, text, offset=1, length=7))
            assert found is None or (0 <= found[0] <= found[1] <= len(octets) and found[1] - found[0] <= 7)
        for text in (Text.FIELDS, Text.FIELDS_NOT):
            block = span(root, Section(path, text, (b"Subject", b"X")))
            if block is not None:
                chosen = extract_from_header(
                    octets[block[0] : block[1]], Section(path, text, (b"Subject", b"X"))
                )
                assert len(chosen) <= block[1] - block[0]
        try:
            extract(octets, root, Section(path, Text.ALL, form=Form.DECODED))
        except UnknownEncoding:
            pass
