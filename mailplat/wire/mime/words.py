"""Decoded header text (RFC 2047), for people and for search; never fails, unknown charsets show as they can."""

import binascii
import codecs
import re

# Octets of a raw value that are looked at for `limit` characters of text: base64 of UTF-8 in encoded words of
# 75 octets each needs some 6 octets a character.
_RAW_PER_CHARACTER = 8

_WORD = re.compile(rb"=\?([^?\s]{1,60})\?([bBqQ])\?([^?\s]*+)\?=")
_BETWEEN = re.compile(rb"(\?=)\s++(?==\?)")
_QUOTED = re.compile(rb"=([0-9A-Fa-f]{2})")
_SPACES = re.compile(r"\s+")


def decode_words(value: bytes, limit: int = 1000) -> str:
    """The text of an unfolded header value, at most `limit` characters, white space runs as one space."""
    value = value[: limit * _RAW_PER_CHARACTER]
    if b"=?" not in value:
        text = decode_octets(value)
    else:
        # RFC 2047 6.2: white space between encoded words is not shown.
        value = _BETWEEN.sub(rb"\1", value)
        text = "".join(_pieces(value))
    return _SPACES.sub(" ", text).strip()[:limit]


def decode_octets(octets: bytes) -> str:
    """Octets that name no charset: UTF-8 where they are (RFC 6532), else what most old mailers sent."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def decode_charset(octets: bytes, charset: bytes) -> str:
    """Octets in a named charset; malformed ones as U+FFFD, an unknown charset as if none were named."""
    decoder = known_charset(charset)
    return decode_octets(octets) if decoder is None else octets.decode(decoder, "replace")


def known_charset(charset: bytes) -> str | None:
    """Python's name of a charset as mail names it (a language behind "*" left off, RFC 2231 5), or None."""
    name = charset.partition(b"*")[0].decode("latin-1").strip().lower()
    name = _ALIASES.get(name, name)
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return None
    # Python also lists codecs that are no charsets: base64, zip, rot13, punycode.
    is_text: bool = getattr(codec, "_is_text_encoding", True)
    return codec.name if is_text and codec.name.replace("-", "_") not in _NO_CHARSETS else None


# Supersets of what is named: mailers label Windows and Korean text with the smaller set.
_ALIASES = {
    "iso-8859-1": "windows-1252",
    "us-ascii": "windows-1252",
    "ascii": "windows-1252",
    "latin1": "windows-1252",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "iso-8859-8-i": "iso-8859-8",
    "unicode-1-1-utf-7": "utf-7",
}
_NO_CHARSETS = frozenset(
    ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem")
)


def _pieces(value: bytes) -> list[str]:
    """The value in pieces of text. Neighbouring words of one charset are joined before decoding: mailers cut
    characters in two."""
    pieces: list[str] = []
    charset, pending = b"", b""
    at = 0
    for match in _WORD.finditer(value):
        octets = _word_octets(match[2], match[3])
        if octets is None:
            continue  # stays as raw text
        if match.start() > at or match[1].lower() != charset:
            if pending:
                pieces.append(decode_charset(pending, charset))
            pending = b""
            if match.start() > at:
                pieces.append(decode_octets(value[at : match.start()]))
        charset = match[1].lower()
        pending += octets
        at = match.end()
    if pending:
        pieces.append(decode_charset(pending, charset))
    pieces.append(decode_octets(value[at:]))
    return pieces


def _word_octets(encoding: bytes, text: bytes) -> bytes | None:
    if encoding in b"qQ":
        return _QUOTED.sub(lambda match: bytes((int(match[1], 16),)), text.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return None
