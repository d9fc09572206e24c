"""Address lists of header fields (RFC 5322 3.4, obsolete forms too), read in one pass, leniently.

This is for showing what a field says (ENVELOPE, search), never for deciding where mail goes: that is
`wire.smtp.address`, which is strict.
"""

import re
from typing import NamedTuple

from mailplat.wire.mime.headers import unescape

# A list of recipients beyond this is cut in ENVELOPE: a header of some MB must not become a reply of some MB for
# every client that opens the mailbox. Real ones stay below 1,000; the message itself keeps them all.
MAX_ADDRESSES = 4_000


class MailAddress(NamedTuple):
    """The four fields of an IMAP address structure (RFC 3501 7.4.2), octets as sent, quoting removed.

    A group opens with host None and its name as mailbox, and ends with both None. An address without a domain
    has host b"" (None would say group)."""

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


GROUP_END = MailAddress(None, None, None, None)

# Every octet is in exactly one token; none is tried twice.
_TOKENS = re.compile(
    rb"""(?P<space>\s++)
    | "(?P<quoted>(?:[^"\\]++|\\.)*)"?+
    | (?P<special>[<>@,;:().])
    | (?P<literal>\[[^\]]*+\]?+)
    | (?P<atom>[^\s<>@,;:().\["]++)""",
    re.DOTALL | re.VERBOSE,
)

# What nearly every field holds: one address, its name an atom phrase or a quoted string without escapes.
_PLAIN = re.compile(
    rb'(?:"([^"\\]*+)"\s*+<|([^\s<>@,;:()."\\\[]++(?: [^\s<>@,;:()."\\\[]++)*)\s*+<|(<)|)'
    rb'([^\s<>@,;:()"\\\[\]]++)@([^\s<>@,;:()"\\\[\]]++)(>?)'
).fullmatch


def parse(value: bytes) -> list[MailAddress]:
    """The addresses of an unfolded field value, at most MAX_ADDRESSES."""
    match = _PLAIN(value)
    if match is not None:
        quoted, phrase, bracket, mailbox, host, closed = match.groups()
        if bool(closed) == (quoted is not None or phrase is not None or bracket is not None):
            return [MailAddress(quoted or phrase or None, None, mailbox, host)]
    return _Reader().read(value)


class _Reader:
    """Collects the words of one address until a comma, semicolon or the end completes it."""

    def __init__(self) -> None:
        self._found: list[MailAddress] = []
        self._in_group = False
        self._restart()

    def _restart(self) -> None:
        self._words: list[bytes] = []  # of the phrase, or of an address without angle brackets
        self._spaced = False  # white space before the next word
        self._at: int | None = None  # index into _words behind the last "@"
        self._phrase: bytes | None = None
        self._comment: bytes | None = None
        self._route: bytes | None = None
        self._angle = False  # inside <...>
        self._closed = False  # behind it

    def read(self, value: bytes) -> list[MailAddress]:
        depth = comment_start = 0
        for match in _TOKENS.finditer(value):
            kind = match.lastgroup
            token = match[0]
            if depth or token == b"(":
                # RFC 5322 3.2.2: comments nest. A quoted string inside one is no string, but skipping it whole
                # only loses parentheses that mailers put between quotes.
                if token == b"(":
                    depth += 1
                    comment_start = comment_start if depth > 1 else match.end()
                elif token == b")":
                    depth -= 1
                    if depth == 0:
                        self._comment = value[comment_start : match.start()].strip() or self._comment
                        self._spaced = True
                continue
            if kind == "space":
                self._spaced = True
            elif kind == "special":
                self._special(token)
            else:
                self._word(unescape(match["quoted"]) if kind == "quoted" else token)
            if len(self._found) >= MAX_ADDRESSES:
                return self._close_group()[: MAX_ADDRESSES + 1]
        self._finish()
        return self._close_group()

    def _word(self, word: bytes) -> None:
        if self._closed:
            return  # text behind <...>
        if self._spaced and self._words and not self._angle and self._at is None:
            word = b" " + word
        self._spaced = False
        self._words.append(word)

    def _special(self, token: bytes) -> None:
        if token == b"<":
            if not self._angle and not self._closed:
                self._phrase = b"".join(self._words) or None
                self._words, self._at, self._angle = [], None, True
        elif token == b">":
            self._closed, self._angle = self._closed or self._angle, False
        elif token == b",":
            if self._angle and self._words[:1] == [b"@"]:
                self._words.append(token)  # a source route <@a,@b:c@d>
            else:
                self._finish()
        elif token == b":":
            if self._angle:
                self._route = b"".join(self._words) or None  # RFC 5322 4.4: the obsolete route
                self._words, self._at = [], None
            elif self._at is None and not self._in_group and not self._closed:
                self._found.append(MailAddress(None, None, b"".join(self._words), None))
                self._in_group = True
                self._restart()
        elif token == b";":
            self._finish()
            self._close_group()
        elif token == b"@":
            self._word(token)
            self._at = len(self._words)
        elif token == b".":
            self._spaced = False
            self._word(token)

    def _finish(self) -> None:
        words, at = self._words, self._at
        if words or self._angle or self._closed:
            name = self._phrase
            if name is None:
                name = self._comment  # the old form: joe@example.org (Joe)
            if at is None:
                mailbox, host = b"".join(words), b""
            else:
                mailbox, host = _local_part(words[: at - 1]), b"".join(words[at:])
            if mailbox or host or name:
                self._found.append(MailAddress(name, self._route, mailbox.strip(), host.strip()))
        self._restart()

    def _close_group(self) -> list[MailAddress]:
        if self._in_group:
            self._found.append(GROUP_END)
            self._in_group = False
        return self._found


def _local_part(words: list[bytes]) -> bytes:
    """RFC 5322 4.4: "john . doe" is an obsolete way to write john.doe; in the phrase "Q. Public" the space stays."""
    return b"".join(
        word[1:] if word.startswith(b" ") and before == b"." else word
        for before, word in zip([b"", *words], words, strict=False)
    )
